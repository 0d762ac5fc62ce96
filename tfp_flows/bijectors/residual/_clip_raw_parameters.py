"""Clips raw parameters so that their products fit into float32."""

import tensorflow as tf
from numpy.typing import ArrayLike

LARGEST = 1e6


def clip_raw_parameters(params: ArrayLike) -> tf.Tensor:
    """Clips raw parameters to the range from -1e6 to 1e6."""
    return tf.clip_by_value(tf.convert_to_tensor(params), -LARGEST, LARGEST)
