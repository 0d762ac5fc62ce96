"""What distributions of whole numbers share: a continuous distribution, and noise."""

import abc
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors._networks import layer_variables
from tfp_flows.distributions.dequantization_noise import DequantizationNoise

tfd = tfp.distributions


class Dequantizing:
    """A distribution of x from that of a function of x + u, where a layer draws u.

    A subclass calls `_keep` before it calls the constructor of TFP, and puts the layer that this
    returns among its parameters: the layer holds the state of the seeds, which copies share.
    """

    _distribution: Any
    parameters: dict[str, Any]  # of TFP's distribution, which a subclass is, too

    def _keep(self, distribution: Any, seed: int | None, noise: Any) -> Any:
        """Keeps the continuous distribution and the noise; creates the noise if it is `None`."""
        if noise is None:
            with tf.init_scope():
                noise = DequantizationNoise(seed, dtype=distribution.dtype.name)
        self._noise = noise
        self._noise_variables = layer_variables(noise)
        self._distribution = distribution
        return noise

    @property
    @abc.abstractmethod
    def distribution(self) -> tfd.Distribution:
        """The continuous distribution."""

    @abc.abstractmethod
    def check_values(self, x: Any, name: str) -> None:
        """Refuses an array with values that are not whole numbers of the range."""

    @abc.abstractmethod
    def _with_noise(self, x: Any) -> tf.Tensor:
        """The point of the continuous distribution that x and a draw of u give."""

    @property
    def density_dtype(self) -> tf.DType:
        """The dtype of `elbo`."""
        return self._distribution.dtype

    def _event_shape(self) -> tf.TensorShape:
        return self._distribution.event_shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return self._distribution.event_shape_tensor()


def checked_distribution(distribution: Any) -> None:
    """Refuses anything but a TFP distribution."""
    if not isinstance(distribution, tfd.Distribution):
        raise TypeError(
            f"`distribution` must be a TFP distribution. Received: distribution={distribution!r}"
        )
