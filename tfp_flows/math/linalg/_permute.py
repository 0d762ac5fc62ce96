"""A permutation of an axis."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike


def permute(x: tf.Tensor, order: ArrayLike, axis: int = -1) -> tf.Tensor:
    """$y_i = x_{order(i)}$

    Permutes the entries of a tensor along an axis.

    The gradient is the inverse permutation, which is a gather, too. That of `tf.gather` would be a
    scatter, and twenty operations to prepare it.

    Args:
      x: `Tensor` with as many entries along the axis as `order` has.
      order: a permutation of 0 ... D - 1, an array or a sequence of Python `int`s.
      axis: Python `int`.

    Returns:
      A `Tensor` of the shape of `x`.
    """
    back = np.argsort(order)

    @tf.custom_gradient
    def gather(x: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        return tf.gather(x, order, axis=axis), lambda upstream: permute(upstream, back, axis)

    return gather(x)
