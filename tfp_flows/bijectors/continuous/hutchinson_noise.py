"""The random projections of an estimated trace."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.bijectors._noise import Noise
from tfp_flows.math._philox import philox_normal, philox_signs


@keras.saving.register_keras_serializable(package="tfp_flows")
class HutchinsonNoise(Noise):
    r"""$\text{tr}(J) = E[e^\top J e], \quad E[e] = 0, \quad E[e e^\top] = I$

    A Keras layer that draws the random projections e of an estimated trace.

    It is the argument `noise` of `Continuous`. Called with `z` of shape `[N, D]` it returns e of
    the same shape, which is new in each training step. Outside of Keras's training mode it returns
    `None`, and the trace is exact. With `in_inference` it returns the same e each time instead.
    Then a density is deterministic, and an unbiased estimate over seeds.

    Args:
        distribution: "rademacher", random signs, with the least variance; or "gaussian".
        in_inference: whether there is noise outside of training, too. It is for a D so large that D
          derivatives at each step are too many.
        seed: a non-negative integer, or `None`.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        ValueError: if `distribution` is unknown.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> noise = tfpf.bijectors.HutchinsonNoise(seed=0)
      >>> noise(tf.zeros([5, 2]), training=True).shape
      TensorShape([5, 2])
      >>> noise(tf.zeros([5, 2])) is None  # outside of training the trace is exact
      True

    See also: `tfpf.bijectors.Continuous`, `tfpf.math.hutchinson_divergence`.
    """

    def __init__(
        self,
        distribution: str = "rademacher",
        in_inference: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.distribution = _checks.one_of(distribution, ("rademacher", "gaussian"), "distribution")
        self.in_inference = bool(in_inference)

    def call(self, z: tf.Tensor, training: bool = False) -> tf.Tensor | None:
        """Returns e of the shape of `z`, or `None`."""
        return super().call(z, training) if training or self.in_inference else None

    def draw(self, shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Returns e of this shape."""
        draw = philox_signs if self.distribution == "rademacher" else philox_normal
        return draw(shape, seed, dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "distribution": self.distribution,
            "in_inference": self.in_inference,
        }


def checked_noise(noise: Any, trace: str) -> Any:
    """Returns the `noise` of a `Continuous` after checks, as a layer if the trace is estimated."""
    if isinstance(noise, str):
        _checks.one_of(noise, ("rademacher", "gaussian"), "noise")
        return HutchinsonNoise(noise) if trace == "hutchinson" else noise
    if not isinstance(noise, HutchinsonNoise):
        raise TypeError(
            "`noise` must be 'rademacher', 'gaussian' or a `HutchinsonNoise`. "
            f"Received: noise={noise!r}"
        )
    return noise
