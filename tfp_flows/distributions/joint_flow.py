"""A flow over the latents of a joint distribution, in their own structure."""

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

    def __init__(self, distribution, bijector, validate_args=False, name=None):
        super().__init__(distribution, bijector, validate_args, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return super()._parameter_properties(dtype, num_classes)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        with inlined_maps():
            return super()._call_sample_n(sample_shape, seed, **kwargs)

    def _call_log_prob(self, value, name, **kwargs):
        with inlined_maps():
            return super()._call_log_prob(value, name, **kwargs)

    def _sample_and_log_prob(self, sample_shape, seed, **kwargs):
        with inlined_maps():
            return super()._sample_and_log_prob(sample_shape, seed, **kwargs)
