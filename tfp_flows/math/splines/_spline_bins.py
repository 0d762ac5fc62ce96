"""Bins of a monotone spline: their sizes, and the search for the bin that holds a position."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

FEW = 32  # bins


class Piece(NamedTuple):
    """The bin that holds a position, and the ends of the spline."""

    given: tf.Tensor
    inside: tf.Tensor
    position: tf.Tensor
    x: tf.Tensor
    y: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    slope_left: Any
    slope_right: Any
    ends: tuple | None


def fractions(raw: tf.Tensor, minimum: float | tf.Tensor) -> tf.Tensor:
    r"""$m + (1 - K m) \text{softmax}(r)$ over the bin axis, the last but one, of raw numbers r.

    Written out, because `tf.nn.softmax` on another axis than the last fails in a differentiated
    while body under XLA.
    """
    exponentials = tf.exp(raw - tf.stop_gradient(tf.reduce_max(raw, axis=-2, keepdims=True)))
    softmax = exponentials / tf.reduce_sum(exponentials, axis=-2, keepdims=True)
    return minimum + (1.0 - raw.shape[-2] * minimum) * softmax


def slopes_at_all_knots(slopes: tf.Tensor, num_bins: int) -> tf.Tensor:
    """Slopes `[..., K + 1, D]`: those given, or `[..., K - 1, D]` with a one at both ends."""
    if slopes.shape[-2] != num_bins - 1:
        return slopes
    # Not `tf.pad`: `tf.vectorized_map` drops its constant, and pads with zeros (TensorFlow 2.21).
    shape = ps.shape(slopes)
    ends = tf.ones(ps.concat([shape[:-2], [1], shape[-1:]], axis=0), slopes.dtype)
    return tf.concat([ends, slopes, ends], axis=-2)


def select(
    position: ArrayLike,
    on_x: bool,
    widths: ArrayLike,
    heights: ArrayLike,
    slopes: Any,
    lower_x: ArrayLike,
    lower_y: ArrayLike,
) -> Piece:
    """Finds the bin of each position by masks and masked sums, without gather or one-hot.

    Args:
      position: float `Tensor` `[..., D]`.
      on_x: `True` if positions are values of x, `False` if they are values of y.
      widths: positive `Tensor` `[..., K, D]`.
      heights: positive `Tensor` `[..., K, D]`.
      slopes: `Tensor` `[..., K - 1, D]` at the interior knots, or `[..., K + 1, D]` at all of them,
        or `None` for a spline without slopes at knots. Only with `[..., K + 1, D]` the tails are
        lines with the slopes at the ends; otherwise they are y = x.
      lower_x: the position x of the first knot, a scalar or `[..., D]`.
      lower_y: its value y, a scalar or `[..., D]`.

    Returns:
      A `Piece`.
    """
    given = position = tf.convert_to_tensor(position)
    tensors = (widths, heights) if slopes is None else (widths, heights, slopes)
    tensors = [tf.convert_to_tensor(t, position.dtype) for t in tensors]
    identity_tails = slopes is None or tensors[2].shape[-2] == tensors[0].shape[-2] - 1
    if slopes is not None:
        tensors[2] = slopes_at_all_knots(tensors[2], tensors[0].shape[-2])
    tensors = _same_batch(tensors)
    widths, heights = tensors[:2]
    per_bin = [widths, heights]
    if slopes is not None:
        slopes = tensors[2]
        per_bin += [slopes[..., :-1, :], slopes[..., 1:, :]]
    lower_x = tf.convert_to_tensor(lower_x, widths.dtype)
    lower_y = tf.convert_to_tensor(lower_y, widths.dtype)
    lower = lower_x if on_x else lower_y
    knots = _knots(widths if on_x else heights, lower)
    inside = (position >= lower) & (position < knots[..., -1, :])
    # Outside, the formula of a bin gets the first knot instead: a NaN or an infinity in the
    # branch that `tf.where` drops would come back through the gradient.
    position = tf.where(inside, position, tf.stop_gradient(lower))
    chosen, below = _masks(position[..., tf.newaxis, :] >= knots, widths.dtype)
    # One sum over a stack: faster than separate sums under XLA on a CPU (4096 x 32, K = 8).
    sizes = tf.stack([widths, heights], axis=-3)
    per_bin = tf.stack(per_bin, axis=-3)
    before = tf.unstack(tf.reduce_sum(below[..., tf.newaxis, :, :] * sizes, axis=-2), axis=-2)
    own = tf.unstack(tf.reduce_sum(chosen[..., tf.newaxis, :, :] * per_bin, axis=-2), axis=-2)
    ends = None
    if not identity_tails:
        upper_x = lower_x + tf.reduce_sum(widths, axis=-2)
        upper_y = lower_y + tf.reduce_sum(heights, axis=-2)
        ends = (lower_x, upper_x, lower_y, upper_y, slopes[..., 0, :], slopes[..., -1, :])
    x, y = lower_x + before[0], lower_y + before[1]
    width, height, slope_left, slope_right = own + [None] * (4 - len(own))
    return Piece(given, inside, position, x, y, width, height, slope_left, slope_right, ends)


def into(offset: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The offset moved into [0, size], with the gradient of the offset.

    Two roundings of the same knot may differ by a unit in the last place. Without this a negative
    theta would reach a logarithm.
    """
    return offset + tf.stop_gradient(tf.clip_by_value(offset, 0.0, size) - offset)


