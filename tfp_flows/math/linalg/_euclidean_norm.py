"""The Euclidean norm of a vector of any size."""

import tensorflow as tf


def euclidean_norm(v: tf.Tensor) -> tf.Tensor:
    """Returns |v| over the last axis, without overflow or underflow of the squares.

    The gradient is v / |v|. At v = 0 it is zero, where that of `tf.norm` is NaN.

    Args:
      v: float `Tensor` `[..., D]`.

    Returns:
      A float `Tensor` `[..., 1]`: the axis is kept.
    """
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(v), axis=-1, keepdims=True))
    is_zero = tf.equal(largest, 0.0)
    scale = tf.where(is_zero, tf.ones_like(largest), largest)
    squares = tf.reduce_sum(tf.square(v / scale), axis=-1, keepdims=True)
    # `tf.sqrt` has no finite gradient at zero.
    return largest * tf.sqrt(tf.where(is_zero, tf.ones_like(squares), squares))
