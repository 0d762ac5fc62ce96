"""The monotone linear spline: value, inverse and log-derivatives."""

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.splines import _spline_bins


def linear_spline(
    x: ArrayLike, widths: ArrayLike, heights: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """y = y_k + h theta, elementwise.

    Here bin k holds x, w and h are its width and height, (x_k, y_k) is its left knot, and
    `theta = (x - x_k) / w`, so that `log dy/dx = log(h / w)`. Outside of the knots y = x; at the
    knots, those at the ends included, the slope jumps (it is that of the bin on the right).

    Source: Mueller, McWilliams, Rousselle, Gross and Novak (2019), Neural Importance Sampling,
    arXiv:1808.03856, 4.1.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      heights: positive `Tensor` `[..., K, D]`, of the same sum over bins as `widths`.
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, likewise; equal to `lower_x`.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.
    """
    piece = _spline_bins.select(x, True, widths, heights, None, lower_x, lower_y)
    w, h = piece.width, piece.height
    theta = _spline_bins.into(piece.position - piece.x, w) / w
    return _spline_bins.with_tail(piece, True, piece.y + h * theta, tf.math.log(h) - tf.math.log(w))


def inverse_linear_spline(
    y: ArrayLike, widths: ArrayLike, heights: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    """x = x_k + w eta, with eta = (y - y_k) / h.

    Letters, arguments and source as in `linear_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.
    """
    piece = _spline_bins.select(y, False, widths, heights, None, lower_x, lower_y)
    w, h = piece.width, piece.height
    eta = _spline_bins.into(piece.position - piece.y, h) / h
    return _spline_bins.with_tail(piece, False, piece.x + w * eta, tf.math.log(w) - tf.math.log(h))
