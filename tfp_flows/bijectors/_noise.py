"""A layer of random numbers that are new in training, and always the same otherwise."""

import abc
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.math._replica_seed import next_replica_seed


class Noise(keras.layers.Layer, abc.ABC):
    """A layer that returns random numbers of the shape of its input.

    They are new in each training step, and always the same otherwise. Keras's training mode
    decides, as it does for dropout. So `evaluate`, `predict` and a plain `elbo` return the same
    numbers each time. The state of the seeds is saved with the model.

    Args:
        seed: a non-negative integer, or `None`.
        **kwargs: those of `keras.layers.Layer`.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.seed = None if seed is None else _checks.integer_at_least(seed, 0, "seed")
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.built = True

    @abc.abstractmethod
    def draw(self, shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Returns random numbers of this shape, for a seed of shape `[2]`."""

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns noise of the shape and dtype of `x`."""
        if training:
            seed = next_replica_seed(self.seed_generator)
        else:
            seed = tf.constant([self.seed or 0, 0], tf.int32)
        return self.draw(tf.shape(x), seed, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
