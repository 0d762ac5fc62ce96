"""Checks whether activations act on each number by itself."""

from typing import Any

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

_NAMES = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
)
_KNOWN = [getattr(keras.activations, name) for name in _NAMES]


def is_known_elementwise(activation: Any) -> bool:
    """Returns whether it is one of Keras's activations that act elementwise."""
    return any(activation is known for known in _KNOWN)


def check_elementwise(activation: Any, dtype: DTypeLike | tf.DType, layer_name: str) -> None:
    """Refuses an activation that mixes units, as a softmax does, since masks could not prevent it.

    An activation that is not Keras's is tested on two rows that differ in the last unit. A layer
    may have weights for each unit, and is not tested.
    """
    if is_known_elementwise(activation) or isinstance(activation, keras.Layer):
        return
    with tf.init_scope():
        rows = tf.constant([[0.3, -0.7, 1.1, 0.6], [0.3, -0.7, 1.1, -2.0]], dtype)
        units = np.asarray(tf.cast(activation(rows), "float64"))
    # The same number may be rounded differently, depending on whether the operation is vectorized.
    close = 8.0 * float(ml_dtypes.finfo(dtype).eps)
    if units.shape != (2, 4) or not np.allclose(units[0, :3], units[1, :3], rtol=close, atol=close):
        raise ValueError(
            f"`activation` of `{layer_name}` must act on each unit by itself, since masks cannot "
            f"separate units that it mixes. Received: activation={activation!r}"
        )
