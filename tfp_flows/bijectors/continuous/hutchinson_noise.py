"""The random projections of an estimated trace."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.bijectors._noise import Noise
from tfp_flows.math._philox import philox_normal, philox_signs


@keras.saving.register_keras_serializable(package="tfp_flows")
class HutchinsonNoise(Noise):
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
        """Returns e of the shape."""
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
    """The `noise` of a `Continuous`: a layer if its trace is estimated, or an error."""
    if isinstance(noise, str):
        _checks.one_of(noise, ("rademacher", "gaussian"), "noise")
        return HutchinsonNoise(noise) if trace == "hutchinson" else noise
    if not isinstance(noise, HutchinsonNoise):
        raise TypeError(
            "`noise` must be 'rademacher', 'gaussian' or a `HutchinsonNoise`. "
            f"Received: noise={noise!r}"
        )
    return noise
