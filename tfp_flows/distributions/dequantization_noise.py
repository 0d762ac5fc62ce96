"""The noise that makes whole numbers continuous."""

import keras

from tfp_flows.bijectors._noise import Noise
from tfp_flows.math._philox import philox_uniform


@keras.saving.register_keras_serializable(package="tfp_flows")
class DequantizationNoise(Noise):
    """A layer that returns uniform numbers on (0, 1), of the shape and dtype of its input.

    They are new in each call in Keras's training mode, and otherwise always the same.

    Args:
      seed: a non-negative integer, or `None`.
      **kwargs: keywords of `keras.layers.Layer`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> noise = tfpf.distributions.DequantizationNoise(seed=1)
      >>> u = noise(tf.zeros([2, 3]))
      >>> print(u.shape, bool(tf.reduce_all((u > 0.0) & (u < 1.0))))
      (2, 3) True

    See also: `tfpf.distributions.Dequantized`, `tfpf.distributions.WholeColumns`.
    """

    draw = staticmethod(philox_uniform)
