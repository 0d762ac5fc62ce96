"""The rational-quadratic spline on the circle: value, inverse and log-derivatives."""

import math

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.splines.rational_quadratic_spline import (
    inverse_rational_quadratic_spline,
    rational_quadratic_spline,
)

_PERIOD = 2.0 * math.pi


def circular_spline(
    x: tf.Tensor,
    widths: ArrayLike,
    heights: ArrayLike,
    slopes: tf.Tensor,
    shift: tf.Tensor,
    lower: ArrayLike,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y = (g(x) + \text{shift}) \bmod 2 \pi$, with the rational-quadratic spline g

    A spline on the circle, elementwise, and its log-derivative.

    g maps [lower, lower + $2 \pi$) onto itself with the same slope at both ends, so on the circle
    its first derivative is continuous everywhere. Angles x may be any numbers; y is in [lower,
    lower + $2 \pi$).

    Source: Rezende, Papamakarios, Racaniere, Albergo, Kanwar, Shanahan and Cranmer (2020),
    Normalizing Flows on Tori and Spheres, arXiv:2002.02428, 2.1.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]` with the sum $2 \pi$ over bins.
      heights: positive `Tensor` `[..., K, D]` with the sum $2 \pi$ over bins.
      slopes: positive `Tensor` `[..., K, D]`, at the left knot of each bin.
      shift: `Tensor` `[..., D]`, any numbers.
      lower: the least angle, a scalar or `[..., D]`.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import numpy as np
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> widths = np.full([2, 1], np.pi, "float32")  # K = 2 bins before D = 1 coordinate
      >>> y, log_slope = tfpf.math.circular_spline(
      ...     tf.constant([3.0]), widths, widths, tf.ones([2, 1]), shift=2.0, lower=-np.pi
      ... )
      >>> y.numpy().round(2)  # 3 + 2 - 2 pi
      array([-1.28], dtype=float32)

    See also: `tfpf.math.inverse_circular_spline`, `tfpf.bijectors.CircularSpline`.
    """
    y, log_slope = rational_quadratic_spline(
        _wrap(x, lower), widths, heights, _closed(slopes), lower, lower
    )
    return _wrap(y + shift, lower), log_slope


def inverse_circular_spline(
    y: tf.Tensor,
    widths: ArrayLike,
    heights: ArrayLike,
    slopes: tf.Tensor,
    shift: tf.Tensor,
    lower: ArrayLike,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$x = g^{-1}((y - \text{shift}) \bmod 2 \pi)$

    The inverse of `tfpf.math.circular_spline`, elementwise, and its log-derivative.

    x is in [lower, lower + $2 \pi$). Letters, arguments and source are those of `circular_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import numpy as np
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> widths = np.full([2, 1], np.pi, "float32")
      >>> x, log_slope = tfpf.math.inverse_circular_spline(
      ...     tf.constant([-1.0]), widths, widths, tf.ones([2, 1]), shift=2.0, lower=-np.pi
      ... )
      >>> x.numpy().round(2)
      array([-3.], dtype=float32)
    """
    x, log_slope = inverse_rational_quadratic_spline(
        _wrap(y - shift, lower), widths, heights, _closed(slopes), lower, lower
    )
    return _wrap(x, lower), log_slope


def _closed(slopes: tf.Tensor) -> tf.Tensor:
    """The slopes at all K + 1 knots: the last knot is the first one."""
    return tf.concat([slopes, slopes[..., :1, :]], axis=-2)


def _wrap(angle: tf.Tensor, lower: tf.Tensor) -> tf.Tensor:
    """The angle modulo 2 pi in [lower, lower + 2 pi); one that is already there keeps its bits."""
    angle = tf.convert_to_tensor(angle)
    lower = tf.convert_to_tensor(lower, angle.dtype)
    upper = lower + _PERIOD
    wrapped = lower + tf.math.floormod(angle - lower, tf.constant(_PERIOD, angle.dtype))
    # A remainder just below 2 pi may have been rounded up to 2 pi.
    wrapped = tf.where(wrapped < upper, wrapped, wrapped - _PERIOD)
    wrapped += tf.stop_gradient(tf.maximum(wrapped, lower) - wrapped)
    return tf.where((angle >= lower) & (angle < upper), angle, wrapped)
