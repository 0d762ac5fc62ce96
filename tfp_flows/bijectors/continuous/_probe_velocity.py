"""Calls a vector field once, to find a misfit when the bijector is made."""

from collections.abc import Callable, Sequence

import tensorflow as tf


def probe_velocity(
    velocity: Callable[..., tf.Tensor],
    t0: float,
    event_size: int,
    context_shape: Sequence[int],
    dtype: tf.DType | None,
) -> None:
    """Calls the field once on zeros.

    Without a dtype it is called in float32, and in float64 if that fails.

    Args:
      velocity: callable, `(t, z, c, training=...)`, which checks what the field returns.
      t0: a time.
      event_size: D, the size of z.
      context_shape: the shape of one context.
      dtype: that of the bijector, or `None`.
    """

    def probe(dtype: tf.DType) -> None:
        with tf.init_scope():
            z, context = (tf.zeros([2, *n], dtype) for n in ([event_size], context_shape))
            velocity(tf.cast(t0, dtype), z, context, training=False)

    try:
        probe(dtype or tf.float32)
    except (TypeError, tf.errors.InvalidArgumentError):
        # The function may capture tensors of another dtype.
        if dtype:
            raise
        probe(tf.float64)
