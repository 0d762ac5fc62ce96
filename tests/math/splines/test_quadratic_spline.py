"""The quadratic spline against the antiderivative of scipy's linear interpolation."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.interpolate import make_interp_spline

from tfp_flows.math import inverse_quadratic_spline
from tfp_flows.math.splines import quadratic_spline
from tfp_flows.math.splines.quadratic_spline import quadratic_heights

DIRECTIONS = [quadratic_spline, inverse_quadratic_spline]


def _parameters(num_bins=8, identity_tails=False, dtype=np.float64, scale=1.0):
    rng = np.random.default_rng(0)
    widths = 6.0 * rng.dirichlet(np.ones(num_bins) * 2.0, 3).T
    slopes = np.exp(scale * rng.normal(size=(num_bins + 1, 3)))
    lower_y = -2.0
    if identity_tails:
        lower_y, slopes = -3.0, slopes[1:-1]
    if identity_tails and num_bins > 1:
        weights = 0.5 * (widths[:-1] + widths[1:])
        slopes *= weights.sum(0) / (weights * slopes).sum(0)
    return [t.astype(dtype) for t in (widths, slopes)] + [dtype(-3.0), dtype(lower_y)]


@pytest.mark.parametrize("identity_tails", [True, False])
@pytest.mark.parametrize("num_bins", [1, 2, 8])
def test_agrees_with_scipy(num_bins, identity_tails):
    widths, slopes, *lower = parameters = _parameters(num_bins, identity_tails)
    x = np.random.default_rng(1).uniform(-4.0, 4.0, (60, 3))
    y, log_slope = quadratic_spline(x, *parameters)
    back, inverse_log_slope = inverse_quadratic_spline(tf.identity(y), *parameters)
    if identity_tails:
        slopes = np.pad(slopes, [[1, 1], [0, 0]], constant_values=1.0)
    for j in range(3):
        knots = -3.0 + np.concatenate([[0.0], np.cumsum(widths[:, j])])
        slope = make_interp_spline(knots, slopes[:, j], k=1)
        inside = np.clip(x[:, j], knots[0], knots[-1])
        slope_of = slope(inside)
        want = lower[1] + slope.antiderivative()(inside) + slope_of * (x[:, j] - inside)
        np.testing.assert_allclose(y[:, j], want, atol=1e-12)
        np.testing.assert_allclose(log_slope[:, j], np.log(slope_of), atol=1e-12)
    np.testing.assert_allclose(back, x, atol=1e-11)
    np.testing.assert_allclose(inverse_log_slope, -log_slope, atol=1e-11)


def test_heights_are_areas():
    heights = quadratic_heights(tf.constant([[2.0], [1.0]]), tf.constant([[3.0]]))
    np.testing.assert_allclose(heights[:, 0], [4.0, 2.0])


def test_inverse_of_nearly_linear_bins_loses_no_digits():
    """Where the textbook formula divides by the difference of the slopes."""
    for difference in (0.0, 1e-300, 1e-16, 1e-8):
        slopes = [[1.0], [1.0 + difference]]
        x, _ = inverse_quadratic_spline([[0.37]], [[1.0]], slopes, 0.0, 0.0)
        np.testing.assert_allclose(x, 0.37, atol=1e-8 * (difference > 1e-10) + 1e-15)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_inverse_of_slopes_whose_squares_are_beyond_the_dtype(size):
    """A bin of width 2 whose slope runs from 1 to 3, or back, in units of `size`."""
    theta = np.array([0.1, 0.5, 0.9])
    for d0, d1 in ((1.0, 3.0), (3.0, 1.0)):
        slopes = tf.constant([[size * d0], [size * d1]])
        y = size * 2.0 * (d0 * theta + 0.5 * (d1 - d0) * theta**2)
        y = tf.constant(y[:, np.newaxis], tf.float32)
        x, log_slope = inverse_quadratic_spline(y, tf.constant([[2.0]]), slopes, 0.0, 0.0)
        np.testing.assert_allclose(x[:, 0], 2.0 * theta, rtol=1e-6)
        expected = -np.log(size * (d0 + (d1 - d0) * theta))
        np.testing.assert_allclose(log_slope[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("kernel", DIRECTIONS)
def test_first_and_second_derivatives_agree_with_finite_differences(kernel):
    rng = np.random.default_rng(3)
    widths, slopes, *lower = _parameters(4, scale=0.5)
    # Well away from the knots: a finite difference must not cross one.
    start = [np.array([[-3.4, 0.33, 1.5], [2.2, 3.9, -0.4]]), widths, slopes]
    directions = [rng.normal(size=t.shape) for t in start]

    def loss(step):
        args = [t + step * v for t, v in zip(start, directions, strict=True)]
        value, log_slope = kernel(*args, *lower)
        return tf.reduce_sum(tf.sin(value) + log_slope)

    def slope(step):
        with tf.GradientTape() as tape:
            tape.watch(step)
            out = loss(step)
        return tape.gradient(out, step)

    zero = tf.constant(0.0, tf.float64)
    h = 1e-6
    np.testing.assert_allclose(slope(zero), (loss(h) - loss(-h)) / (2 * h), rtol=1e-7)
    with tf.GradientTape() as tape:
        tape.watch(zero)
        first = slope(zero)
    numeric = (slope(tf.constant(h, tf.float64)) - slope(tf.constant(-h, tf.float64))) / (2 * h)
    np.testing.assert_allclose(tape.gradient(first, zero), numeric, rtol=1e-6)


@pytest.mark.parametrize("identity_tails", [True, False])
@pytest.mark.parametrize("kernel", DIRECTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_knots_and_extremes_are_finite(kernel, dtype, identity_tails):
    parameters = _parameters(8, identity_tails, dtype, scale=3.0)
    widths, slopes, *lower = parameters
    if kernel is quadratic_spline:
        sizes, lower = widths, lower[0]
    else:
        sizes, lower = quadratic_heights(widths, tf.constant(slopes)).numpy(), lower[1]
    knots = lower + np.cumsum(sizes, axis=0)
    far = np.array([1e30, -1e30, lower], dtype)[:, np.newaxis] * np.ones(3, dtype)
    inputs = [tf.constant(t, dtype) for t in (np.concatenate([knots, far]), *parameters[:2])]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value, log_slope = kernel(*inputs, *parameters[2:])
        loss = tf.reduce_sum(value) + tf.reduce_sum(log_slope)
    for result in (value, log_slope, *tape.gradient(loss, inputs)):
        assert np.isfinite(result).all()
