"""The noise from which latents are drawn."""

import keras

from tfp_flows.bijectors._noise import Noise
from tfp_flows.math._philox import philox_normal


@keras.saving.register_keras_serializable(package="tfp_flows")
class LatentNoise(Noise):
    """A layer that returns standard normal numbers, of the shape and dtype of its input.

    They are new in each call in Keras's training mode, and otherwise always the same.

    Args:
      seed: a non-negative integer, or `None`.
      **kwargs: keywords of `keras.layers.Layer`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> noise = tfpf.distributions.LatentNoise(seed=1)
      >>> first, second = noise(tf.zeros([2, 3])), noise(tf.zeros([2, 3]))
      >>> print(bool(tf.reduce_all(first == second)))
      True

    See also: `tfpf.distributions.LatentSet`.
    """

    draw = staticmethod(philox_normal)
