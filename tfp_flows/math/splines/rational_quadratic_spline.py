"""The monotone rational-quadratic spline: value, inverse and log-derivatives."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.splines import _spline_bins


def rational_quadratic_spline(
    x: ArrayLike,
    widths: ArrayLike,
    heights: ArrayLike,
    slopes: ArrayLike,
    lower_x: ArrayLike,
    lower_y: ArrayLike,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y = y_k + h \theta p / q, \quad p = \theta + a \phi, \quad q = \theta p + \phi r$

    A monotone rational-quadratic spline, elementwise, and its log-derivative.

    Bin k holds x. Its width and height are w and h, and its left knot is $(x_k, y_k)$. Here
    $\theta = (x - x_k) / w$, $\phi = 1 - \theta$ and $r = \phi + b \theta$. The slopes at its ends,
    relative to that of the chord, are $a = d_k w / h$ and $b = d_{k+1} w / h$. With
    $n = \theta r + \phi p$ the log-slope is

        $\log dy/dx = \log(n h / w) - 2 \log q$

    Outside of the knots a line with the slope at the end continues the spline. Without slopes at
    the ends this line is exactly y = x.

    The axis of bins comes before the last one, because XLA vectorizes loops over the last axis on a
    CPU. Where D is short, put the rows of a batch on the last axis, as the bijectors do.

    Derivatives of every order with respect to `x` and the parameters are those of the formula of
    each piece. At a knot the spline is once differentiable.

    Source: Gregory and Delbourgo (1982), Piecewise rational quadratic interpolation to monotonic
    data; Durkan, Bekasov, Murray and Papamakarios (2019), arXiv:1906.04032, A.1, A.2.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      heights: positive `Tensor` `[..., K, D]`. With identity tails they must add up to the same
        number as `widths`.
      slopes: positive `Tensor`. `[..., K - 1, D]`: the slopes at the interior knots, and identity
        tails. `[..., K + 1, D]`: the slopes at all knots, and linear tails.
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, a scalar or `[..., D]`; equal to `lower_x` with identity tails.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tfp_flows as tfpf
      >>> widths, heights, slopes = [[1.0], [1.0]], [[0.5], [1.5]], [[1.0]]  # K = 2 bins, D = 1
      >>> x = [[0.0], [1.0], [3.0]]
      >>> y, log_slope = tfpf.math.rational_quadratic_spline(x, widths, heights, slopes, 0.0, 0.0)
      >>> y.numpy().round(2).ravel()  # the knots are (0, 0), (1, 0.5) and (2, 2), then y = x
      array([0. , 0.5, 3. ], dtype=float32)

    See also: `tfpf.math.inverse_rational_quadratic_spline`,
    `tfpf.bijectors.RationalQuadraticSpline`.
    """
    piece = _spline_bins.select(x, True, widths, heights, slopes, lower_x, lower_y)
    offset = _spline_bins.into(piece.position - piece.x, piece.width)
    rise, log_slope = _rise(offset, piece.width, piece.height, piece.slope_left, piece.slope_right)
    return _spline_bins.with_tail(piece, True, piece.y + rise, log_slope)


