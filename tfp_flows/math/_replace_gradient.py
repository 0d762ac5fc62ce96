"""A value whose gradient is computed in another way."""

import tensorflow as tf


@tf.custom_gradient
def replace_gradient(value, q, direction):
    """The value, with the gradient of <direction, q>, where the direction stands still.

    What the direction is made of would be missing in a second derivative: whoever asks for one that
    goes through q is told by a `LookupError`.

    Args:
      value: float `Tensor` `[...]`.
      q: float `Tensor` `[..., *event]`, which gradients go on to.
      direction: float `Tensor` of the shape of `q`.

    Returns:
      `value`.
    """

    def gradient(upstream):
        # Connected to q in name only.
        guarded = tf.raw_ops.PreventGradient(
            input=tf.where(tf.ones([], tf.bool), direction, q),
            message="This has first derivatives only.",
        )
        event_axes = (tf.newaxis,) * (direction.shape.rank - value.shape.rank)
        return None, upstream[(..., *event_axes)] * guarded, None

    return tf.identity(value), gradient
