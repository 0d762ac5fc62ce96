"""The radial bijector against its formula, and its constraint."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import Radial


def test_is_the_formula():
    params = np.random.default_rng(0).normal(size=5)
    center, alpha, p = params[:3], np.exp(np.arcsinh(params[3])), np.exp(np.arcsinh(params[4]))
    beta = alpha * (p - 1.0)
    x = np.random.default_rng(1).normal(size=[5, 3])
    r = np.linalg.norm(x - center, axis=-1)
    h, slope = 1.0 / (alpha + r), -1.0 / (alpha + r) ** 2
    y = x + (beta * h)[:, np.newaxis] * (x - center)
    log_det = 2.0 * np.log(1.0 + beta * h) + np.log(1.0 + beta * h + beta * slope * r)
    bijector = Radial(tf.constant(params))
    np.testing.assert_allclose(bijector.forward(x), y, rtol=1e-13)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 1), log_det, atol=1e-13)


def test_zero_is_the_identity_and_no_saddle():
    params = tf.zeros([Radial.params_size(4)], tf.float64)
    x = tf.constant(np.random.default_rng(1).normal(size=[5, 4]))
    with tf.GradientTape() as tape:
        tape.watch(params)
        y, log_det = Radial.new(params, 4)._forward_and_log_det(x)
        loss = tf.reduce_sum(tf.square(y)) - tf.reduce_sum(log_det)
    np.testing.assert_allclose(y, x, rtol=1e-15)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-15)
    assert abs(tape.gradient(loss, params)[-1]) > 1e-3


def test_the_center_stays_and_has_a_gradient():
    params = tf.constant([1.0, -2.0, 0.3, 0.7], tf.float64)
    bijector = Radial(params)
    x = tf.constant([[1.0, -2.0]], tf.float64)
    for run in (bijector._forward_and_log_det, bijector._inverse_and_log_det):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_det = run(x)
        np.testing.assert_array_equal(y, x)
        # There the map is a multiple of the identity.
        expected = np.exp(0.5 * log_det)[:, np.newaxis, np.newaxis] * np.eye(2)
        np.testing.assert_allclose(tape.batch_jacobian(y, x), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_numbers_stay_invertible(dtype):
    """Every pattern of signs in two dimensions: values, log-dets and gradients without NaN."""
    sizes = np.array([50.0, 1e3, 1e30]).reshape(3, 1, 1, 1)
    signs = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 4), -1).reshape(-1, 1, 4)
    params = tf.constant(sizes * signs, dtype)
    x = tf.constant([[0.0, 0.0], [1.0, -0.5], [-3.0, 2.0], [1e30, -1e30]], dtype)
    bijector = Radial(params)
    for run in (bijector._forward_and_log_det, bijector._inverse_and_log_det):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([params, x])
            y, log_det = run(x)
        assert y.shape == [3, 81, 4, 2] and np.isfinite(log_det).all() and not np.isnan(y).any()
        # In float32 the square of 1e30 overflows.
        assert dtype == "float32" or np.isfinite(y).all()
        # Gradients of y are products of params and x: in float32 they overflow at x = 1e30.
        for value in (log_det, y) if dtype == "float64" else (log_det,):
            for gradient in tape.gradient(value, [params, x], unconnected_gradients="zero"):
                assert not np.isnan(gradient).any()
    if dtype == "float64":
        bijector = Radial(params[:2])
        back = bijector.inverse(tf.identity(bijector.forward(x[:3])))
        # x - x_0 is known to a rounding of x_0; the way back stretches it by at most 1 / p.
        assert (np.abs(back - x[:3]) <= 1e-13 * sizes[:2] ** 2).all()


def test_batches_of_parameters():
    params = tf.constant(np.random.default_rng(0).normal(size=[4, 5]))
    x = np.random.default_rng(1).normal(size=[6, 1, 3])
    bijector = Radial.new(params, 3)
    assert bijector.experimental_batch_shape(x_event_ndims=1) == [4]
    y, log_det = bijector.forward(x), bijector.forward_log_det_jacobian(x, 1)
    assert y.shape == [6, 4, 3] and log_det.shape == [6, 4]
    np.testing.assert_allclose(bijector[2].forward(x[:, 0]), y[:, 2], rtol=1e-13)
    back = bijector.inverse(tf.identity(y))
    np.testing.assert_allclose(back, np.broadcast_to(x, [6, 4, 3]), rtol=1e-10, atol=1e-10)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`params`.*D \\+ 2.*Received: params.shape=\\(2,\\)"):
        Radial(tf.zeros([2]))
    with pytest.raises(ValueError, match="`params` must have 5 numbers"):
        Radial.new(tf.zeros([4]), 3)
    with pytest.raises(ValueError, match="`event_size`"):
        Radial.params_size(0)
    with pytest.raises(ValueError, match="events of 2 dimensions"):
        Radial(tf.zeros([4])).forward(tf.zeros([3]))
