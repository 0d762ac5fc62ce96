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
    r"""$y = y_k + h \theta (\theta^2 + (3 - b) \theta \phi + a \phi^2)$

    A monotone cubic spline, elementwise, and its log-derivative.

    Bin k holds x. Its width and height are w and h, and its left knot is $(x_k, y_k)$. Here
    $\theta = (x - x_k) / w$, $\phi = 1 - \theta$ and $s = h / w$. $a = d_k / s$ and
    $b = d_{k+1} / s$ are the slopes at its ends, relative to that of the chord:

        $\log dy/dx = \log s + \log(a \phi^2 + 2 (3 - a - b) \theta \phi + b \theta^2)$

    Outside of the knots a line with the slope at the end continues the spline. Without slopes at
    the ends this line is y = x.

    Source: Durkan, Bekasov, Murray and Papamakarios (2019), Cubic-Spline Flows, arXiv:1906.02145;
    Fritsch and Carlson (1980), Monotone piecewise cubic interpolation.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      heights: positive `Tensor` `[..., K, D]`. With identity tails they must add up to the same
        number as `widths`.
      slopes: positive `Tensor`. `[..., K - 1, D]`: the slopes at the interior knots, and identity
        tails. `[..., K + 1, D]`: the slopes at all knots, and linear tails. The spline is monotone
        if no slope is above three times that of a chord beside it, and not both slopes of one bin
        are at three times its chord.
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, a scalar or `[..., D]`; equal to `lower_x` with identity tails.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> widths, heights = tf.ones([2, 1]), tf.constant([[0.5], [1.5]])  # [K, D], K = 2, D = 1
      >>> slopes = tfpf.math.steffen_slopes(widths, heights)
      >>> x = [[0.0], [1.0], [3.0]]
      >>> y, log_slope = tfpf.math.cubic_spline(x, widths, heights, slopes, 0.0, 0.0)
      >>> y.numpy().round(2).ravel()  # the knots are (0, 0), (1, 0.5) and (2, 2), then y = x
      array([0. , 0.5, 3. ], dtype=float32)

    See also: `tfpf.math.inverse_cubic_spline`, `tfpf.bijectors.CubicSpline`.
    """
    piece = _spline_bins.select(x, True, widths, heights, slopes, lower_x, lower_y)
    w, h = piece.width, piece.height
    offset = _spline_bins.into(piece.position - piece.x, w)
    # phi is measured from the right knot: 1 - theta would lose the digits of a small phi.
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
    r"""$x = x_k + w \theta$, with the root $\theta$ in [0, 1] of the cubic of `cubic_spline`

    The inverse of `tfpf.math.cubic_spline`, elementwise, and its log-derivative.

    Where the cubic nearly has a double root, the closed form of the root is only good to about the
    square root of the precision. Two Newton steps then make it exact. Gradients go through these
    steps and not through the closed form, so first and second derivatives are exact, too. Letters,
    arguments and source are those of `cubic_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> widths, heights = tf.ones([2, 1]), tf.constant([[0.5], [1.5]])
      >>> slopes = tfpf.math.steffen_slopes(widths, heights)
      >>> y = [[0.5], [3.0]]
      >>> x, log_slope = tfpf.math.inverse_cubic_spline(y, widths, heights, slopes, 0.0, 0.0)
      >>> x.numpy().round(2).ravel()
      array([1., 3.], dtype=float32)
    """
    piece = _spline_bins.select(y, False, widths, heights, slopes, lower_x, lower_y)
    w, h = piece.width, piece.height
    offset = _spline_bins.into(piece.position - piece.y, h)
    eta, xi = offset / h, (h - offset) / h
    s = h / w
    a, b = piece.slope_left / s, piece.slope_right / s
    # Measured from the knot that is nearer in y. From the right knot this mirrors the cubic.
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
    r"""$d_k = \min(2 s_{k-1}, 2 s_k, p_k)$

    The slopes at the K - 1 interior knots for which a cubic spline is monotone.

    Here $s = h / w$ are the slopes of the chords. The slope of the parabola through three knots is
    $p_k = (s_{k-1} w_k + s_k w_{k-1}) / (w_{k-1} + w_k)$.

    Source: Steffen (1990), A simple method for monotonic interpolation in one dimension, (11).

    Args:
      widths: positive `Tensor` `[..., K, D]`.
      heights: positive `Tensor` `[..., K, D]`.

    Returns:
      `Tensor` `[..., K - 1, D]`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> widths, heights = tf.ones([3, 1]), tf.constant([[1.0], [2.0], [8.0]])
      >>> tfpf.math.steffen_slopes(widths, heights).numpy().ravel()  # a mean, then 2 s
      array([1.5, 4. ], dtype=float32)
    """
    s = heights / widths
    s0, s1, w0, w1 = s[..., :-1, :], s[..., 1:, :], widths[..., :-1, :], widths[..., 1:, :]
    p = (s0 * w1 + s1 * w0) / (w0 + w1)
    return tf.minimum(2.0 * tf.minimum(s0, s1), p)


