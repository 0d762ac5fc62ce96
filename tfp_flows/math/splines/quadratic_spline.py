"""The monotone quadratic spline, whose slope is piecewise linear: value, inverse, log-slopes."""

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.splines import _spline_bins


def quadratic_spline(
    x: ArrayLike, widths: ArrayLike, slopes: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """y = y_k + w theta (d_k (1 + phi) + d_{k+1} theta) / 2, elementwise.

    Here bin k holds x, w is its width, (x_k, y_k) its left knot, d_k and d_{k+1} are the slopes
    at its ends, `theta = (x - x_k) / w` and `phi = 1 - theta`. The slope is their line,

        log dy/dx = log(d_k phi + d_{k+1} theta),

    and the height of a bin the area below it, `h = w (d_k + d_{k+1}) / 2`.

    Outside of the knots the line of the boundary slope continues the spline; without boundary
    slopes this line is y = x. Derivatives of every order are those of the formula (of each
    piece; at a knot the spline itself is once differentiable).

    Source: Mueller, McWilliams, Rousselle, Gross and Novak (2019), Neural Importance Sampling,
    arXiv:1808.03856, 4.2.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      slopes: positive `Tensor`. `[..., K - 1, D]`: the slopes at the interior knots, and
        identity tails: heights and widths must have one sum. `[..., K + 1, D]`: the slopes at
        all knots, and linear tails.
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, likewise; equal to `lower_x` with identity tails.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.
    """
    x = tf.convert_to_tensor(x)
    widths, slopes = (tf.convert_to_tensor(t, x.dtype) for t in (widths, slopes))
    heights = quadratic_heights(widths, slopes)
    piece = _spline_bins.select(x, True, widths, heights, slopes, lower_x, lower_y)
    w, d0, d1 = piece.width, piece.slope_left, piece.slope_right
    offset = _spline_bins.into(piece.position - piece.x, w)
    # phi from the right knot: 1 - theta would have lost the digits of a small phi.
    theta, phi = offset / w, (w - offset) / w
    y = piece.y + 0.5 * offset * (d0 * (1.0 + phi) + d1 * theta)
    return _spline_bins.with_tail(piece, True, y, tf.math.log(d0 * phi + d1 * theta))


def inverse_quadratic_spline(
    y: ArrayLike, widths: ArrayLike, slopes: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """x = x_k + w theta, with theta = eta (d_k + d_{k+1}) / (d_k + r).

    With `eta = (y - y_k) / h` and `xi = 1 - eta`, the slope at the root,
    `r = sqrt(d_k^2 xi + d_{k+1}^2 eta)`, is a mean of those at the knots: nothing cancels, not
    where the bin is nearly linear either, and

        log dx/dy = -log r.

    The closed form is differentiated as it stands: r vanishes nowhere, so derivatives of every
    order are exact. Letters, arguments and source as in `quadratic_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.
    """
    y = tf.convert_to_tensor(y)
    widths, slopes = (tf.convert_to_tensor(t, y.dtype) for t in (widths, slopes))
    heights = quadratic_heights(widths, slopes)
    piece = _spline_bins.select(y, False, widths, heights, slopes, lower_x, lower_y)
    w, h, d0, d1 = piece.width, piece.height, piece.slope_left, piece.slope_right
    offset = _spline_bins.into(piece.position - piece.y, h)
    eta, xi = offset / h, (h - offset) / h
    # Divided by the larger slope, squares neither overflow nor underflow to r = 0. The scale
    # cancels, so it needs no gradient.
    scale = tf.stop_gradient(tf.maximum(d0, d1))
    r = scale * tf.sqrt(tf.square(d0 / scale) * xi + tf.square(d1 / scale) * eta)
    x = piece.x + w * eta * ((d0 + d1) / (d0 + r))
    return _spline_bins.with_tail(piece, False, x, -tf.math.log(r))


def quadratic_heights(widths: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
    """h = w (d_k + d_{k+1}) / 2, `[..., K, D]`, of the arguments of `quadratic_spline`."""
    slopes = _spline_bins.slopes_at_all_knots(slopes, widths.shape[-2])
    return 0.5 * widths * (slopes[..., :-1, :] + slopes[..., 1:, :])
