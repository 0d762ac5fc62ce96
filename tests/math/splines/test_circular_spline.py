"""The circular spline against a naive reference on the circle."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import inverse_circular_spline
from tfp_flows.math.splines import circular_spline

DIRECTIONS = [circular_spline, inverse_circular_spline]
LOWERS = [-np.pi, 0.0]


def _parameters(num_bins=6, dtype=np.float64):
    rng = np.random.default_rng(0)
    sizes = 2 * np.pi * rng.dirichlet(np.full(num_bins, 2.0), (2, 3)).swapaxes(1, 2)
    slopes = np.exp(rng.normal(size=(num_bins, 3)))
    return [t.astype(dtype) for t in (*sizes, slopes, np.array([0.7, -2.0, 11.0]))]


def _reference(x, widths, heights, slopes, shift, lower):
    """One angle, as in the papers; angles relative to `lower`."""
    x = (x - lower) % (2 * np.pi)
    knots_x, knots_y = (np.concatenate([[0.0], np.cumsum(s)]) for s in (widths, heights))
    k = min(np.searchsorted(knots_x, x, side="right") - 1, len(widths) - 1)
    s, d0, d1 = heights[k] / widths[k], slopes[k], slopes[(k + 1) % len(slopes)]
    z = (x - knots_x[k]) / widths[k]
    bottom = s + (d1 + d0 - 2 * s) * z * (1 - z)
    y = knots_y[k] + heights[k] * (s * z**2 + d0 * z * (1 - z)) / bottom
    slope = s**2 * (d1 * z**2 + 2 * s * z * (1 - z) + d0 * (1 - z) ** 2) / bottom**2
    return lower + (y + shift) % (2 * np.pi), np.log(slope)


@pytest.mark.parametrize("lower", LOWERS)
@pytest.mark.parametrize("num_bins", [1, 2, 6])
def test_agrees_with_reference_in_both_directions(num_bins, lower):
    *bins, shift = parameters = _parameters(num_bins)
    # One turn too many or too few is taken back.
    x = np.random.default_rng(1).uniform(lower - 6.0, lower + 12.0, (40, 3))
    want = np.array(
        [
            [_reference(v, *(t[:, j] for t in bins), shift[j], lower) for j, v in enumerate(row)]
            for row in x
        ]
    )
    y, log_slope = circular_spline(x, *parameters, lower)
    np.testing.assert_allclose(y, want[..., 0], atol=1e-12)
    np.testing.assert_allclose(log_slope, want[..., 1], atol=1e-12)
    back, inverse_log_slope = inverse_circular_spline(want[..., 0], *parameters, lower)
    np.testing.assert_allclose(back, lower + (x - lower) % (2 * np.pi), atol=1e-11)
    np.testing.assert_allclose(inverse_log_slope, -want[..., 1], atol=1e-11)


@pytest.mark.parametrize("kernel", DIRECTIONS)
@pytest.mark.parametrize("lower", LOWERS)
def test_value_and_slope_are_continuous_across_the_boundary(kernel, lower):
    parameters = _parameters()
    upper = lower + 2 * np.pi
    sides = np.array([[upper - 1e-9] * 3, [lower] * 3, [lower + 1e-9] * 3])
    value, log_slope = kernel(sides, *parameters, lower)
    for side in (0, 2):
        np.testing.assert_allclose(np.cos(value[side]), np.cos(value[1]), atol=1e-7)
        np.testing.assert_allclose(np.sin(value[side]), np.sin(value[1]), atol=1e-7)
        np.testing.assert_allclose(log_slope[side], log_slope[1], atol=1e-6)


@pytest.mark.parametrize("kernel", DIRECTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lower", LOWERS)
def test_values_stay_in_the_domain_and_gradients_are_finite(kernel, dtype, lower):
    parameters = _parameters(dtype=dtype)
    lower = dtype(lower)
    upper = lower + dtype(2 * np.pi)
    edges = [lower, upper, np.nextafter(lower, -10), np.nextafter(upper, dtype(0)), 1e30, -1e30, 0]
    x = np.array(edges, dtype)[:, np.newaxis] * np.ones(3, dtype)
    # Among the shifts zero: results as near to the ends as they can be.
    parameters[3][0] = 0.0
    inputs = [tf.constant(t) for t in (x, *parameters)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value, log_slope = kernel(*inputs, lower)
        loss = tf.reduce_sum(value) + tf.reduce_sum(log_slope)
    assert np.all(value >= lower) and np.all(value < upper)
    for result in (value, log_slope, *tape.gradient(loss, inputs)):
        assert np.isfinite(result).all()


@pytest.mark.parametrize("kernel", DIRECTIONS)
def test_log_slope_is_autodiff_of_value(kernel):
    x = tf.constant(np.random.default_rng(2).uniform(-9.0, 9.0, (40, 3)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value, log_slope = kernel(x, *_parameters(), -np.pi)
    np.testing.assert_allclose(tf.math.log(tape.gradient(value, x)), log_slope, atol=1e-10)