def _unit_cubic(
    theta: tf.Tensor, phi: tf.Tensor, a: tf.Tensor, b: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Value and slope of the cubic from (0, 0) to (1, 1) that has the slopes a and b there."""
    value = theta * (theta * (theta + (3.0 - b) * phi) + a * phi * phi)
    slope = a * phi * phi + 2.0 * (3.0 - a - b) * theta * phi + b * theta * theta
    return value, slope


def _root(eta: tf.Tensor, xi: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    r"""The theta of value eta <= 1/2, by a cubic in $z = \theta / \phi$ with first coefficient xi.

    $\eta (\theta + \phi)^3 = \theta^3 + (3 - b) \theta^2 \phi + a \theta \phi^2$ is the same as

        $\xi z^3 + (3 - b - 3 \eta) z^2 + (a - 3 \eta) z - \eta = 0$

    which has one root $z \ge 0$ because the spline is monotone. As $\xi \ge 1/2$, it never
    degenerates, even where the cubic in theta is a quadratic or a line.
    """
    third = 1.0 / 3.0
    # z = t - m, with t^3 + 3 p t - 2 q = 0.
    m = third * (3.0 - b - 3.0 * eta) / xi
    c = (a - 3.0 * eta) / xi
    p = third * c - m * m
    q = 0.5 * (eta / xi + m * c) - m * m * m
    discriminant = q * q + p * p * p
    # One real root, by Cardano, with the sign that avoids cancellation; q = p = 0 gives t = 0.
    root = tf.sqrt(tf.maximum(discriminant, 0.0))
    cube = q + tf.where(q < 0.0, -root, root)
    u = tf.sign(cube) * tf.pow(tf.abs(cube), third)
    one = u - tf.math.divide_no_nan(p, u)
    # Three real roots: the largest is the one that is not negative.
    size = tf.sqrt(tf.maximum(-p, 0.0))
    cosine = tf.math.divide_no_nan(q, size * size * size)
    three = 2.0 * size * tf.cos(third * tf.acos(tf.clip_by_value(cosine, -1.0, 1.0)))
    z = tf.maximum(tf.where(discriminant < 0.0, three, one) - m, 0.0)
    # A small root near a knot of small slope is nearly double. Its digits were lost in t - m, and
    # from z = 0 Newton would jump far. There z^3 is negligible, and the quadratic gives the root.
    numerator = 2.0 * eta / xi
    denominator = c + tf.sqrt(tf.maximum(c * c + 6.0 * m * numerator, 0.0))
    small = numerator < ml_dtypes.finfo(z.dtype.as_numpy_dtype).eps ** 0.25 * denominator
    z = tf.where(small, tf.math.divide_no_nan(numerator, denominator), z)
    return z / (1.0 + z)
