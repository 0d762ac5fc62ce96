"""The Euclidean norm of a vector of any size."""

import tensorflow as tf


def euclidean_norm(v: tf.Tensor) -> tf.Tensor:
    """|v| over the last axis, which is kept, without overflow or underflow of the squares.

    Its gradient is v / |v|, and zero at v = 0, where `tf.norm` has NaN.

    Args:
      v: float `Tensor` `[..., D]`.

    Returns:
      float `Tensor` `[..., 1]`.
    """
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(v), axis=-1, keepdims=True))
    is_zero = tf.equal(largest, 0.0)
    scale = tf.where(is_zero, tf.ones_like(largest), largest)
    squares = tf.reduce_sum(tf.square(v / scale), axis=-1, keepdims=True)
    # sqrt has no gradient at zero.
    return largest * tf.sqrt(tf.where(is_zero, tf.ones_like(squares), squares))
