"""The noise that makes whole numbers continuous."""

import keras
import tensorflow as tf

from tfp_flows import checks
from tfp_flows.math.philox import philox_uniform
from tfp_flows.math.replica_seed import replica_seed


@keras.saving.register_keras_serializable(package="tfp_flows")
class DequantizationNoise(keras.layers.Layer):
    """Uniform numbers on (0, 1), of the shape of a tensor: new in training, else always the same.

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
        return philox_uniform(tf.shape(x), seed, x.dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