def with_tail(
    piece: Piece, on_x: bool, value: tf.Tensor, log_slope: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Value and log-slope: those given inside the knots, those of the tail's line outside."""
    value_outside, log_slope_outside = _tail(piece, on_x)
    return (
        tf.where(piece.inside, value, value_outside),
        tf.where(piece.inside, log_slope, log_slope_outside),
    )


def _tail(piece: Piece, on_x: bool) -> tuple[tf.Tensor, tf.Tensor]:
    position = piece.given
    if piece.ends is None:
        return position, tf.zeros([], position.dtype)
    lower_x, upper_x, lower_y, upper_y, slope_lower, slope_upper = piece.ends
    left = position < (lower_x if on_x else lower_y)
    x = tf.where(left, lower_x, upper_x)
    y = tf.where(left, lower_y, upper_y)
    slope = tf.where(left, slope_lower, slope_upper)
    # Inside, the offset is zero, as the branch that is dropped must stay finite.
    start, first = (x, y) if on_x else (y, x)
    offset = tf.where(piece.inside, tf.zeros([], position.dtype), position - start)
    log_slope = tf.math.log(slope)
    if on_x:
        return first + slope * offset, log_slope
    return first + offset / slope, -log_slope


def _masks(passed: tf.Tensor, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Which bin holds a position, and which lie below it, from the K + 1 knots it has passed."""
    num_bins = passed.shape[-2] - 1
    if num_bins <= FEW:
        chosen = tf.not_equal(passed[..., :-1, :], passed[..., 1:, :])
        return tf.cast(chosen, dtype), tf.cast(passed[..., 1:, :], dtype)
    # Knots from a product of matrices may change places by rounding; their number does not.
    number = tf.reduce_sum(tf.cast(passed, dtype), axis=-2, keepdims=True) - 1.0
    bins = tf.range(num_bins, dtype=dtype)[:, tf.newaxis]
    return tf.cast(tf.equal(bins, number), dtype), tf.cast(bins < number, dtype)


def _knots(sizes: tf.Tensor, lower: tf.Tensor) -> tf.Tensor:
    """The K + 1 knots, used only in comparisons.

    By masked sums: under XLA `tf.cumsum` is four times slower. A chain of K sums is as fast, but
    the whole train step takes a tenth longer to compile. The work grows with the square of K, so
    many bins take a product of matrices instead: with 64 bins a train step takes half the time.
    """
    num_bins = sizes.shape[-2]
    before = tf.constant(np.tri(num_bins + 1, num_bins, -1), sizes.dtype)
    sizes = tf.stop_gradient(sizes)
    if lower.shape.rank:
        lower = lower[..., tf.newaxis, :]
    if num_bins > FEW:
        return lower + tf.matmul(before, sizes)
    return lower + tf.reduce_sum(before[..., tf.newaxis] * sizes[..., tf.newaxis, :, :], axis=-2)


def _same_batch(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Broadcasts the batch shapes, as `tf.stack` does not; no operation when they agree."""
    shapes = [t.shape[:-2] + t.shape[-1:] for t in tensors]
    if all(shape.is_fully_defined() and shape == shapes[0] for shape in shapes):
        return tensors
    batch = tf.shape(tensors[0][..., 0, :])
    for t in tensors[1:]:
        batch = tf.broadcast_dynamic_shape(batch, tf.shape(t[..., 0, :]))
    return [
        tf.broadcast_to(t, tf.concat([batch[:-1], [t.shape[-2]], batch[-1:]], axis=0))
        for t in tensors
    ]
