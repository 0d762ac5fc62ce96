"""The planar bijector against its formula, and its constraint."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import Planar

each_nonlinearity = pytest.mark.parametrize("nonlinearity", ["tanh", "leaky_relu"])


def raw(shape=(), event_size=3, scale=1.0, seed=0):
    size = Planar.params_size(event_size)
    return tf.constant(scale * np.random.default_rng(seed).normal(size=[*shape, size]))


def test_is_the_formula():
    params = raw()
    w, v, b = params[:3].numpy() + 3**-0.5, params[3:6].numpy(), params[6].numpy()
    # The paper's constraint, u + (m(w . u) - w . u) w / |w|^2, with 1 + m = exp(asinh(w . u)).
    m = np.exp(np.arcsinh(w @ v)) - 1.0
    u = v + (m - w @ v) * w / (w @ w)
    x = np.random.default_rng(1).normal(size=[5, 3])
    y = x + u * np.tanh(x @ w + b)[:, np.newaxis]
    log_det = np.log(np.abs(1.0 + (1.0 - np.tanh(x @ w + b) ** 2) * (w @ u)))
    np.testing.assert_allclose(Planar(params).forward(x), y, rtol=1e-13)
    np.testing.assert_allclose(Planar(params).forward_log_det_jacobian(x, 1), log_det, atol=1e-13)


@each_nonlinearity
def test_zero_is_the_identity_and_no_saddle(nonlinearity):
    params = tf.zeros([Planar.params_size(4)], tf.float64)
    x = tf.constant(np.random.default_rng(1).normal(size=[5, 4]))
    with tf.GradientTape() as tape:
        tape.watch(params)
        bijector = Planar.new(params, 4, nonlinearity)
        y, log_det = bijector._forward_and_log_det(x)
        loss = tf.reduce_sum(tf.square(y)) - tf.reduce_sum(log_det)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-15)
    assert (np.abs(tape.gradient(loss, params)[4:8]) > 1e-3).all()


@each_nonlinearity
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_numbers_stay_invertible(nonlinearity, dtype):
    """Every pattern of signs in two dimensions: values, log-dets and gradients without NaN."""
    sizes = np.array([50.0, 1e3, 1e30]).reshape(3, 1, 1, 1)
    signs = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 5), -1).reshape(-1, 1, 5)
    params = tf.constant(sizes * signs, dtype)
    x = tf.constant([[0.0, 0.0], [1.0, -0.5], [-3.0, 2.0], [1e30, -1e30]], dtype)
    bijector = Planar(params, nonlinearity)
    for run in (bijector._forward_and_log_det, bijector._inverse_and_log_det):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([params, x])
            y, log_det = run(x)
        assert y.shape == [3, 243, 4, 2] and np.isfinite(log_det).all() and not np.isnan(y).any()
        # In float32 the square of 1e30 overflows.
        assert dtype == "float32" or np.isfinite(y).all()
        # Gradients of y are products of params and x: in float32 they overflow at x = 1e30.
        for value in (log_det, y) if dtype == "float64" else (log_det,):
            for gradient in tape.gradient(value, [params, x], unconnected_gradients="zero"):
                assert not np.isnan(gradient).any()
    if dtype == "float64":
        # y is known to a rounding of its largest part; the way back stretches that by 1 / slope.
        bijector = Planar(params[:2], nonlinearity)
        y, log_det = bijector._forward_and_log_det(x[:3])
        back = bijector.inverse(tf.identity(y))
        stretch = np.maximum(1.0, np.exp(-log_det) * sizes[:2, ..., 0])
        worst = 1e-13 * (1.0 + np.abs(y).max(-1)) * stretch
        assert (np.abs(back - x[:3]).max(-1) <= 10.0 * worst).all()


@each_nonlinearity
def test_batches_of_parameters(nonlinearity):
    params = raw((4,))
    x = np.random.default_rng(1).normal(size=[6, 1, 3])
    bijector = Planar.new(params, 3, nonlinearity)
    assert bijector.experimental_batch_shape(x_event_ndims=1) == [4]
    y, log_det = bijector.forward(x), bijector.forward_log_det_jacobian(x, 1)
    assert y.shape == [6, 4, 3] and log_det.shape == [6, 4]
    np.testing.assert_allclose(bijector[2].forward(x[:, 0]), y[:, 2], rtol=1e-13)
    back = bijector.inverse(tf.identity(y))
    np.testing.assert_allclose(back, np.broadcast_to(x, [6, 4, 3]), rtol=1e-8, atol=1e-8)


def test_a_variable_is_read_at_each_call():
    variable = tf.Variable(raw())
    bijector = Planar.new(variable, 3)
    assert [v is variable for v in bijector.trainable_variables] == [True]
    x = tf.ones([2, 3], tf.float64)
    before = bijector.forward(tf.identity(x))
    variable.assign_add(tf.ones_like(variable))
    assert np.abs(bijector.forward(tf.identity(x)) - before).max() > 0.1


def test_bad_arguments():
    with pytest.raises(ValueError, match="`nonlinearity`.*Received: nonlinearity='relu'"):
        Planar(tf.zeros([5]), nonlinearity="relu")
    with pytest.raises(ValueError, match="`params`.*2 D \\+ 1.*Received: params.shape=\\(4,\\)"):
        Planar(tf.zeros([4]))
    with pytest.raises(ValueError, match="`params` must have 7 numbers"):
        Planar.new(tf.zeros([5]), 3)
    with pytest.raises(ValueError, match="`event_size`"):
        Planar.params_size(0)
    with pytest.raises(ValueError, match="events of 2 dimensions"):
        Planar(tf.zeros([5])).forward(tf.zeros([3]))
