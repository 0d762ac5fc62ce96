"""The monotone cubic spline: value, inverse, log-derivatives, and Steffen's slopes."""

import ml_dtypes
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.splines import _spline_bins


def cubic_spline(
    x: ArrayLike,
    widths: ArrayLike,
    heights: ArrayLike,
    slopes: ArrayLike,
    lower_x: ArrayLike,
    lower_y: ArrayLike,
) -> tuple[tf.Tensor, tf.Tensor]:
    """y = y_k + h theta (theta^2 + (3 - b) theta phi + a phi^2), elementwise.

    Here bin k holds x, w and h are its width and height, (x_k, y_k) is its left knot,
    `theta = (x - x_k) / w`, `phi = 1 - theta`, `s = h / w`, and `a = d_k / s`,
    `b = d_{k+1} / s` are the slopes at its ends relative to that of the chord:

        log dy/dx = log s + log(a phi^2 + 2 (3 - a - b) theta phi + b theta^2).

    Outside of the knots the line of the boundary slope continues the spline; without boundary
    slopes this line is y = x.

    Source: Durkan, Bekasov, Murray and Papamakarios (2019), Cubic-Spline Flows,
    arXiv:1906.02145; Fritsch and Carlson (1980), Monotone piecewise cubic interpolation.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      heights: positive `Tensor` `[..., K, D]`. With identity tails they must add up to the same
        number as `widths`.
      slopes: positive `Tensor`. `[..., K - 1, D]`: the slopes at the interior knots, and
        identity tails. `[..., K + 1, D]`: the slopes at all knots, and linear tails. The spline
        is monotone if no slope is above three times that of a chord beside it (but both ends of
        one bin at three times its chord).
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, likewise; equal to `lower_x` with identity tails.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.
    """
    piece = _spline_bins.select(x, True, widths, heights, slopes, lower_x, lower_y)
    w, h = piece.width, piece.height
    offset = _spline_bins.into(piece.position - piece.x, w)
    # phi from the right knot: 1 - theta would have lost the digits of a small phi.
    theta, phi = offset / w, (w - offset) / w
    s = h / w
    a, b = piece.slope_left / s, piece.slope_right / s
    value, slope = _unit_cubic(theta, phi, a, b)
    y = piece.y + h * value
    return _spline_bins.with_tail(piece, True, y, tf.math.log(s) + tf.math.log(slope))


def inverse_cubic_spline(
    y: ArrayLike,
    widths: ArrayLike,
    heights: ArrayLike,
    slopes: ArrayLike,
    lower_x: ArrayLike,
    lower_y: ArrayLike,
) -> tuple[tf.Tensor, tf.Tensor]:
    """x = x_k + w theta, the root theta in [0, 1] of the cubic of `cubic_spline`.

    The closed form of the root is good to about the square root of the precision where the
    cubic has nearly a double root; two Newton steps make it exact, and its first and second
    derivatives with it, since the steps are differentiated and the closed form is not. Letters,
    arguments and source as in `cubic_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.
    """
    piece = _spline_bins.select(y, False, widths, heights, slopes, lower_x, lower_y)
    w, h = piece.width, piece.height
    offset = _spline_bins.into(piece.position - piece.y, h)
    eta, xi = offset / h, (h - offset) / h
    s = h / w
    a, b = piece.slope_left / s, piece.slope_right / s
    # From the knot that is nearer in y, which mirrors the cubic.
    mirrored = eta > xi
    eta, xi = tf.where(mirrored, xi, eta), tf.where(mirrored, eta, xi)
    a, b = tf.where(mirrored, b, a), tf.where(mirrored, a, b)
    theta = tf.stop_gradient(_root(eta, xi, a, b))
    for _ in range(2):
        value, slope = _unit_cubic(theta, 1.0 - theta, a, b)
        theta = _spline_bins.into(theta - (value - eta) / slope, tf.ones([], theta.dtype))
    _, slope = _unit_cubic(theta, 1.0 - theta, a, b)
    x = piece.x + w * tf.where(mirrored, 1.0 - theta, theta)
    return _spline_bins.with_tail(piece, False, x, -tf.math.log(s) - tf.math.log(slope))


