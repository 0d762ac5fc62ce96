"""What networks see of numbers that are huge."""

import tensorflow as tf


def clip_network_input(x, network=None):
    """x, in size at most the square root of the largest number of its dtype.

    Further out a network's products overflow, and units that are infinite with different signs sum
    to NaN. What a transformer is given stays as it is: only its parameters stop to change. Of a
    network that computes in a smaller dtype x is at most a sixteenth of the largest number there:
    its square root is 256 in float16, which data may well pass.
    """
    computed = tf.as_dtype(getattr(network, "compute_dtype", None) or x.dtype)
    limit = min(float(x.dtype.max) ** 0.5, float(computed.max) / 16.0)
    return tf.clip_by_value(x, -limit, limit)
