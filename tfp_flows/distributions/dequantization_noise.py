"""The noise that makes whole numbers continuous."""

import keras
import tensorflow as tf

from tfp_flows import checks
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
        # Integers, which are the same with XLA and without. Philox: under XLA on CPUs the default
        # is some 25 times as slow.
        bits = tf.random.stateless_uniform(
            tf.shape(x), seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
        )
        return interval_middles(bits, x.dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


def interval_middles(bits, dtype):
    """Middles of 2^24 intervals of (0, 1), for integers of any value; never one itself."""
    number = tf.bitwise.bitwise_and(bits, 2**24 - 1)
    middle = (tf.cast(number, dtype) + 0.5) * 2.0**-24
    # The last one would round to one in float32, whose logit is infinite.
    return tf.minimum(middle, 1.0 - 2.0**-24)
