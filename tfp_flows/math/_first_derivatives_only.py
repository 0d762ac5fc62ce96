"""Refusal of second derivatives that would be wrong."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import tensorflow as tf


def first_derivatives_only(gradient: tf.Tensor, parts: Sequence[tf.Tensor], name: str) -> tf.Tensor:
    """Returns the gradient; differentiating it again with respect to `parts` is a `LookupError`.

    A custom gradient by the implicit function theorem, or of an equation solved back in time,
    treats its solution as a constant. A second derivative through it would silently be wrong, or
    lack a term. So the gradient is connected, in name only, to everything on which the solution
    depends. Where it depends on something in another way, as on the cotangent, it keeps its
    derivatives, because forward mode needs them.

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
    """Returns x, whose gradient is an error, as with `tf.raw_ops.PreventGradient`."""

    @tf.custom_gradient
    def refusing(x: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        def gradient(upstream: tf.Tensor) -> NoReturn:
            error = LookupError(f"`{name}` has first derivatives only.")
            # Without this AutoGraph would raise an error of its own type instead.
            error.ag_pass_through = True  # type: ignore[attr-defined]  # autograph reads it
            raise error

        return tf.stop_gradient(x), gradient

    return refusing(x)
