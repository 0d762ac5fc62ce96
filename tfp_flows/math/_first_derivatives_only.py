"""Gradients that have no right gradient of their own."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import tensorflow as tf


def first_derivatives_only(gradient: tf.Tensor, parts: Sequence[tf.Tensor], name: str) -> tf.Tensor:
    """The gradient, for which a gradient of its own with respect to `parts` is a `LookupError`.

    A custom gradient by the implicit function theorem, or of an equation solved back in time, is
    found with its solution standing still. A tape around it sees a constant there, and a second
    derivative would be wrong, or missing from a sum, without a word. So the gradient is connected,
    in name only, to all on which the solution depends. What depends on it in another way, as on
    the cotangent, keeps its derivatives: forward mode needs those.

    Args:
      gradient: float `Tensor` of any shape.
      parts: list of float `Tensor`s of any shapes.
      name: Python `str`, for the message.

    Returns:
      `gradient`.
    """
    connected = tf.add_n([tf.cast(tf.reduce_sum(part), gradient.dtype) for part in parts])
    return tf.where(tf.ones([], tf.bool), gradient, _refusing(connected, name))


def _refusing(x: tf.Tensor, name: str) -> tf.Tensor:
    """x, whose gradient is refused, as by `tf.raw_ops.PreventGradient`."""

    @tf.custom_gradient
    def refusing(x: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        def gradient(upstream: tf.Tensor) -> NoReturn:
            error = LookupError(f"`{name}` has first derivatives only.")
            # AutoGraph would raise an error of its own type in its place.
            error.ag_pass_through = True  # type: ignore[attr-defined]  # autograph reads it
            raise error

        return tf.stop_gradient(x), gradient

    return refusing(x)
