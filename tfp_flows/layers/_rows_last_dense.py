"""A dense layer whose batch axis is the last axis."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FEW = 64  # columns


# The name must not change: Keras writes it into the paths of weights, also of existing files.
class RowsLastDense(keras.layers.Dense):
    r"""$y = W^\top x + s b$

    A dense layer that maps `x` `[n, N]` to `y` `[m, N]`, for the N rows of a batch.

    XLA on a CPU multiplies such matrices faster than those with rows first, above all in gradients.
    It also vectorizes loops over the last axis, which is long here (`docs/decisions.md`).

    Args:
        units: m.
        bias_scale: s, see `MLP`.
        **kwargs: those of `keras.layers.Dense`.
    """

    def __init__(self, units: int, bias_scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self._bias_scale = bias_scale

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights; the shape is `(N, n)`, as for any dense layer."""
        super().build(input_shape)
        self.input_spec = None  # Keras's spec expects n on the last axis.

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns `[m, N]`."""
        product = tf.matmul(self.used_kernel(), inputs, transpose_a=True)
        return _plus_bias(product, self.used_bias())

    def used_kernel(self) -> tf.Tensor:
        """Returns the kernel, in the compute dtype."""
        return tf.convert_to_tensor(self.kernel)

    def used_bias(self) -> tf.Tensor:
        """Returns s b, in the compute dtype."""
        bias = tf.cast(self.bias, self.compute_dtype)
        return bias if self._bias_scale == 1.0 else self._bias_scale * bias


def columns(x: tf.Tensor) -> tf.Tensor:
    """Returns the transpose of x, for the first of several `RowsLastDense`.

    XLA would fuse a plain transpose into the products that follow, two of which then read the
    gradient across its rows. Where n is small this is five times as slow. So x is multiplied by the
    identity, which is exact for finite numbers. Where n is large this would cost more than it
    saves.

    Args:
        x: float `Tensor` `[N, n]`.

    Returns:
        A `Tensor` `[n, N]`. Infinities may become the largest numbers of the dtype.
    """
    n = x.shape[-1]
    if n > FEW:
        return tf.transpose(x)
    # An infinity times zero would turn the whole row into NaN.
    x = tf.clip_by_value(x, x.dtype.min, x.dtype.max)
    return tf.matmul(tf.constant(np.eye(n), x.dtype), x, transpose_b=True)


def by_rows(layer: Callable[[tf.Tensor], tf.Tensor], h: tf.Tensor) -> tf.Tensor:
    """Applies a layer that takes and returns `[N, units]` to `[units, N]`."""
    return tf.transpose(layer(tf.transpose(h)))


@tf.custom_gradient
def _plus_bias(product: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
    """Adds the bias. Its gradient is a product, since XLA does not vectorize sums over rows."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return upstream, tf.linalg.matvec(upstream, tf.ones_like(upstream[0]))

    return product + bias[:, tf.newaxis], gradient
