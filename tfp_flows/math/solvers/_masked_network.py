"""A network of masked convolutions, increasing in each number of an image, and its inverse."""

from collections.abc import Sequence

import ml_dtypes
import numpy as np
import tensorflow as tf

from tfp_flows.math._elementwise import tanh_input
from tfp_flows.math.linalg._triangular_inverse import with_triangular_gradient
from tfp_flows.math.solvers.find_root import find_root

# The number of sweeps by Newton steps, before root searches take over.
NEWTON_SWEEPS = 30


def masked_kernel(raw: tf.Tensor, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits raw weights into a kernel over earlier numbers, and the weights of own units.

    The numbers of an image are ordered by rows, columns and channels. The units of a number are
    adjacent: channel c has the units c K to (c + 1) K - 1. The kernel covers the row itself and r
    rows above it, and r columns to either side.

    Args:
      raw: float `Tensor` `[r + 1, 2 r + 1, C K_in, C K_out]`; any finite numbers.
      channels: Python `int`, C.

    Returns:
      `(kernel, own)`: `kernel` has the shape of `raw`, and is zero except for earlier numbers.
      `own`, `[C, K_in, K_out]`, is not negative: it holds squares of raw weights.
    """
    rows, columns, num_in, num_out = raw.shape
    units_in, units_out = num_in // channels, num_out // channels
    mask = np.ones(raw.shape, bool)
    mask[-1, columns // 2 + 1 :] = False
    c_in, c_out = np.arange(num_in) // units_in, np.arange(num_out) // units_out
    mask[-1, columns // 2] = c_in[:, np.newaxis] < c_out
    here = tf.reshape(raw[-1, columns // 2], [channels, units_in, channels, units_out])
    own = tf.stack([here[c, :, c] for c in range(channels)])
    return tf.where(mask, raw, tf.zeros([], raw.dtype)), tf.square(own)


def masked_network(
    layers: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]], log_linear: tf.Tensor, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y_i = e^s x_i + f_i(x_{\le i})$

    Evaluates a network of masked convolutions, and log dy_i/dx_i, in one pass.

    f has the layers h_l = tanh(W_l * h_{l-1} + b_l) with h_0 = x. The last layer has no tanh.

    Args:
      layers: `[(kernel, own, b_l)]`, the first two as `masked_kernel` returns them. b_l is
        `[C K_l]` or `[N, 1, 1, C K_l]`.
      log_linear: float `Tensor` `[C]`, s.
      x: float `Tensor` `[N, H, W, C]`.

    Returns:
      `(y, log_slopes)`, both of the shape of x.
    """
    y, slopes = _value_and_slope(layers, log_linear, x)
    return y, tf.math.log(slopes)


def solve_masked_network(
    layers: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]], log_linear: tf.Tensor, y: tf.Tensor
) -> tf.Tensor:
    """Solves `masked_network(..., x)[0] = y` for x, by sweeps over all numbers at once.

    A sweep evaluates the network once and solves each equation for its own x_i, with all others
    held. In the first `NEWTON_SWEEPS` sweeps that is one Newton step, as in the paper, and these
    mostly suffice. Later sweeps use a root search, which needs the weights `own` only. After k such
    sweeps the first k numbers are exact, so D sweeps are enough for any weights. Earlier numbers
    add bounded terms, so no search diverges. Sweeps end when all equations hold up to rounding.

    Derivatives are those of the implicit function, of first order (`with_triangular_gradient`).

    Args:
      layers: as in `masked_network`.
      log_linear: as in `masked_network`.
      y: float `Tensor` `[N, H, W, C]`, with static H, W and C.

    Returns:
      x, of the shape of y. It is infinite where y is. An event with a NaN in y is all NaN. An x_i
      is NaN if its equation is off by more than ten thousand roundings, which happens if weights
      are too large.
    """
    frozen, frozen_linear = tf.nest.map_structure(tf.stop_gradient, (layers, log_linear))
    is_nan, target = tf.math.is_nan(y), tf.clip_by_value(y, y.dtype.min, y.dtype.max)
    target = tf.where(is_nan, tf.zeros_like(y), target)
    x, left = _sweeps(frozen, frozen_linear, tf.stop_gradient(target))
    lost = tf.reduce_any(is_nan, axis=[1, 2, 3], keepdims=True)
    # An x beyond the dtype has no equation.
    lost |= tf.math.is_finite(x) & ~(left <= 1e4)
    # Without this mask their derivatives would reach parameters that other events share.
    usable = tf.math.is_finite(x) & ~lost
    x = tf.where(lost, tf.constant(np.nan, y.dtype), tf.where(tf.math.is_inf(y), y, x))
    point = with_triangular_gradient(
        lambda x: _value_and_slope(layers, log_linear, x),
        tf.where(lost, tf.zeros_like(x), tf.clip_by_value(x, y.dtype.min, y.dtype.max)),
        tf.where(usable, target, tf.stop_gradient(target)),
        event_ndims=3,
    )
    return tf.where(usable, point, tf.stop_gradient(x))


