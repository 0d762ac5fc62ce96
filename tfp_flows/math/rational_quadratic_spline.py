"""The monotone rational-quadratic spline: value, inverse and log-derivatives."""

import tensorflow as tf

from tfp_flows.math import bins


def rational_quadratic_spline(x, widths, heights, slopes, lower_x, lower_y):
    """y = y_k + h theta (theta + a phi) / (1 + (a + b - 2) theta phi), elementwise.

    Here bin k holds x, w and h are its width and height, (x_k, y_k) is its left knot,
    `theta = (x - x_k) / w`, `phi = 1 - theta`, `s = h / w`, and `a = d_k / s`,
    `b = d_{k+1} / s` are the slopes at its ends relative to that of the chord. With
    `q = 1 + (a + b - 2) theta phi`,

        log dy/dx = log(d_{k+1} theta^2 + 2 s theta phi + d_k phi^2) - 2 log q.

    Outside of the knots the line of the boundary slope continues the spline; without boundary
    slopes this line is y = x, exactly.

    The bin axis stands before the last one, over which loops are vectorised under XLA on a CPU.
    Where D is short, put the rows of a batch there, as the bijectors do.

    Derivatives of every order with respect to `x` and the parameters are those of the formula
    (of each piece; at a knot the spline itself is once differentiable).

    Source: Gregory and Delbourgo (1982), Piecewise rational quadratic interpolation to
    monotonic data; Durkan, Bekasov, Murray and Papamakarios (2019), arXiv:1906.04032, A.1, A.2.

    Args:
      x: float `Tensor` `[..., D]`.
      widths: positive `Tensor` `[..., K, D]`; their batch shapes broadcast with that of `x`.
      heights: positive `Tensor` `[..., K, D]`. With identity tails they must add up to the same
        number as `widths`.
      slopes: positive `Tensor`. `[..., K - 1, D]`: the slopes at the interior knots, and
        identity tails. `[..., K + 1, D]`: the slopes at all knots, and linear tails.
      lower_x: scalar, the position x of the first knot.
      lower_y: scalar, its value y; equal to `lower_x` with identity tails.

    Returns:
      `(y, log dy/dx)`, both `[..., D]`, the latter in nats.
    """
    piece = bins.select(x, True, widths, heights, slopes, lower_x, lower_y)
    w, h, d0, d1 = piece.width, piece.height, piece.slope_left, piece.slope_right
    offset = bins.into(piece.position - piece.x, w)
    # phi from the right knot: 1 - theta would have lost the digits of a small phi.
    theta, phi = offset / w, (w - offset) / w
    s = h / w
    a, b = d0 / s, d1 / s
    q = 1.0 + (a + b - 2.0) * theta * phi
    y = piece.y + h * theta * (theta + a * phi) / q
    # q^2 may overflow where its logarithm is harmless.
    log_slope = tf.math.log(d1 * theta * theta + 2.0 * s * theta * phi + d0 * phi * phi)
    log_slope -= 2.0 * tf.math.log(q)
    return bins.with_tail(piece, True, y, log_slope)


def inverse_rational_quadratic_spline(y, widths, heights, slopes, lower_x, lower_y):
    """x = x_k + w theta, the root theta in [0, 1] of eta q(theta) = theta (theta + a phi).

    With `eta = (y - y_k) / h`, `xi = 1 - eta`, `t = a xi - b eta` and
    `r = sqrt(t^2 + 4 eta xi)`, which is the root of the usual discriminant written as a sum of
    squares, so it is never negative and nothing cancels:

        theta : phi = 2 eta : r + t    where t >= 0,
        theta : phi = r - t : 2 xi     elsewhere,
        log dx/dy = log q - log(r s).

    The closed form is differentiated as it stands: r vanishes nowhere, so derivatives of every
    order are exact. Letters, arguments and sources as in `rational_quadratic_spline`.

    Returns:
      `(x, log dx/dy)`, both `[..., D]`, the latter in nats.
    """
    piece = bins.select(y, False, widths, heights, slopes, lower_x, lower_y)
    w, h = piece.width, piece.height
    offset = bins.into(piece.position - piece.y, h)
    eta, xi = offset / h, (h - offset) / h
    s = h / w
    a, b = piece.slope_left / s, piece.slope_right / s
    t = a * xi - b * eta
    # Divided by a number of its own size, t^2 neither overflows nor underflows to r = 0. The
    # scale cancels, so it needs no gradient.
    scale = tf.stop_gradient(tf.maximum(tf.abs(t), tf.minimum(eta, xi)))
    r = scale * tf.sqrt(tf.square(t / scale) + 4.0 * (eta / scale) * (xi / scale))
    rising = t >= 0.0
    sum_of_like_signs = tf.where(rising, r + t, r - t)
    to_left = tf.where(rising, 2.0 * eta, sum_of_like_signs)
    to_right = tf.where(rising, sum_of_like_signs, 2.0 * xi)
    theta, phi = to_left / (to_left + to_right), to_right / (to_left + to_right)
    q = 1.0 + (a + b - 2.0) * theta * phi
    x = piece.x + w * theta
    log_slope = tf.math.log(q) - tf.math.log(r * s)
    return bins.with_tail(piece, False, x, log_slope)
