"""The monotone quadratic spline: value, inverse and log-derivatives."""

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.splines import _spline_bins


def quadratic_spline(
    x: ArrayLike, widths: ArrayLike, slopes: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y = y_k + w \theta (d_k (1 + \phi) + d_{k+1} \theta) / 2$

    A monotone quadratic spline, elementwise, and its log-derivative.

    Bin k holds x. Its width is w, and its left knot is $(x_k, y_k)$. The slopes at its ends are
    $d_k$ and $d_{k+1}$. Here $\theta = (x - x_k) / w$ and $\phi = 1 - \theta$. Through the bin the
    slope changes linearly:

        $\log dy/dx = \log(d_k \phi + d_{k+1} \theta)$

    The height of a bin is the area below it, $h = w (d_k + d_{k+1}) / 2$.

    Outside of the knots a line with the slope at the end continues the spline. Without slopes at
    the ends this line is y = x. Derivatives of every order are those of the formula of each piece.
    At a knot the spline is once differentiable.

    Source: Mueller, McWilliams, Rousselle, Gross and Novak (2019), Neural Importance Sampling,
    arXiv:1808.03856, 4.2.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      slopes: positive `Tensor`. `[..., K - 1, D]`: the slopes at the interior knots, and identity
        tails; heights and widths must then have the same sum. `[..., K + 1, D]`: the slopes at all
        knots, and linear tails.
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, a scalar or `[..., D]`; equal to `lower_x` with identity tails.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tfp_flows as tfpf
      >>> widths, slopes = [[2.0]], [[0.5], [1.5]]  # K = 1 bin before D = 1 coordinate
      >>> x = [[1.0], [2.0], [3.0]]
      >>> y, log_slope = tfpf.math.quadratic_spline(x, widths, slopes, 0.0, 0.0)
      >>> y.numpy().round(2).ravel()
      array([0.75, 2.  , 3.5 ], dtype=float32)

    See also: `tfpf.math.inverse_quadratic_spline`, `tfpf.bijectors.QuadraticSpline`.
    """
    x = tf.convert_to_tensor(x)
    widths, slopes = (tf.convert_to_tensor(t, x.dtype) for t in (widths, slopes))
    heights = quadratic_heights(widths, slopes)
    piece = _spline_bins.select(x, True, widths, heights, slopes, lower_x, lower_y)
    w, d0, d1 = piece.width, piece.slope_left, piece.slope_right
    offset = _spline_bins.into(piece.position - piece.x, w)
    # phi is measured from the right knot: 1 - theta would lose the digits of a small phi.
    theta, phi = offset / w, (w - offset) / w
    y = piece.y + 0.5 * offset * (d0 * (1.0 + phi) + d1 * theta)
    return _spline_bins.with_tail(piece, True, y, tf.math.log(d0 * phi + d1 * theta))


def inverse_quadratic_spline(
    y: ArrayLike, widths: ArrayLike, slopes: ArrayLike, lower_x: ArrayLike, lower_y: ArrayLike
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$x = x_k + w \theta, \quad \theta = \eta (d_k + d_{k+1}) / (d_k + r)$

    The inverse of `tfpf.math.quadratic_spline`, elementwise, and its log-derivative.

    Here $\eta = (y - y_k) / h$ and $\xi = 1 - \eta$. The slope at the root is
    $r = \sqrt{d_k^2 \xi + d_{k+1}^2 \eta}$, a mean of those at the knots, so
    $\log dx/dy = -\log r$. Nothing cancels, even where the bin is nearly linear.

    r is never zero, so autodiff of the closed form gives exact derivatives of every order. Letters,
    arguments and source are those of `quadratic_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tfp_flows as tfpf
      >>> widths, slopes = [[2.0]], [[0.5], [1.5]]
      >>> y = [[0.75], [2.0], [3.5]]
      >>> x, log_slope = tfpf.math.inverse_quadratic_spline(y, widths, slopes, 0.0, 0.0)
      >>> x.numpy().round(2).ravel()
      array([1., 2., 3.], dtype=float32)
    """
    y = tf.convert_to_tensor(y)
    widths, slopes = (tf.convert_to_tensor(t, y.dtype) for t in (widths, slopes))
    heights = quadratic_heights(widths, slopes)
    piece = _spline_bins.select(y, False, widths, heights, slopes, lower_x, lower_y)
    w, h, d0, d1 = piece.width, piece.height, piece.slope_left, piece.slope_right
    offset = _spline_bins.into(piece.position - piece.y, h)
    eta, xi = offset / h, (h - offset) / h
    # After division by the larger slope, squares neither overflow nor underflow to r = 0. The
    # scale cancels, so it needs no gradient.
    scale = tf.stop_gradient(tf.maximum(d0, d1))
    r = scale * tf.sqrt(tf.square(d0 / scale) * xi + tf.square(d1 / scale) * eta)
    x = piece.x + w * eta * ((d0 + d1) / (d0 + r))
    return _spline_bins.with_tail(piece, False, x, -tf.math.log(r))


def quadratic_heights(widths: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
    """$h = w (d_k + d_{k+1}) / 2$, `[..., K, D]`, for the arguments of `quadratic_spline`."""
    slopes = _spline_bins.slopes_at_all_knots(slopes, widths.shape[-2])
    return 0.5 * widths * (slopes[..., :-1, :] + slopes[..., 1:, :])
