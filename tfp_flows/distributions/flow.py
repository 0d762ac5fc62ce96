"""The distribution that every recipe returns."""

import tensorflow as tf
from tensorflow_probability.python.distributions import transformed_distribution

from tfp_flows._tree import deep_copy
from tfp_flows.bijectors._skip_log_det import skip_log_det
from tfp_flows.bijectors.flow_bijector import inverse_and_log_det
from tfp_flows.distributions._support import log_prob_in_support
from tfp_flows.distributions.philox_bases import drawn_by_philox


class Flow(transformed_distribution._TransformedDistribution):
    """log p(x) = log p_u(f^-1(x)) + log |det df^-1/dx|, evaluated anew for every `log_prob`.

    A `tfd.TransformedDistribution` in every respect but three. TFP's bijectors remember the points
    that they have mapped, so that in eager mode a sample keeps the density that it had when it
    was drawn, whatever training does to the variables meanwhile, and a tensor of one
    `tf.function` can reappear in another (TFP issue 840). Here `log_prob` takes a copy of `x`
    first, and asks each part for its value and its log-det in one evaluation.
    `experimental_sample_and_log_prob` gives samples and densities in one pass; `sample` leaves out
    log-dets where they cost more than the samples.

    `log_prob` is minus infinity, and not NaN, on and beyond the bounds of what the outermost
    bijector onto an interval can reach: `tfb.Sigmoid`, `Exp`, `Softplus`, `Tanh`, `NormalCDF`,
    `SoftClip`, also in `Chain`, `Blockwise` and `Invert`, behind shifts, scales and permutations.

    And the base is drawn by Philox where that can be arranged (see `drawn_by_philox`): under XLA
    TFP's own draw can take longer than the flow.

    Args:
      distribution: the base, any TFP distribution.
      bijector: f, any `tfb.Bijector`; `forward` maps base to data.
      validate_args: Python `bool`.
      name: Python `str`.
    """

    __deepcopy__ = deep_copy

    def __init__(self, distribution, bijector, validate_args=False, name=None):
        parameters = dict(locals())
        distribution = drawn_by_philox(distribution)
        # Copies, and what is conditioned, share it.
        parameters.update(distribution=distribution)
        super().__init__(
            distribution, bijector, validate_args=validate_args, parameters=parameters, name=name
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        # TFP warns when annotations are inherited past a new `__init__`.
        return super()._parameter_properties(dtype, num_classes)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        with skip_log_det():
            return super()._call_sample_n(sample_shape, seed, **kwargs)

    def _log_prob(self, y, **kwargs):
        event_ndims = tf.nest.map_structure(lambda shape: shape.rank, self.event_shape)
        if kwargs or not self.bijector._is_injective or None in tf.nest.flatten(event_ndims):
            return super()._log_prob(y, **kwargs)
        # A copy, which parts of TFP have not met.
        y = tf.nest.map_structure(tf.identity, y)

        def log_prob(y):
            x, log_det = inverse_and_log_det(self.bijector, y, event_ndims)
            log_prob = self.distribution.log_prob(x)
            return log_prob + tf.cast(log_det, log_prob.dtype)

        return log_prob_in_support(self, y, log_prob)

    def experimental_local_measure(self, y, backward_compat=False, **kwargs):
        """As in TFP, on a copy of `y`."""
        y = tf.nest.map_structure(tf.identity, y)
        return super().experimental_local_measure(y, backward_compat=backward_compat, **kwargs)
