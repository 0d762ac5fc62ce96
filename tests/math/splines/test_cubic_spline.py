"""The cubic spline against scipy's Hermite spline and root finder, and Steffen's own formula."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import brentq

from tfp_flows.math import inverse_cubic_spline, steffen_slopes
from tfp_flows.math.splines import cubic_spline

DIRECTIONS = [cubic_spline, inverse_cubic_spline]


def _parameters(num_bins=8, identity_tails=False, dtype=np.float64, concentration=2.0):
    rng = np.random.default_rng(0)
    widths, heights = 6.0 * rng.dirichlet(np.full(num_bins, concentration), (2, 3)).swapaxes(1, 2)
    lower_y = -3.0
    if identity_tails:
        heights[[0, -1]] = np.maximum(heights, 0.5 * widths)[[0, -1]]
        widths *= heights.sum(0) / widths.sum(0)
    slopes = steffen_slopes(tf.constant(widths), tf.constant(heights)).numpy()
    if not identity_tails:
        lower_y = -2.0
        ends = [rng.uniform(0.2, 2.8, 3) * (heights / widths)[k] for k in (0, -1)]
        slopes = np.concatenate([ends[:1], slopes, ends[1:]])
    return [t.astype(dtype) for t in (widths, heights, slopes)] + [dtype(-3.0), dtype(lower_y)]


@pytest.mark.parametrize("identity_tails", [True, False])
@pytest.mark.parametrize("num_bins", [1, 2, 8])
def test_agrees_with_scipy(num_bins, identity_tails):
    widths, heights, slopes, *lower = parameters = _parameters(num_bins, identity_tails)
    x = np.random.default_rng(1).uniform(-4.0, 4.0, (30, 3))
    y, log_slope = cubic_spline(x, *parameters)
    if identity_tails:
        slopes = np.pad(slopes, [[1, 1], [0, 0]], constant_values=1.0)
    for j in range(3):
        knots = [
            low + np.concatenate([[0.0], np.cumsum(s[:, j])])
            for low, s in zip(lower, (widths, heights), strict=True)
        ]
        spline = CubicHermiteSpline(*knots, slopes[:, j])
        inside = np.clip(x[:, j], knots[0][0], knots[0][-1])
        slope = spline(inside, 1)
        want = spline(inside) + slope * (x[:, j] - inside)
        np.testing.assert_allclose(y[:, j], want, atol=1e-12)
        np.testing.assert_allclose(np.exp(log_slope[:, j]), slope, rtol=1e-10)
        targets = np.linspace(knots[1][0], knots[1][-1], 23)[1:-1]
        roots = [brentq(lambda v: spline(v) - t, *knots[0][[0, -1]], xtol=1e-14) for t in targets]  # noqa: B023
        got, _ = inverse_cubic_spline(np.tile(targets[:, None], 3), *parameters)
        np.testing.assert_allclose(got[:, j], roots, atol=1e-11)
    back, inverse_log_slope = inverse_cubic_spline(tf.identity(y), *parameters)
    np.testing.assert_allclose(back, x, atol=1e-11)
    np.testing.assert_allclose(inverse_log_slope, -log_slope, atol=1e-10)


def test_steffen_slopes_are_those_of_the_paper():
    rng = np.random.default_rng(2)
    widths, heights = np.exp(rng.normal(size=(2, 40, 3)))
    s = heights / widths
    want = np.empty((39, 3))
    for i in range(39):
        p = (s[i] * widths[i + 1] + s[i + 1] * widths[i]) / (widths[i] + widths[i + 1])
        sign = np.sign(s[i]) + np.sign(s[i + 1])
        want[i] = sign * np.minimum(np.minimum(np.abs(s[i]), np.abs(s[i + 1])), 0.5 * np.abs(p))
    np.testing.assert_allclose(steffen_slopes(widths, heights), want, rtol=1e-13)


@pytest.mark.parametrize(
    "dtype,tolerance,jit",
    [(np.float32, 4e-7, True), (np.float32, 4e-7, False), (np.float64, 1e-15, False)],
)
def test_inverse_is_stable_near_every_degenerate_cubic(dtype, tolerance, jit):
    """Lines (a = b = 1), quadratics (a + b = 2), double and nearly triple roots, slopes near 0.

    The residual must be a rounding, whatever the cubic.
    """
    ends = [1e-6, 1e-3, 0.5, 1.0, 1.0 + 1e-7, 1.5, 2.0, 2.999, 3.0 - 1e-6]
    near = np.concatenate([[0.0], np.logspace(-20, -1, 39)])
    grid = np.meshgrid(ends, [*ends, 2.0 - 1e-7], [*near, 0.3, 0.5, 0.7, *(1.0 - near[:-1])])
    a, b, eta = (t.ravel()[np.newaxis].astype(dtype) for t in grid)
    # With both slopes at three the middle of the bin is flat, beyond what `new` makes.
    keep = (np.minimum(a, b) < 2.9999) & (eta < 1.0)
    a, b, eta = (t[keep][np.newaxis] for t in (a, b, eta))
    # One bin [0, 1] by [0, 1] for each.
    parameters = (np.ones_like(a), np.ones_like(a), np.concatenate([a, b]), 0.0, 0.0)
    run = (
        tf.function(inverse_cubic_spline, jit_compile=True, autograph=False)
        if jit
        else inverse_cubic_spline
    )
    theta, log_slope = run(tf.constant(eta), *(tf.constant(p, dtype) for p in parameters))
    assert np.isfinite(theta).all() and np.isfinite(log_slope).all()
    t = theta.numpy().astype(np.float64)
    p = 1.0 - t
    value = t**3 + (3.0 - b.astype(np.float64)) * t * t * p + a.astype(np.float64) * t * p * p
    slope = a * p * p + 2.0 * (3.0 - a.astype(np.float64) - b) * t * p + b * t * t
    # theta itself is known to a rounding only.
    assert np.all(np.abs(value - eta) <= tolerance * (1.0 + slope))


@pytest.mark.parametrize("kernel", DIRECTIONS)
def test_first_and_second_derivatives_agree_with_finite_differences(kernel):
    rng = np.random.default_rng(3)
    widths, heights, slopes, *lower = _parameters(4)
    # Well away from the knots: a finite difference must not cross one.
    start = [np.array([[-3.4, 0.33, 1.5], [2.2, 3.9, -0.4]]), widths, heights, slopes]
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
    np.testing.assert_allclose(slope(zero), (loss(h) - loss(-h)) / (2 * h), rtol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(zero)
        first = slope(zero)
    numeric = (slope(tf.constant(h, tf.float64)) - slope(tf.constant(-h, tf.float64))) / (2 * h)
    np.testing.assert_allclose(tape.gradient(first, zero), numeric, rtol=1e-5)


@pytest.mark.parametrize("identity_tails", [True, False])
@pytest.mark.parametrize("kernel", DIRECTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_knots_and_extremes_are_finite(kernel, dtype, identity_tails):
    parameters = _parameters(8, identity_tails, dtype, concentration=0.5)
    on_x = kernel is cubic_spline
    sizes, lower = (parameters[0], parameters[3]) if on_x else (parameters[1], parameters[4])
    knots = lower + np.cumsum(sizes, axis=0)
    far = np.array([1e30, -1e30, lower], dtype)[:, np.newaxis] * np.ones(3, dtype)
    inputs = [tf.constant(t, dtype) for t in (np.concatenate([knots, far]), *parameters[:3])]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value, log_slope = kernel(*inputs, *parameters[3:])
        loss = tf.reduce_sum(value) + tf.reduce_sum(log_slope)
    for result in (value, log_slope, *tape.gradient(loss, inputs)):
        assert np.isfinite(result).all()
