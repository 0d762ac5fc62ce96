"""A flow over the latents of a joint distribution, in their own structure."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._inlined_maps import inlined_maps
from tfp_flows.distributions.flow import Flow


class JointFlow(Flow):
    r"""$\log q(z) = \log q_x(f^{-1}(z)) + \log |\det df^{-1}/dz|$

    A `Flow` over a structure of tensors z, such as the latents of a joint distribution.

    Its bijector maps vectors to the structure, within the constraints of a joint distribution. For
    this the bijector runs the function of the joint distribution, which `tf.vectorized_map`
    batches; here gradients of this map compile only once under XLA. `tfpf.surrogate_posterior`
    returns it.

    Args:
      distribution: distribution of x, a TFP distribution over vectors.
      bijector: f, a `tfb.Bijector` from vectors to the structure.
      validate_args: Python `bool`.
      name: Python `str`.

    Example:
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> tfd, tfb = tfp.distributions, tfp.bijectors
      >>> to_parts = tfb.Chain([tfb.JointMap([tfb.Identity(), tfb.Exp()]), tfb.Split(2)])
      >>> flow = tfpf.distributions.JointFlow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), to_parts)
      >>> print(flow.log_prob([[0.0], [1.0]]).numpy())
      -1.838

    See also: `tfpf.surrogate_posterior`, `tfpf.VariationalModel`.
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
