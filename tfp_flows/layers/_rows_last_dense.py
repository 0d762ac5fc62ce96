"""A dense layer whose batch axis is last."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FEW = 64  # columns


# Keras writes the name of the class into the paths of weights: it stays, for files that exist.
class RowsLastDense(keras.layers.Dense):
    """y = W^T x + b, of `x` `[n, N]` and `y` `[m, N]`, for the N rows of a batch.

    XLA on a CPU multiplies such matrices faster than `[N, n]`, above all within gradients, and
    loops over the last axis, which is long here, are vectorised (`docs/decisions.md`).

    Args:
        units: m.
        **kwargs: those of `keras.layers.Dense`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights; the shape is `(N, n)`, as that of any dense layer."""
        super().build(input_shape)
        self.input_spec = None  # Keras's wants n on the last axis.

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns `[m, N]`."""
        kernel, bias = self.used_kernel(), tf.convert_to_tensor(self.bias)
        return _plus_bias(tf.matmul(kernel, inputs, transpose_a=True), bias)

    def used_kernel(self) -> tf.Tensor:
        """The kernel, in the dtype of computation."""
        return tf.convert_to_tensor(self.kernel)


def columns(x: tf.Tensor) -> tf.Tensor:
    """x^T, for the first of several `RowsLastDense`.

    XLA makes a bare transpose part of the products that follow, and reads the gradient across its
    rows in two of them: five times as slow where n is small. So it is a product by the identity,
    exact for finite numbers. Where n is large this would take longer than it saves.

    Args:
        x: float `Tensor` `[N, n]`.

    Returns:
        A `Tensor` `[n, N]`, in which infinities may count as the largest numbers.
    """
    n = x.shape[-1]
    if n > FEW:
        return tf.transpose(x)
    # An infinity times zero would be NaN, in all of its row.
    x = tf.clip_by_value(x, x.dtype.min, x.dtype.max)
    return tf.matmul(tf.constant(np.eye(n), x.dtype), x, transpose_b=True)


@tf.custom_gradient
def _plus_bias(product: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """The sum, whose gradient sums over rows by a product: XLA does not vectorise such sums."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return upstream, tf.linalg.matvec(upstream, tf.ones_like(upstream[0]))

    return product + bias[:, tf.newaxis], gradient
