"""Sums over the axis of units, the last but one, which XLA vectorizes on a CPU."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

NUM_SLICES = 4


@tf.custom_gradient
def sum_over_units(terms: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
    r"""$\sum_k t_k$ over the axis before the last, `[..., K, N]` to `[..., N]`.

    It is computed as the sum of slices of K / 4 terms. XLA computes a plain sum by one loop for
    each result. In that loop the terms are apart in memory, and XLA vectorizes neither the loop nor
    the computation of the terms. In sums of slices it vectorizes both, along N. The gradient is
    that of a plain sum, as that of slices would add four tensors.
    """

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return tf.broadcast_to(upstream[..., tf.newaxis, :], tf.shape(terms))

    size = terms.shape[-2]
    length = size // NUM_SLICES
    if length == 0:
        return tf.reduce_sum(terms, axis=-2), gradient
    total = terms[..., :length, :]
    for i in range(1, NUM_SLICES):
        total += terms[..., i * length : (i + 1) * length, :]
    total = tf.reduce_sum(total, axis=-2)
    if size > NUM_SLICES * length:
        total += tf.reduce_sum(terms[..., NUM_SLICES * length :, :], axis=-2)
    return total, gradient
