"""Sums over the axis before the last, that of units, which XLA vectorises on a CPU."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

NUM_SLICES = 4


@tf.custom_gradient
def sum_over_units(terms: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
    """sum_k t_k over the axis before the last, `[..., K, N]` to `[..., N]`.

    As the sum of slices, K / 4 terms long: XLA computes a sum by a loop for each of its results, in
    which the terms lie apart, and vectorises neither that loop nor what the terms are made of. In
    sums of slices it vectorises both, along N. The gradient is that of a sum: that of slices would
    be four tensors to add.
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
