"""The noise from which latents are drawn."""

import keras

from tfp_flows.bijectors._noise import Noise
from tfp_flows.math._philox import philox_normal


@keras.saving.register_keras_serializable(package="tfp_flows")
class LatentNoise(Noise):
    """Standard normal numbers of the shape of a tensor: new in training, else always the same.

    Args:
        seed: a non-negative integer, or `None`.
        **kwargs: those of `keras.layers.Layer`.
    """

    draw = staticmethod(philox_normal)