def inverse_rational_quadratic_spline(
    y: ArrayLike,
    widths: ArrayLike,
    heights: ArrayLike,
    slopes: ArrayLike,
    lower_x: ArrayLike,
    lower_y: ArrayLike,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$x = x_k + w \theta$, with the root $\theta$ in [0, 1] of $\eta q = \theta p$

    The inverse of `tfpf.math.rational_quadratic_spline`, elementwise, and its log-derivative.

    Here $\eta = (y - y_k) / h$, $\xi = 1 - \eta$, $t = a \xi - b \eta$ and
    $\text{root} = \sqrt{t^2 + 4 \eta \xi}$. This root is that of the usual discriminant, written as
    a sum of squares, so its argument is never negative and nothing cancels:

        $\theta : \phi = 2 \eta : \text{root} + t$ where $t \ge 0$,
        $\theta : \phi = \text{root} - t : 2 \xi$ elsewhere,
        $\log dx/dy = \log(q w / h) - \log \text{root}$.

    Letters, arguments, derivatives and sources are those of `rational_quadratic_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tfp_flows as tfpf
      >>> widths, heights, slopes = [[1.0], [1.0]], [[0.5], [1.5]], [[1.0]]
      >>> x, log_slope = tfpf.math.inverse_rational_quadratic_spline(
      ...     [[0.5], [3.0]], widths, heights, slopes, lower_x=0.0, lower_y=0.0
      ... )
      >>> x.numpy().round(2).ravel()
      array([1., 3.], dtype=float32)
    """
    piece = _spline_bins.select(y, False, widths, heights, slopes, lower_x, lower_y)
    offset = _spline_bins.into(piece.position - piece.y, piece.height)
    run, log_slope = _run(offset, piece.width, piece.height, piece.slope_left, piece.slope_right)
    return _spline_bins.with_tail(piece, False, piece.x + run, log_slope)


# Gradients within a bin are written by hand, for both directions. Their graph is a third as large
# as that of autodiff, and compiles faster. Divisions end fusions of XLA, so they are kept few.


@tf.custom_gradient
def _rise(
    offset: tf.Tensor, w: tf.Tensor, h: tf.Tensor, slope_left: tf.Tensor, slope_right: tf.Tensor
) -> tuple[Any, Callable[..., Any]]:
    """`(y - y_k, log dy/dx)` as a function of x - x_k."""
    per_w = 1.0 / w
    # phi is measured from the right knot: 1 - theta would lose the digits of a small phi.
    theta, phi = offset * per_w, (w - offset) * per_w
    point = _point(theta, phi, w / h, slope_left, slope_right)
    per_q = 1.0 / point.q
    f = theta * point.p * per_q
    # q^2 may overflow where its logarithm is harmless.
    log_slope = tf.math.log(point.n * h * per_w) - 2.0 * tf.math.log(point.q)

    def gradient(to_rise: tf.Tensor, to_log_slope: tf.Tensor) -> tuple[tf.Tensor, ...]:
        through_value = to_rise * h * (point.n * per_q * per_q)
        to_theta = through_value + to_log_slope * _log_slope_by_theta(point)
        to_shape = _to_shape(point, w, h, to_rise * f, through_value, to_log_slope, to_theta)
        return to_theta * per_w, *to_shape

    return (h * f, log_slope), gradient


@tf.custom_gradient
def _run(
    offset: tf.Tensor, w: tf.Tensor, h: tf.Tensor, slope_left: tf.Tensor, slope_right: tf.Tensor
) -> tuple[Any, Callable[..., Any]]:
    """`(x - x_k, log dx/dy)` as a function of y - y_k."""
    per_h = 1.0 / h
    eta, xi = offset * per_h, (h - offset) * per_h
    w_over_h = w * per_h
    t = w_over_h * (slope_left * xi - slope_right * eta)
    # After division by a number of its own size, t^2 neither overflows nor underflows to a root
    # of 0. The scale cancels, so second derivatives need no gradient of it.
    scale = tf.stop_gradient(tf.maximum(tf.abs(t), tf.minimum(eta, xi)))
    per_scale = 1.0 / scale
    root = scale * tf.sqrt(tf.square(t * per_scale) + 4.0 * (eta * per_scale) * (xi * per_scale))
    rising = t >= 0.0
    sum_of_like_signs = tf.where(rising, root + t, root - t)
    left = tf.where(rising, 2.0 * eta, sum_of_like_signs)
    right = tf.where(rising, sum_of_like_signs, 2.0 * xi)
    per_sum = 1.0 / (left + right)
    theta, phi = left * per_sum, right * per_sum
    point = _point(theta, phi, w_over_h, slope_left, slope_right)
    log_slope = tf.math.log(point.q * w_over_h) - tf.math.log(root)

    def gradient(to_run: tf.Tensor, to_log_slope: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # y is fixed: when a parameter raises the spline, x moves back by as much.
        to_log = -to_log_slope
        to_theta = to_run * w + to_log * _log_slope_by_theta(point)
        to_offset = to_theta * (point.q / point.n) * point.q * per_h
        to_height = -to_offset * eta
        return to_offset, *_to_shape(point, w, h, to_height, -to_theta, to_log, -to_run * w)

    return (w * theta, log_slope), gradient


class _Point(NamedTuple):
    """A position within a bin, in the letters of `rational_quadratic_spline`."""

    theta: tf.Tensor
    phi: tf.Tensor
    w_over_h: tf.Tensor
    a: tf.Tensor
    b: tf.Tensor
    p: tf.Tensor
    r: tf.Tensor
    q: tf.Tensor
    n: tf.Tensor


def _point(
    theta: tf.Tensor,
    phi: tf.Tensor,
    w_over_h: tf.Tensor,
    slope_left: tf.Tensor,
    slope_right: tf.Tensor,
) -> _Point:
    a, b = slope_left * w_over_h, slope_right * w_over_h
    p, r = theta + a * phi, phi + b * theta
    return _Point(theta, phi, w_over_h, a, b, p, r, theta * p + phi * r, theta * r + phi * p)


def _log_slope_by_theta(point: _Point) -> tf.Tensor:
    r"""$d/d\theta (\log n - 2 \log q) = 2 (r - p) / n - 2 (a + b - 2) (\phi - \theta) / q$."""
    theta, phi, _, a, b, p, r, q, n = point
    return 2.0 * ((r - p) / n - (a + b - 2.0) * (phi - theta) / q)


def _to_shape(
    point: _Point,
    w: tf.Tensor,
    h: tf.Tensor,
    to_height: tf.Tensor,
    through_value: tf.Tensor,
    to_log_slope: tf.Tensor,
    to_theta: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    r"""Gradients to w, h, d_k and d_{k+1} at a fixed x - x_k.

    With $f = \theta p / q$ they are those of h f and of $\log(n h / w) - 2 \log q$, where

        $df/d\theta = n / q^2$, $df/da = \theta \phi^2 r / q^2$, $df/db = -\theta^2 \phi p / q^2$.

    Args:
      point: a `_Point`.
      w: the width.
      h: the height.
      to_height: the gradient to h f, times f.
      through_value: the gradient to theta by way of h f.
      to_log_slope: the gradient to the logarithm.
      to_theta: the gradient to theta by both ways.
    """
    theta, phi, w_over_h, a, b, p, r, q, n = point
    per_n = 1.0 / n
    through_q = to_log_slope * (2.0 * theta * phi / q)
    # Huge slopes make p, r, n and the gradient to theta huge, while theta or phi is tiny. So the
    # order of factors avoids a product of two huge numbers, or of two tiny ones.
    to_a = phi * (phi * (to_log_slope * per_n + through_value * (theta * r * per_n))) - through_q
    to_b = theta * (theta * (to_log_slope * per_n - through_value * (phi * p * per_n))) - through_q
    by_ratio = a * to_a + b * to_b - to_log_slope
    to_w = (by_ratio - to_theta * theta) / w
    return to_w, to_height - by_ratio / h, to_a * w_over_h, to_b * w_over_h
