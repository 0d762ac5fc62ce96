"""The noise from which latents are drawn."""

import numbers

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability.python.internal import samplers

from tfp_flows import checks
from tfp_flows.distributions.noise import Noise
from tfp_flows.math.philox import philox_normal


@keras.saving.register_keras_serializable(package="tfp_flows")
class LatentNoise(Noise):
    """Standard normal numbers of the shape of a tensor: new in training, else always the same.

    Args:
        seed: a non-negative integer, or `None`.
        **kwargs: those of `keras.layers.Layer`.
    """

    draw = staticmethod(philox_normal)


def stateless_seed(seed):
    """An int32 `Tensor` `[2]`: of an integer always the same, whatever was drawn before."""
    if isinstance(seed, numbers.Integral | np.integer):
        return tf.constant([checks.integer_at_least(seed, 0, "seed"), 0], tf.int32)
    return tf.cast(samplers.sanitize_seed(seed), tf.int32)
