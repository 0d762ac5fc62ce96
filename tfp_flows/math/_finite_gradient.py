"""Gradients of what has left the range of the dtype."""

import tensorflow as tf


def drop_gradient_at_infinity(x: tf.Tensor) -> tf.Tensor:
    """x; where it is infinite, without gradient.

    What is infinite stands still, whatever it was made of. Without this its gradient would meet
    0 * inf and inf - inf on the way back, and one such row make NaN of all weights.
    """
    return tf.where(tf.math.is_inf(x), tf.stop_gradient(x), x)
