"""Sums over the axis before the last, be it bins or units, that XLA vectorises on a CPU."""

import tensorflow as tf

NUM_SLICES = 4


def unit_sum(terms, keepdims=False):
    """sum_k t_k over the axis before the last, `[..., K, N]` to `[..., N]`, or `[..., 1, N]`.

    As the sum of slices, K / 4 terms long: XLA computes a sum by a loop for each of its results, in
    which the terms lie apart, and vectorises neither that loop nor what the terms are made of. In
    sums of slices it vectorises both, along N.
    """
    total = _sum_of_slices(terms)
    return total[..., tf.newaxis, :] if keepdims else total


@tf.custom_gradient
def _sum_of_slices(terms):
    """The sum, with the gradient of a sum: that of slices would be four tensors to add."""

    def gradient(upstream):
        return tf.broadcast_to(upstream[..., tf.newaxis, :], tf.shape(terms))

    size = terms.shape[-2]
    length = size // NUM_SLICES
    if length == 0:
        return tf.reduce_sum(terms, axis=-2), gradient
    slices = [terms[..., i * length : (i + 1) * length, :] for i in range(NUM_SLICES)]
    total = slices[0]
    for part in slices[1:]:
        total += part
    total = tf.reduce_sum(total, axis=-2)
    if size > NUM_SLICES * length:
        total += tf.reduce_sum(terms[..., NUM_SLICES * length :, :], axis=-2)
    return total, gradient
