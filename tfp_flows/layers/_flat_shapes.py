"""Shapes of the inputs and contexts of networks over vectors."""

from typing import Any

import tensorflow as tf


def check_shapes(
    this: str, known_size: int | None, known_context_size: int, x_shape: Any, context_shape: Any
) -> None:
    """Refuses shapes that do not fit the layer `this`, or each other.

    Args:
      this: class and name of the layer, for the error.
      known_size: D, or `None` before the layer is built.
      known_context_size: C, or 0 if no context is taken.
      x_shape: the shape `[..., D]`.
      context_shape: the shape `[..., C]`, or `None`.
    """
    x_shape = tuple(x_shape)
    x_size = x_shape[-1] if x_shape else None
    if x_size is None or known_size not in (None, x_size):
        expected = "a known size" if known_size is None else f"size {known_size}"
        raise ValueError(
            f"{this} takes `x` whose last dimension has {expected}, not {x_size}. "
            f"Received: x.shape={x_shape}"
        )
    context_shape = None if context_shape is None else tuple(context_shape)
    size = context_shape[-1] if context_shape else 0
    if size != known_context_size:
        received = "context" if context_shape is None else "context.shape"
        raise ValueError(
            f"{this} takes a `context` of size {known_context_size}, not {size} (0 for none); "
            f"`build` takes `x_shape, context_shape`. Received: {received}={context_shape}"
        )
    batch_shape = tf.TensorShape(x_shape[:-1])
    if context_shape is not None and not batch_shape.is_compatible_with(context_shape[:-1]):
        raise ValueError(
            f"{this} takes `x` and `context` of equal batch dimensions. "
            f"Received: x.shape={x_shape}, context.shape={context_shape}"
        )
