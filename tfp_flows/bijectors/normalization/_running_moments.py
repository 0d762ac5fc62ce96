"""A Keras layer that tracks the mean and variance of its inputs."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks


@keras.saving.register_keras_serializable(package="tfp_flows")
class RunningMoments(keras.layers.Layer):
    """m <- a m + (1 - a) mean(x), and v <- a v + (1 - a) var(x), in each training step.

    A Keras layer that returns the moments of a batch in training, and running moments otherwise.

    Called on `x` it returns `(mean(x), var(x))` in training mode, and `(m, v)` otherwise. It is a
    Keras layer because Keras shows the mode only to layers, through its call context. Moments are
    taken over all axes but the last.

    Under a `tf.distribute` strategy each device has its own m and v. They are averaged when they
    are read. Synchronous updates would need all devices to wait, which XLA cannot compile.

    Args:
      size: D, the last axis of `x`.
      momentum: a, between zero and one.
      **kwargs: those of `keras.layers.Layer`.
    """

    def __init__(self, size: int, momentum: float = 0.99, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.size = _checks.integer_at_least(size, 1, "size")
        self.momentum = _checks.fraction(momentum, "momentum")
        own = {"shape": (self.size,), "dtype": self.variable_dtype, "trainable": False}
        own.update(autocast=False, aggregation="mean", synchronization="on_read")
        self.mean = keras.Variable("zeros", name="mean", **own)
        self.variance = keras.Variable("ones", name="variance", **own)
        self.built = True

    def call(self, x: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a mean and a variance, each `[D]`."""
        if not training:
            return tf.identity(self.mean.value), tf.identity(self.variance.value)
        mean, variance = tf.nn.moments(x, axes=list(range(len(x.shape) - 1)))
        for running, new in ((self.mean, mean), (self.variance, variance)):
            # The gradient of a loss must not flow into the running statistics.
            new = tf.stop_gradient(new)
            running.assign(self.momentum * running.value + (1.0 - self.momentum) * new)
        return mean, variance

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "size": self.size, "momentum": self.momentum}
