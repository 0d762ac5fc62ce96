"""What networks see of numbers that are huge."""

import tensorflow as tf


def network_input(x):
    """x, in size at most the square root of the largest number of its dtype.

    Further out a network's products overflow, and units that are infinite with different signs sum
    to NaN. What a transformer is given stays as it is: only its parameters stop to change.
    """
    limit = float(x.dtype.max) ** 0.5
    return tf.clip_by_value(x, -limit, limit)