def _value_and_slope(
    layers: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]], log_linear: tf.Tensor, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns y and dy_i/dx_i of `masked_network`."""
    linear = tf.exp(log_linear)
    h, slope = tanh_input(x), tf.ones_like(x)[..., tf.newaxis]
    for layer, (kernel, own, bias) in enumerate(layers):
        z = _convolution(h, kernel + _own_kernel(own, kernel.shape)) + bias
        slope = _times_own(slope, own)
        if layer < len(layers) - 1:
            h = tf.tanh(z)
            slope *= _by_number(1.0 - tf.square(h), own)
    return linear * x + z, linear + slope[..., 0]


def _sweeps(
    layers: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]], log_linear: tf.Tensor, y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the solution without derivatives, and the errors of its equations in roundings."""
    rounding = float(ml_dtypes.finfo(y.dtype.as_numpy_dtype).eps)
    kernel, own, bias = layers[-1]
    reach = tf.reduce_sum(tf.abs(kernel), axis=[0, 1, 2]) + tf.reduce_sum(own, axis=[1, 2])

    def is_unsettled(x: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        # An x beyond the dtype has no equation.
        return (left > 4.0) & tf.math.is_finite(x)

    def sweep(
        i: tf.Tensor, x: tf.Tensor, left: tf.Tensor, newton: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        following = tf.cond(
            i <= NEWTON_SWEEPS,
            lambda: x + newton,
            lambda: _roots(layers, log_linear, x, y),
        )
        x = tf.ensure_shape(tf.where(is_unsettled(x, left), following, x), y.shape)
        value, slope = _value_and_slope(layers, log_linear, x)
        # Roundings come from the terms of the sum, and from x itself.
        scale = tf.abs(y) + tf.abs(value) + reach + tf.abs(bias)
        scale += slope * (1.0 + tf.abs(x))
        return i + 1, x, tf.abs(y - value) / (rounding * scale), (y - value) / slope

    # The first sweep does not move x. It only evaluates the equations.
    start = (tf.constant(0), y / tf.exp(log_linear), tf.fill(tf.shape(y), y.dtype.max))
    start = (*start[:2], tf.ensure_shape(start[2], y.shape), tf.zeros_like(y))
    _, x, left, _ = tf.while_loop(
        lambda i, x, left, newton: tf.reduce_any(is_unsettled(x, left)),
        sweep,
        start,
        maximum_iterations=1 + NEWTON_SWEEPS + y.shape[1:].num_elements(),
    )
    return tf.stop_gradient(x), tf.stop_gradient(left)


def _roots(
    layers: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    log_linear: tf.Tensor,
    x: tf.Tensor,
    y: tf.Tensor,
) -> tf.Tensor:
    """Returns the solution of each equation for its own number, given all others."""
    linear = tf.exp(log_linear)
    before, h = [], tanh_input(x)
    for kernel, own, bias in layers:
        z = _convolution(h, kernel) + bias
        before.append(_by_number(z, own))
        if len(before) < len(layers):
            h = tf.tanh(z + _convolution(h, _own_kernel(own, (1, 1))))

    def value_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        h, slope = tanh_input(x)[..., tf.newaxis], tf.ones_like(x)[..., tf.newaxis]
        for layer, (_, own, _) in enumerate(layers):
            z = before[layer] + _times_own(h, own)
            slope = _times_own(slope, own)
            if layer < len(layers) - 1:
                h = tf.tanh(z)
                slope *= 1.0 - tf.square(h)
        return linear * x + z[..., 0], linear + slope[..., 0]

    guess = (y - before[-1][..., 0]) / linear
    # The own part of f is bounded by this.
    radius = 1.0 + tf.reduce_sum(layers[-1][1], axis=[1, 2]) / linear
    return find_root(value_and_slope, y, lower=guess - radius, upper=guess + radius).root


def _convolution(h: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves by a kernel that reaches up but not down, with zeros outside the image."""
    above, side = kernel.shape[0] - 1, kernel.shape[1] // 2
    return tf.nn.conv2d(h, kernel, 1, [[0, 0], [above, 0], [side, side], [0, 0]])


def _own_kernel(own: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns the kernel, of the given shape, of units that see their own number only."""
    channels, units_in, units_out = own.shape
    blocks = tf.eye(channels, dtype=own.dtype)[:, tf.newaxis, :, tf.newaxis]
    blocks *= own[:, :, tf.newaxis]
    blocks = tf.reshape(blocks, [1, 1, channels * units_in, channels * units_out])
    side = shape[1] // 2
    return tf.pad(blocks, [[shape[0] - 1, 0], [side, side], [0, 0], [0, 0]])


def _times_own(h: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """Returns the product of units `[N, H, W, C, K_in]` and the weights `own`."""
    return tf.einsum("nhwci,cij->nhwcj", h, own)


def _by_number(z: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """Returns units `[N, H, W, C K]` as `[N, H, W, C, K]`."""
    return tf.reshape(z, [-1, *z.shape[1:3], own.shape[0], own.shape[2]])
