"""Which activations act on each number by itself."""

import keras

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


def is_known_elementwise(activation):
    """Whether it is one of Keras's that do; of others nobody knows."""
    return any(activation is known for known in _KNOWN)
