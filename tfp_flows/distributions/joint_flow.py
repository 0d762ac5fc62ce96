"""A flow over the latents of a joint distribution, in their own structure."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._inlined_maps import inlined_maps
from tfp_flows.distributions.flow import Flow


class JointFlow(Flow):
    """log q(z) = log q_x(f^-1(z)) + log |det df^-1/dz|, z a structure of several tensors.

    A `Flow` whose bijector maps vectors to a structure, within the constraints of a joint
    distribution. That bijector runs the joint distribution's own function, for which
    `tf.vectorized_map` batches it; here gradients of it compile once under XLA.
    `tfp_flows.surrogate_posterior` makes it.

    Args:
      distribution: of x, a TFP distribution over vectors.
      bijector: f, a `tfb.Bijector` from vectors to the structure.
      validate_args: Python `bool`.
      name: Python `str`.
    """

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        bijector: tfp.bijectors.Bijector,
        validate_args: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(distribution, bijector, validate_args, name)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: Any = None) -> dict[str, Any]:
        return super()._parameter_properties(dtype, num_classes)

    def _call_sample_n(self, sample_shape: tf.Tensor, seed: Any, **kwargs: Any) -> Any:
        with inlined_maps():
            return super()._call_sample_n(sample_shape, seed, **kwargs)

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        with inlined_maps():
            return super()._call_log_prob(value, name, **kwargs)

    def _sample_and_log_prob(
        self, sample_shape: tf.Tensor, seed: Any, **kwargs: Any
    ) -> tuple[Any, tf.Tensor]:
        with inlined_maps():
            return super()._sample_and_log_prob(sample_shape, seed, **kwargs)
