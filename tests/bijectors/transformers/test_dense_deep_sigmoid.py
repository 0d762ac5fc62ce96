"""Dense deep sigmoids: the formula, the start, saturation, every target, errors."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logit, softmax

from tfp_flows.bijectors import DeepSigmoid, DenseDeepSigmoid

L, K = 2, 3
SIZE = (2 * K + K * K) + (K * K + 2 * K + K)


def raw(scale=1.0, batch=(3,), dtype="float64"):
    return tf.constant(scale * np.random.default_rng(0).normal(size=(*batch, SIZE)), dtype)


def test_params_size_takes_the_keywords_of_new():
    kwargs = {"num_layers": L, "num_units": K, "max_log_slope": 2.0}
    assert DenseDeepSigmoid.params_size(**kwargs) == SIZE
    assert DenseDeepSigmoid.new(raw(), **kwargs).params.shape == [3, SIZE]


def test_agrees_with_the_formula():
    params = raw(batch=()).numpy()
    start, log_slope = 0.3 * np.sqrt(1.5) * np.array([-1.0, 0.0, 1.0]), np.log1p(0.09 / 7.0)
    lean = np.array([[0.0, -1.0, -2.0], [-1.0, 0.0, -1.0], [-2.0, -1.0, 0.0]])
    a1, b1, w1, u2, a2, b2, w2 = np.split(params, np.cumsum([K, K, K * K, K * K, K, K]))
    x = np.random.default_rng(1).normal(size=20)
    h = x[:, np.newaxis]
    for a, b, w, u in (
        (a1, b1, w1.reshape(K, K) + lean, np.zeros([K, 1])),
        (a2, b2, w2.reshape(1, K), u2.reshape(K, K)),
    ):
        slope = np.exp(a / (1.0 + np.abs(a) / 5.0) + log_slope)
        z = slope * (h @ softmax(u, axis=-1).T) + b + start
        h = logit(expit(z) @ softmax(w, axis=-1).T)
    bijector = DenseDeepSigmoid.new(tf.constant(params), L, K)
    np.testing.assert_allclose(bijector.forward(x), h[:, 0], rtol=1e-10, atol=1e-12)


def test_one_layer_is_a_deep_sigmoid():
    params = raw()[:, : 3 * K]
    x = np.random.default_rng(1).normal(size=(20, 3))
    dense, deep = (cls.new(params, 1, K) for cls in (DenseDeepSigmoid, DeepSigmoid))
    np.testing.assert_allclose(dense.forward(x), deep.forward(x), rtol=1e-12)


@pytest.mark.parametrize(("layers", "units"), [(1, 4), (2, 2), (3, 3)])
def test_zero_parameters_are_near_the_identity_and_tie_no_units(layers, units):
    size = DenseDeepSigmoid.params_size(layers, units)
    params = tf.zeros([1, size], tf.float64)
    x = tf.constant(np.linspace(-3.0, 3.0, 101)[:, np.newaxis])
    with tf.GradientTape() as tape:
        tape.watch(params)
        bijector = DenseDeepSigmoid.new(params, layers, units)
        y = bijector.forward(x)
        log_slope = bijector.forward_log_det_jacobian(x)
        loss = tf.reduce_sum(tf.sin(y) * tf.cos(3.0 * x) + log_slope)
    assert np.abs(y - x).max() <= 0.02 * layers
    assert np.abs(log_slope).max() <= 0.02 * layers
    assert len(set(np.round(tape.gradient(loss, params)[0], 9))) == size


# Deep sigmoids, of the same step, are compiled with such parameters.
@pytest.mark.parametrize("inverse", [False, True])
def test_saturated_parameters_are_finite(inverse):
    params = 50.0 * tf.sign(raw(batch=(64, 3), dtype="float32"))
    x = tf.constant(3.0 * np.random.default_rng(3).normal(size=(64, 3)), tf.float32)

    def run(params, x):
        with tf.GradientTape() as tape:
            tape.watch([params, x])
            bijector = DenseDeepSigmoid.new(params, L, K)
            method = bijector._inverse_and_log_det if inverse else bijector._forward_and_log_det
            value, log_det = method(x)
            loss = tf.reduce_sum(value) + tf.reduce_sum(log_det)
        return value, log_det, *tape.gradient(loss, [params, x])

    assert all(np.isfinite(out).all() for out in run(params, x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverts_every_target(dtype):
    bijector = DenseDeepSigmoid.new(raw(2.0, dtype=dtype), L, K)
    y = tf.constant(np.outer([-1e30, -1e15, -30.0, 30.0, 1e15, 1e30], np.ones(3)), dtype)
    x = bijector.inverse(y)
    np.testing.assert_allclose(bijector.forward(tf.identity(x)), y, rtol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"num_layers": 0}, "num_layers"),
        ({"num_units": 0}, "num_units"),
        ({"max_log_slope": 0.0}, "max_log_slope"),
        ({"num_units": 2}, "18 numbers"),
    ],
)
def test_new_refuses_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        DenseDeepSigmoid.new(tf.zeros([2, SIZE]), **({"num_layers": L, "num_units": K} | kwargs))
