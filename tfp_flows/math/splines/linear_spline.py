"""The monotone linear spline: value, inverse and log-derivatives."""

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.splines import _spline_bins


def linear_spline(
    x: ArrayLike, widths: ArrayLike, heights: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y = y_k + h \theta$

    A monotone, piecewise linear spline, elementwise, and its log-derivative.

    Bin k holds x. Its width and height are w and h, and its left knot is $(x_k, y_k)$. Here
    $\theta = (x - x_k) / w$, so $\log dy/dx = \log(h / w)$. Outside of the knots y = x. At each
    knot, including those at the ends, the slope jumps. At a knot it is that of the bin on the
    right.

    Source: Mueller, McWilliams, Rousselle, Gross and Novak (2019), Neural Importance Sampling,
    arXiv:1808.03856, 4.1.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      heights: positive `Tensor` `[..., K, D]`, with the same sum over bins as `widths`.
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, a scalar or `[..., D]`; equal to `lower_x`.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tfp_flows as tfpf
      >>> widths, heights = [[1.0], [1.0]], [[0.5], [1.5]]  # K = 2 bins before D = 1 coordinate
      >>> x = [[0.5], [1.5], [3.0]]
      >>> y, log_slope = tfpf.math.linear_spline(x, widths, heights, 0.0, 0.0)
      >>> y.numpy().round(2).ravel()
      array([0.25, 1.25, 3.  ], dtype=float32)

    See also: `tfpf.math.inverse_linear_spline`, `tfpf.bijectors.LinearSpline`.
    """
    piece = _spline_bins.select(x, True, widths, heights, None, lower_x, lower_y)
    w, h = piece.width, piece.height
    theta = _spline_bins.into(piece.position - piece.x, w) / w
    return _spline_bins.with_tail(piece, True, piece.y + h * theta, tf.math.log(h) - tf.math.log(w))


def inverse_linear_spline(
    y: ArrayLike, widths: ArrayLike, heights: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$x = x_k + w \eta, \quad \eta = (y - y_k) / h$

    The inverse of `tfpf.math.linear_spline`, elementwise, and its log-derivative.

    Letters, arguments and source are those of `linear_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tfp_flows as tfpf
      >>> widths, heights = [[1.0], [1.0]], [[0.5], [1.5]]
      >>> y = [[0.25], [1.25], [3.0]]
      >>> x, log_slope = tfpf.math.inverse_linear_spline(y, widths, heights, 0.0, 0.0)
      >>> x.numpy().round(2).ravel()
      array([0.5, 1.5, 3. ], dtype=float32)
    """
    piece = _spline_bins.select(y, False, widths, heights, None, lower_x, lower_y)
    w, h = piece.width, piece.height
    eta = _spline_bins.into(piece.position - piece.y, h) / h
    return _spline_bins.with_tail(piece, False, piece.x + w * eta, tf.math.log(w) - tf.math.log(h))
