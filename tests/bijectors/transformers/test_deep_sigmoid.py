"""Deep sigmoids: the formula, the start, tails, saturation, every target, errors."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logit, softmax

from tfp_flows.bijectors import DeepSigmoid


def raw(size, scale=1.0, batch=(3,), dtype="float64"):
    return tf.constant(scale * np.random.default_rng(0).normal(size=(*batch, size)), dtype)


@pytest.mark.parametrize(("layers", "units", "size"), [(1, 16, 48), (2, 4, 24), (3, 1, 9)])
def test_params_size_takes_the_keywords_of_new(layers, units, size):
    kwargs = {"num_layers": layers, "num_units": units, "max_log_slope": 3.0}
    assert DeepSigmoid.params_size(**kwargs) == size
    bijector = DeepSigmoid.new(tf.zeros([2, size]), **kwargs)
    assert bijector.log_slope.shape == bijector.shift.shape == bijector.logits.shape
    assert bijector.logits.shape == [2, layers, units]


def test_agrees_with_the_formula():
    bijector = DeepSigmoid.new(raw(24), num_layers=2, num_units=4)
    x = np.random.default_rng(1).normal(size=(20, 3))
    h = x
    for layer in range(2):
        a, b, logits = (
            t.numpy()[:, layer] for t in (bijector.log_slope, bijector.shift, bijector.logits)
        )
        w = softmax(logits, axis=-1)
        h = logit(np.sum(w * expit(np.exp(a) * h[..., np.newaxis] + b), axis=-1))
    np.testing.assert_allclose(bijector.forward(x), h, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("units", [1, 2, 16])
@pytest.mark.parametrize("layers", [1, 3])
def test_zero_parameters_are_near_the_identity_and_tie_no_units(layers, units):
    size = DeepSigmoid.params_size(layers, units)
    params = tf.zeros([1, size], tf.float64)
    x = tf.constant(np.linspace(-3.0, 3.0, 101)[:, np.newaxis])
    with tf.GradientTape() as tape:
        tape.watch(params)
        bijector = DeepSigmoid.new(params, layers, units)
        y = bijector.forward(x)
        log_slope = bijector.forward_log_det_jacobian(x)
        loss = tf.reduce_sum(tf.sin(y) * tf.cos(3.0 * x) + log_slope)
    assert np.abs(y - x).max() <= 0.01 * layers
    assert np.abs(log_slope).max() <= 0.01 * layers
    gradients = np.reshape(tape.gradient(loss, params), [layers, 3, units])
    for row in gradients.reshape(-1, units):
        assert len(set(np.round(row, 9))) == units


# The search of the inverse evaluates the forward direction, so XLA compiles that one as well.
@pytest.mark.parametrize(("inverse", "jit"), [(False, False), (True, False), (True, True)])
def test_saturated_parameters_are_finite(inverse, jit):
    """Of 50, and of 1e30 but for the shift b: 1e30 is exact there, but leaves no digit of x."""
    signs = tf.sign(raw(24, batch=(64, 3), dtype="float32"))
    is_shift = tf.range(24) // 4 % 3 == 1
    params = tf.concat([50.0 * signs, tf.where(is_shift, signs, 1e30 * signs)], axis=0)
    x = tf.constant(3.0 * np.random.default_rng(3).normal(size=(128, 3)), tf.float32)
    num_layers = 1 if jit else 2  # of which each is the same to XLA
    params = params[..., : 12 * num_layers]

    def run(params, x):
        with tf.GradientTape() as tape:
            tape.watch([params, x])
            bijector = DeepSigmoid.new(params, num_layers, num_units=4)
            method = bijector._inverse_and_log_det if inverse else bijector._forward_and_log_det
            value, log_det = method(x)
            loss = tf.reduce_sum(value) + tf.reduce_sum(log_det)
        return value, log_det, *tape.gradient(loss, [params, x])

    run = tf.function(run, jit_compile=True, autograph=False) if jit else run
    assert all(np.isfinite(out).all() for out in run(params, x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverts_every_target(dtype):
    bijector = DeepSigmoid.new(raw(24, 2.0, dtype=dtype), num_layers=2, num_units=4)
    y = tf.constant(np.outer([-1e30, -1e15, -1e4, -30.0, 30.0, 1e4, 1e15, 1e30], np.ones(3)), dtype)
    x = bijector.inverse(y)
    np.testing.assert_allclose(bijector.forward(tf.identity(x)), y, rtol=1e-5)


def test_what_has_no_root_is_nan_or_an_error():
    params = raw(24)
    y = tf.constant([0.0, np.nan, 1.0], tf.float64)
    x = DeepSigmoid.new(params, 2, 4).inverse(y)
    assert np.array_equal(np.isnan(x), [False, True, False])
    with pytest.raises(tf.errors.InvalidArgumentError, match="deep_sigmoid"):
        DeepSigmoid.new(params, 2, 4, validate_args=True).inverse(y)


def test_second_derivative_through_the_inverse():
    bijector = DeepSigmoid.new(raw(24, batch=()), num_layers=2, num_units=4)
    y = tf.constant(0.3, tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(y)
        with tf.GradientTape() as inner:
            inner.watch(y)
            x = bijector.inverse(y)
        slope = inner.gradient(x, y)
    second = outer.gradient(slope, y)
    np.testing.assert_allclose(slope, np.exp(bijector.inverse_log_det_jacobian(y)), rtol=1e-12)
    inverse = [bijector.inverse(tf.constant(0.3 + h, tf.float64)) for h in (-1e-4, 0.0, 1e-4)]
    np.testing.assert_allclose(second, np.diff(inverse, 2)[0] / 1e-8, rtol=1e-4)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"num_layers": 0}, "num_layers"),
        ({"num_units": 0}, "num_units"),
        ({"max_log_slope": 0.0}, "max_log_slope"),
        ({"num_layers": 2}, "96 numbers"),
    ],
)
def test_new_refuses_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        DeepSigmoid.new(tf.zeros([2, 48]), **kwargs)


@pytest.mark.parametrize("shapes", [([2, 3], [2, 3], [2, 4]), ([3], [3], [3]), ([1, 0],) * 3])
def test_constructor_refuses_sizes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="last two axes.*Received"):
        DeepSigmoid(*(tf.zeros(shape) for shape in shapes))
