"""The spline kernel against a naive float64 reference, autodiff and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import inverse_rational_quadratic_spline
from tfp_flows.math.splines import rational_quadratic_spline

DIRECTIONS = [rational_quadratic_spline, inverse_rational_quadratic_spline]
LOWER_X, LOWER_Y = -3.0, -2.0


def _parameters(num_bins, tails, seed=0, size=5, scale=1.5, dtype=np.float64):
    rng = np.random.default_rng(seed)

    def fractions():
        e = np.exp(scale * rng.normal(size=(num_bins, size)))
        return 0.98 * e / e.sum(0) + 0.02 / num_bins

    widths, heights = 6.0 * fractions(), (6.0 if tails == "identity" else 4.5) * fractions()
    slopes = np.exp(scale * rng.normal(size=(num_bins + (1 if tails == "linear" else -1), size)))
    lower_y = LOWER_X if tails == "identity" else LOWER_Y
    return [a.astype(dtype) for a in (widths, heights, slopes)] + [dtype(LOWER_X), dtype(lower_y)]


def _reference(x, widths, heights, slopes, lower_x, lower_y):
    """One coordinate, one point, as in the paper."""
    knots_x = np.concatenate([[lower_x], lower_x + np.cumsum(widths)])
    knots_y = np.concatenate([[lower_y], lower_y + np.cumsum(heights)])
    if len(slopes) < len(widths):
        slopes = np.concatenate([[1.0], slopes, [1.0]])
    if x < knots_x[0]:
        return knots_y[0] + slopes[0] * (x - knots_x[0]), np.log(slopes[0])
    if x >= knots_x[-1]:
        return knots_y[-1] + slopes[-1] * (x - knots_x[-1]), np.log(slopes[-1])
    k = np.searchsorted(knots_x, x, side="right") - 1
    s = heights[k] / widths[k]
    z = (x - knots_x[k]) / widths[k]
    bottom = s + (slopes[k + 1] + slopes[k] - 2 * s) * z * (1 - z)
    y = knots_y[k] + heights[k] * (s * z**2 + slopes[k] * z * (1 - z)) / bottom
    top = slopes[k + 1] * z**2 + 2 * s * z * (1 - z) + slopes[k] * (1 - z) ** 2
    return y, np.log(s**2 * top / bottom**2)


@pytest.mark.parametrize("tails", ["identity", "linear"])
@pytest.mark.parametrize("num_bins", [1, 2, 8])
def test_agrees_with_reference_in_both_directions(num_bins, tails):
    parameters = _parameters(num_bins, tails)
    x = np.random.default_rng(1).uniform(-5.0, 5.0, (40, 5))
    want = np.array(
        [
            [
                _reference(v, *(p[:, j] for p in parameters[:3]), *parameters[3:])
                for j, v in enumerate(row)
            ]
            for row in x
        ]
    )
    y, log_slope = rational_quadratic_spline(x, *parameters)
    np.testing.assert_allclose(y, want[..., 0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_slope, want[..., 1], atol=1e-12)
    back, inverse_log_slope = inverse_rational_quadratic_spline(want[..., 0], *parameters)
    np.testing.assert_allclose(back, x, atol=1e-11)
    np.testing.assert_allclose(inverse_log_slope, -want[..., 1], atol=1e-10)


@pytest.mark.parametrize("tails", ["identity", "linear"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_log_slope_is_autodiff_of_value(direction, tails):
    parameters = _parameters(8, tails)
    v = tf.constant(np.random.default_rng(2).uniform(-5.0, 5.0, (40, 5)))
    with tf.GradientTape() as tape:
        tape.watch(v)
        value, log_slope = direction(v, *parameters)
    np.testing.assert_allclose(tf.math.log(tape.gradient(value, v)), log_slope, atol=1e-10)


@pytest.mark.parametrize("tails", ["identity", "linear"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gradients_agree_with_finite_differences(direction, tails):
    parameters = _parameters(4, tails, size=2, scale=0.7)
    # Well away from the knots: a finite difference must not cross one.
    v = np.array([[-4.0, 0.33], [1.234, 3.9], [-1.7, 0.51]])
    inputs = [v, *parameters[:3]]
    weights = np.random.default_rng(3).normal(size=(2, 3, 2))

    def loss(*args):
        sizes = (tf.expand_dims(a, -3) for a in args[1:])
        value, log_slope = direction(args[0], *sizes, *parameters[3:])
        # Not over the leading axis, along which what is moved a little is stacked.
        return tf.reduce_sum(weights[0] * value + weights[1] * log_slope, axis=[-2, -1])

    # Second order: the same check of the gradient of the gradient, along the weights.
    def directional(*args):
        with tf.GradientTape() as tape:
            args = [tf.convert_to_tensor(a) for a in args]
            tape.watch(args)
            out = loss(*args)
        grads = tape.gradient(out, args)
        return tf.add_n(
            [tf.reduce_sum(tf.sin(a) * g, axis=[-2, -1]) for a, g in zip(args, grads, strict=True)]
        )

    for function in (loss, directional):
        tensors = [tf.constant(a) for a in inputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            out = function(*tensors)
        for i, grad in enumerate(tape.gradient(out, tensors)):
            # As many copies of all as there are entries: one of each is moved.
            copies = [np.repeat(a[np.newaxis], inputs[i].size, axis=0) for a in inputs]
            steps = 1e-6 * np.eye(inputs[i].size).reshape(-1, *inputs[i].shape)
            up, down = (
                function(*copies[:i], copies[i] + step, *copies[i + 1 :])
                for step in (steps, -steps)
            )
            numeric = np.reshape((up - down) / 2e-6, inputs[i].shape)
            np.testing.assert_allclose(grad, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tails", ["identity", "linear"])
def test_knots_map_to_knots_with_their_slopes(tails, dtype):
    widths, heights, slopes, lower_x, lower_y = _parameters(8, tails, dtype=dtype)

    def knots(sizes, lower):
        sums = [np.zeros_like(sizes[0])]
        for size in sizes:
            sums.append(sums[-1] + size)
        return lower + np.stack(sums)

    x, y = knots(widths, lower_x), knots(heights, lower_y)
    eps = np.finfo(dtype).eps
    # A knot read as the end of the bin before it, by one rounding, is as exact in value.
    got, log_slope = rational_quadratic_spline(x, widths, heights, slopes, lower_x, lower_y)
    np.testing.assert_allclose(got, y, rtol=0, atol=20 * eps)
    back, inverse_log_slope = inverse_rational_quadratic_spline(
        y, widths, heights, slopes, lower_x, lower_y
    )
    np.testing.assert_allclose(back, x, rtol=0, atol=20 * eps)
    if tails == "identity":
        slopes = np.pad(slopes, [[1, 1], [0, 0]], constant_values=1.0)
    np.testing.assert_allclose(log_slope, np.log(slopes), atol=2e4 * eps)
    np.testing.assert_allclose(inverse_log_slope, -np.log(slopes), atol=2e4 * eps)


@pytest.mark.parametrize("tails", ["identity", "linear"])
def test_value_is_continuous_at_the_ends(tails):
    parameters = _parameters(8, tails, dtype=np.float32)
    upper = LOWER_X + parameters[0].sum(0)
    for end in (np.full(5, LOWER_X, np.float32), upper):
        x = np.stack([end - 2e-6, end, end + 2e-6]).astype(np.float32)
        y, log_slope = rational_quadratic_spline(x, *parameters)
        slope = np.exp(np.max(log_slope, axis=0))
        assert np.all(np.ptp(y, axis=0) <= 4e-6 * slope + 4e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tails", ["identity", "linear"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_extremes_are_finite(direction, tails, dtype):
    parameters = [tf.constant(p) for p in _parameters(8, tails, dtype=dtype)]
    x = np.array([1e30, -1e30, LOWER_X, LOWER_X + 6.0, 0.0], dtype)[:, None] * np.ones(5, dtype)

    def run(x):
        inputs = [x, *parameters[:3]]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value, log_slope = direction(*inputs, *parameters[3:])
            loss = tf.reduce_sum(value) + tf.reduce_sum(log_slope)
        return value, log_slope, *tape.gradient(loss, inputs)

    assert all(np.isfinite(out).all() for out in run(tf.constant(x)))
    infinite = np.array([np.inf, -np.inf], dtype)[:, None] * np.ones(5, dtype)
    value, log_slope = direction(infinite, *parameters)
    np.testing.assert_array_equal(value, infinite)
    assert np.isfinite(log_slope).all()


def test_batch_shapes_of_parameters_broadcast():
    widths, heights, slopes, *lower = _parameters(8, "identity")
    x = np.random.default_rng(4).normal(size=(7, 3, 5))
    want = rational_quadratic_spline(x, widths, heights, slopes, *lower)
    got = rational_quadratic_spline(x, widths, np.stack([heights] * 3), slopes, *lower)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)
