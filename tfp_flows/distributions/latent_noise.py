"""The noise from which latents are drawn."""

import numbers

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability.python.internal import samplers

from tfp_flows import checks
from tfp_flows.math.philox import philox_normal
from tfp_flows.math.replica_seed import replica_seed


@keras.saving.register_keras_serializable(package="tfp_flows")
class LatentNoise(keras.layers.Layer):
    """Standard normal numbers of the shape of a tensor: new in training, else always the same.

    Keras's training mode decides, as it does for dropout, so that `evaluate`, `predict` and a plain
    `elbo` give the same numbers each time. The state of the seeds is saved with the model.

    Args:
        seed: a non-negative integer, or `None`.
        **kwargs: those of `keras.layers.Layer`.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.seed = None if seed is None else checks.integer_at_least(seed, 0, "seed")
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True

    def call(self, x, training=False):
        """Returns noise of the shape and dtype of `x`."""
        if training:
            seed = replica_seed(tf.cast(self.seed_generator.next(), tf.int32))
        else:
            seed = tf.constant([self.seed or 0, 0], tf.int32)
        return philox_normal(tf.shape(x), seed, x.dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


def stateless_seed(seed):
    """An int32 `Tensor` `[2]`: of an integer always the same, whatever was drawn before."""
    if isinstance(seed, numbers.Integral | np.integer):
        return tf.constant([checks.integer_at_least(seed, 0, "seed"), 0], tf.int32)
    return tf.cast(samplers.sanitize_seed(seed), tf.int32)
