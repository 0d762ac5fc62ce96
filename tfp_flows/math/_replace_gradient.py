"""A value whose gradient is computed in another way."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.math._first_derivatives_only import first_derivatives_only


def replace_gradient(
    value: tf.Tensor, q: tf.Tensor, direction: tf.Tensor, refusing: str | None = None
) -> tf.Tensor:
    """Returns the value with the gradient of <direction, q>, where the direction is a constant.

    Differentiating again gives the derivative of the direction. That is wrong if the direction
    treats as constant something that it depends on; then set `refusing`. Forward mode
    differentiates the value itself.

    Args:
      value: float `Tensor` `[...]`.
      q: float `Tensor` `[..., *event]`, which gradients go on to.
      direction: float `Tensor` of the shape of `q`.
      refusing: Python `str` or `None`. If given, second derivatives are a `LookupError` with this
        name.

    Returns:
      `value`.
    """

    @tf.custom_gradient
    def replaced(
        value: tf.Tensor, q: tf.Tensor, direction: tf.Tensor
    ) -> tuple[Any, Callable[..., Any]]:
        def gradient(upstream: tf.Tensor) -> tuple[None, tf.Tensor, None]:
            event_axes = (tf.newaxis,) * (direction.shape.rank - value.shape.rank)
            along = direction
            if refusing is not None:
                along = first_derivatives_only(direction, [q], refusing)
            return None, upstream[(..., *event_axes)] * along, None

        return tf.identity(value), gradient

    return replaced(value, q, direction)