def steffen_slopes(widths: tf.Tensor, heights: tf.Tensor) -> tf.Tensor:
    """d_k = min(2 s_{k-1}, 2 s_k, p_k), at the K - 1 interior knots.

    Here `s = h / w` are the slopes of the chords, and
    `p_k = (s_{k-1} w_k + s_k w_{k-1}) / (w_{k-1} + w_k)` is that of the parabola through three
    knots. The cubic spline with these slopes is monotone.

    Source: Steffen (1990), A simple method for monotonic interpolation in one dimension, (11).

    Args:
      widths: positive `Tensor` `[..., K, D]`.
      heights: positive `Tensor` `[..., K, D]`.

    Returns:
      `Tensor` `[..., K - 1, D]`.
    """
    s = heights / widths
    s0, s1, w0, w1 = s[..., :-1, :], s[..., 1:, :], widths[..., :-1, :], widths[..., 1:, :]
    p = (s0 * w1 + s1 * w0) / (w0 + w1)
    return tf.minimum(2.0 * tf.minimum(s0, s1), p)


def _unit_cubic(
    theta: tf.Tensor, phi: tf.Tensor, a: tf.Tensor, b: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """From (0, 0) to (1, 1) with the slopes a and b: value and slope."""
    value = theta * (theta * (theta + (3.0 - b) * phi) + a * phi * phi)
    slope = a * phi * phi + 2.0 * (3.0 - a - b) * theta * phi + b * theta * theta
    return value, slope


def _root(eta: tf.Tensor, xi: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """theta of value eta <= 1/2, by a cubic in z = theta / phi whose first coefficient is xi.

    `eta (theta + phi)^3 = theta^3 + (3 - b) theta^2 phi + a theta phi^2` is

        xi z^3 + (3 - b - 3 eta) z^2 + (a - 3 eta) z - eta = 0,

    which has one root z >= 0 because the spline is monotone. As xi >= 1/2, it never
    degenerates, also where the cubic in theta is a quadratic or a line.
    """
    third = 1.0 / 3.0
    # z = t - m, with t^3 + 3 p t - 2 q = 0.
    m = third * (3.0 - b - 3.0 * eta) / xi
    c = (a - 3.0 * eta) / xi
    p = third * c - m * m
    q = 0.5 * (eta / xi + m * c) - m * m * m
    discriminant = q * q + p * p * p
    # One real root, by Cardano, with the sign for which nothing cancels; q = p = 0 gives t = 0.
    root = tf.sqrt(tf.maximum(discriminant, 0.0))
    cube = q + tf.where(q < 0.0, -root, root)
    u = tf.sign(cube) * tf.pow(tf.abs(cube), third)
    one = u - tf.math.divide_no_nan(p, u)
    # Three real roots: the largest is the one that is not negative.
    size = tf.sqrt(tf.maximum(-p, 0.0))
    cosine = tf.math.divide_no_nan(q, size * size * size)
    three = 2.0 * size * tf.cos(third * tf.acos(tf.clip_by_value(cosine, -1.0, 1.0)))
    z = tf.maximum(tf.where(discriminant < 0.0, three, one) - m, 0.0)
    # A small root near a knot of small slope is nearly double: its digits were lost in t - m,
    # and from z = 0 Newton would jump far. There z^3 hardly counts.
    numerator = 2.0 * eta / xi
    denominator = c + tf.sqrt(tf.maximum(c * c + 6.0 * m * numerator, 0.0))
    small = numerator < ml_dtypes.finfo(z.dtype.as_numpy_dtype).eps ** 0.25 * denominator
    z = tf.where(small, tf.math.divide_no_nan(numerator, denominator), z)
    return z / (1.0 + z)
