"""The random projections of an estimated trace."""

import keras
import tensorflow as tf

from tfp_flows import checks
from tfp_flows.math.philox import philox_bits, philox_normal
from tfp_flows.math.replica_seed import next_replica_seed


@keras.saving.register_keras_serializable(package="tfp_flows")
class HutchinsonNoise(keras.layers.Layer):
    """e of tr J = E[e^T J e], with zero mean and unit covariance; new ones in each training step.

    The argument `noise` of `Continuous`. Called with `z` of shape `[N, D]` it returns e of the
    same shape. Outside of Keras's training mode it returns `None`, for "exact", unless
    `in_inference`: then always the same e, so that a density is an unbiased estimate over seeds,
    and deterministic.

    Args:
        distribution: "rademacher", random signs, which have the least variance; or "gaussian".
        in_inference: whether there is noise outside of training, too; for D so large that D
            derivatives at each step are too many.
        seed: a non-negative integer, or `None`.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        ValueError: if `distribution` is unknown.
    """

    def __init__(self, distribution="rademacher", in_inference=False, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.distribution = checks.one_of(distribution, ("rademacher", "gaussian"), "distribution")
        self.in_inference = bool(in_inference)
        self.seed = None if seed is None else checks.integer_at_least(seed, 0, "seed")
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True

    def call(self, z, training=False):
        """Returns e of the shape of `z`, or `None`."""
        if not (training or self.in_inference):
            return None
        if training:
            seed = next_replica_seed(self.seed_generator)
        else:
            seed = tf.constant([self.seed or 0, 0], tf.int32)
        if self.distribution == "gaussian":
            return philox_normal(tf.shape(z), seed, z.dtype)
        return tf.where(philox_bits(tf.shape(z), seed) >= 0, tf.ones_like(z), -tf.ones_like(z))

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "distribution": self.distribution,
            "in_inference": self.in_inference,
            "seed": self.seed,
        }
