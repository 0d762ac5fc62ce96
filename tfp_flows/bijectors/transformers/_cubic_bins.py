"""Heights and slopes for which a cubic spline is monotone."""

import math

import tensorflow as tf

from tfp_flows.math.splines import _spline_bins

# A cubic is monotone in a bin if the slopes at its ends are at most three times that of its chord.
# Steffen's slopes at interior knots are. These two functions ensure it at the ends of the spline.
# Bins are on the axis before the coordinates.


def end_slopes(raw: tf.Tensor, widths: tf.Tensor, heights: tf.Tensor, minimum: float) -> tf.Tensor:
    """Slopes `[..., 2, D]`, n to 3 - n times that of the chord there, and equal to it at raw = 0.

    Args:
      raw: float `Tensor` `[..., 2, D]`.
      widths: positive `Tensor` `[..., K, D]`.
      heights: positive `Tensor` `[..., K, D]`.
      minimum: n, in (0, 1).
    """
    shift = math.log((1.0 - minimum) / (2.0 - minimum))
    chords = tf.concat([heights[..., :1, :], heights[..., -1:, :]], axis=-2)
    chords /= tf.concat([widths[..., :1, :], widths[..., -1:, :]], axis=-2)
    return chords * (minimum + (3.0 - 2.0 * minimum) * tf.sigmoid(raw + shift))


def heights_with_identity_tails(
    raw: tf.Tensor, widths: tf.Tensor, length: float, minimum: float
) -> tf.Tensor:
    """Heights of bins that allow identity tails.

    A bin at an end gets half of its width as height. What is left of the length is shared among all
    bins. So the slope of the tails, one, is at most twice that of the chord beside it. At raw = 0
    all heights are the same if all widths are.

    Args:
      raw: float `Tensor` `[..., K, D]`.
      widths: positive `Tensor` `[..., K, D]` with the sum `length`.
      length: the length of the interval.
      minimum: the least share, below 1 / (2 K).
    """
    num_bins = raw.shape[-2]
    halves = [0.5 * (k in (0, num_bins - 1)) for k in range(num_bins)]
    rest = num_bins - sum(halves)
    shares = [((1.0 - half) / rest - minimum) / (1.0 - num_bins * minimum) for half in halves]
    halves, logarithms = (
        tf.constant(column, raw.dtype)[:, tf.newaxis]
        for column in (halves, [math.log(share) for share in shares])
    )
    reserved = halves * widths
    left = length - tf.reduce_sum(reserved, axis=-2, keepdims=True)
    return reserved + left * _spline_bins.fractions(raw + logarithms, minimum)
