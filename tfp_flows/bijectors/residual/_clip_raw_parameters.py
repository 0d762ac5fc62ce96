"""Raw numbers of a size whose products fit into float32."""

import tensorflow as tf
from numpy.typing import ArrayLike

LARGEST = 1e6


def clip_raw_parameters(params: ArrayLike) -> tf.Tensor:
    """Numbers beyond +-1e6 count as +-1e6."""
    return tf.clip_by_value(tf.convert_to_tensor(params), -LARGEST, LARGEST)
