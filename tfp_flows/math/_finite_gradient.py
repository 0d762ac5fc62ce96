"""Gradients where a number has left the range of the dtype."""

import tensorflow as tf


def drop_gradient_at_infinity(x: tf.Tensor) -> tf.Tensor:
    """Returns x; where it is infinite, it gets no gradient.

    Otherwise the gradient would meet 0 * inf and inf - inf on the way back, and a single such row
    would turn all weights into NaN.
    """
    return tf.where(tf.math.is_inf(x), tf.stop_gradient(x), x)


def drop_gradient_near_infinity(log_prob: tf.Tensor) -> tf.Tensor:
    """Returns log p; where its size is above 2^-10 of the largest number, it gets no gradient.

    Gradients of weights are products with x or log p, so they are larger than log p and overflow
    before it does. A sum of infinities of both signs would be NaN, and with it the gradient of all
    rows.
    """
    limit = 2.0**-10 * log_prob.dtype.max
    return tf.where(tf.abs(log_prob) > limit, tf.stop_gradient(log_prob), log_prob)
