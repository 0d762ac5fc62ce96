"""Which activations act on each number by itself."""

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
    """Whether it is one of Keras's that do; of others nobody knows."""
    return any(activation is known for known in _KNOWN)


def check_elementwise(activation: Any, dtype: DTypeLike | tf.DType, layer_name: str) -> None:
    """Refuses one that lets units see each other, as a softmax does, which no mask could hold back.

    Others than Keras's are asked for the activations of two rows that differ in the last unit. A
    layer, which may have weights for each unit, is taken as it is.
    """
    if is_known_elementwise(activation) or isinstance(activation, keras.Layer):
        return
    with tf.init_scope():
        rows = tf.constant([[0.3, -0.7, 1.1, 0.6], [0.3, -0.7, 1.1, -2.0]], dtype)
        units = np.asarray(tf.cast(activation(rows), "float64"))
    # Vectorised or not, an operation on the same number may round differently.
    close = 8.0 * float(ml_dtypes.finfo(dtype).eps)
    if units.shape != (2, 4) or not np.allclose(units[0, :3], units[1, :3], rtol=close, atol=close):
        raise ValueError(
            f"`activation` of `{layer_name}` must act on each unit by itself, or masks would not "
            f"hold. Received: activation={activation!r}"
        )
