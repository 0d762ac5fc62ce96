"""The linear spline against `numpy.interp`."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import inverse_linear_spline
from tfp_flows.math.splines import linear_spline


def _parameters(num_bins, dtype=np.float64):
    rng = np.random.default_rng(0)
    widths, heights = 6.0 * rng.dirichlet(np.ones(num_bins) * 2.0, (2, 3)).swapaxes(1, 2)
    return widths.astype(dtype), heights.astype(dtype), dtype(-3.0), dtype(-3.0)


@pytest.mark.parametrize("num_bins", [1, 2, 8])
def test_agrees_with_numpy(num_bins):
    widths, heights, *lower = _parameters(num_bins)
    x = np.random.default_rng(1).uniform(-4.0, 4.0, (60, 3))
    y, log_slope = linear_spline(x, widths, heights, *lower)
    back, inverse_log_slope = inverse_linear_spline(tf.identity(y), widths, heights, *lower)
    for j in range(3):
        knots = [np.concatenate([[-3.0], -3.0 + np.cumsum(s[:, j])]) for s in (widths, heights)]
        outside = np.abs(x[:, j]) >= 3.0
        want = np.where(outside, x[:, j], np.interp(x[:, j], *knots))
        np.testing.assert_allclose(y[:, j], want, atol=1e-13)
        ahead = np.interp(x[:, j] + 1e-9, *knots) - np.interp(x[:, j], *knots)
        slope = np.where(outside, 1.0, ahead / 1e-9)
        np.testing.assert_allclose(np.exp(log_slope[:, j]), slope, rtol=1e-5)
    np.testing.assert_allclose(back, x, atol=1e-12)
    np.testing.assert_allclose(inverse_log_slope, -log_slope, atol=1e-13)


@pytest.mark.parametrize("kernel", [linear_spline, inverse_linear_spline])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_knots_and_extremes_are_finite(kernel, dtype):
    widths, heights, *lower = _parameters(8, dtype)
    knots = -3.0 + np.cumsum(widths, axis=0)
    far = np.array([1e30, -1e30, -3.0, 3.0], dtype)[:, np.newaxis] * np.ones(3, dtype)
    inputs = [tf.constant(t, dtype) for t in (np.concatenate([knots, far]), widths, heights)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value, log_slope = kernel(*inputs, *lower)
        loss = tf.reduce_sum(value) + tf.reduce_sum(log_slope)
    for result in (value, log_slope, *tape.gradient(loss, inputs)):
        assert np.isfinite(result).all()
    np.testing.assert_array_equal(value[-4:-2], far[:2])
