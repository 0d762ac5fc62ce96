"""Gradients of what has left the range of the dtype."""

import tensorflow as tf


def drop_gradient_at_infinity(x: tf.Tensor) -> tf.Tensor:
    """x; where it is infinite, without gradient.

    What is infinite stands still, whatever it was made of. Without this its gradient would meet
    0 * inf and inf - inf on the way back, and one such row make NaN of all weights.
    """
    return tf.where(tf.math.is_inf(x), tf.stop_gradient(x), x)


def drop_gradient_near_infinity(log_prob):
    """log p; where its size is above 2^-10 of the largest number, without gradient.

    Gradients of weights are larger than it, as products with x or log p, and leave the dtype before
    it does: as sums of infinities of both signs they would be NaN, those of all rows.
    """
    limit = 2.0**-10 * log_prob.dtype.max
    return tf.where(tf.abs(log_prob) > limit, tf.stop_gradient(log_prob), log_prob)
