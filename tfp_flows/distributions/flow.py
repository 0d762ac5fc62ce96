"""The distribution that every recipe returns."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.distributions import transformed_distribution

from tfp_flows import _checks
from tfp_flows._lost_in_keras import LostDistribution
from tfp_flows._tree import deep_copy
from tfp_flows.bijectors._increasing import is_increasing
from tfp_flows.bijectors._skip_log_det import skip_log_det
from tfp_flows.bijectors.flow_bijector import inverse_and_log_det
from tfp_flows.distributions._described import described, short
from tfp_flows.distributions._one_dimension import OneDimension
from tfp_flows.distributions._support import log_prob_in_support, log_prob_where_finite
from tfp_flows.distributions.philox_bases import drawn_by_philox
from tfp_flows.math._finite_gradient import (
    drop_gradient_at_infinity,
    drop_gradient_near_infinity,
)


class Flow(OneDimension, LostDistribution, transformed_distribution._TransformedDistribution):
    r"""$\log p(x) = \log p_u(f^{-1}(x)) + \log |\det df^{-1}/dx|$

    The distribution of f(u) for u from a base, which every recipe returns.

    It is a `tfd.TransformedDistribution`, with these differences:

    - Current densities: TFP's bijectors remember the points that they have mapped. So in eager
      mode a sample keeps the density with which it was drawn, even after training has changed the
      variables, and a tensor of one `tf.function` can appear in another (TFP issue 840). Here
      `log_prob` computes the density of a copy of `x` with the current variables.
    - One pass: `log_prob` evaluates each part once for its value and its log-det.
      `experimental_sample_and_log_prob` computes samples and densities in one pass. `sample` leaves
      out log-dets that cost more than the samples.
    - Values at the edge: `log_prob` is minus infinity at an infinity, and NaN at a NaN. It is minus
      infinity on and beyond the bounds of the range of the outermost bijector onto an interval:
      `tfb.Sigmoid`, `tfb.Exp`, `tfb.Softplus`, `tfb.Tanh`, `tfb.NormalCDF` or `tfb.SoftClip`. This
      bijector may be in `tfb.Chain`, `tfb.Blockwise` and `tfb.Invert`, behind shifts, scales and
      permutations.
    - Gradients at the edge: they are zero where x is not finite, and where `log_prob` is minus
      infinity or its size exceeds a thousandth of the largest number of its dtype (3e35 in
      float32). So one such row leaves the gradients of the others as they are.
    - Fast draws: the base is drawn by Philox if possible (see
      `tfpf.distributions.drawn_by_philox`): under XLA TFP's own draw can take longer than the flow.
    - CDF and quantiles: a flow over one number has `cdf`, `survival_function`, their logarithms
      and `quantile`. If that number is a vector of size one, x `[..., 1]` has the `cdf` `[...]`,
      and p `[...]` the `quantile` `[..., 1]`. The base may be any distribution that has them, a
      normal distribution over vectors, a mixture (with a search for quantiles), or `tfd.Sample` or
      `tfd.Independent` of these. In more dimensions they raise `NotImplementedError`. The exception
      is the `cdf` if f maps each coordinate alone and increases, and the base has a `cdf`.

    Args:
      distribution: the base, any TFP distribution.
      bijector: f, any `tfb.Bijector`; `forward` maps base to data.
      validate_args: Python `bool`.
      name: Python `str`.

    Example:
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> base, bijector = tfp.distributions.Normal(0.0, 1.0), tfp.bijectors.Exp()
      >>> flow = tfpf.distributions.Flow(base, bijector)  # a log-normal distribution
      >>> print(flow.log_prob(1.0).numpy(), flow.quantile(0.5).numpy())
      -0.919 1.0

    See also: `tfpf.flows.maf` and other recipes, `tfpf.FlowModel`, `tfpf.condition`.
    """

    __deepcopy__ = deep_copy

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        bijector: tfp.bijectors.Bijector,
        validate_args: bool = False,
        name: str | None = None,
    ) -> None:
        parameters = dict(locals())
        distribution = drawn_by_philox(distribution)
        # Copies and conditioned flows share it.
        parameters.update(distribution=distribution)
        super().__init__(
            distribution, bijector, validate_args=validate_args, parameters=parameters, name=name
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: Any = None) -> dict[str, Any]:
        # TFP warns when annotations are inherited past a new `__init__`.
        return super()._parameter_properties(dtype, num_classes)

    def __repr__(self) -> str:
        first = super().__repr__().replace(self.name, short(self.name))
        return f"{first}\n{described(self)}"

    def _call_sample_n(self, sample_shape: tf.Tensor, seed: Any, **kwargs: Any) -> tf.Tensor:
        with skip_log_det():
            return super()._call_sample_n(sample_shape, seed, **kwargs)

    def _log_prob(self, y: Any, **kwargs: Any) -> tf.Tensor:
        event_ndims = tf.nest.map_structure(lambda shape: shape.rank, self.event_shape)
        if kwargs or not self.bijector._is_injective or None in tf.nest.flatten(event_ndims):
            return super()._log_prob(y, **kwargs)
        # Some parts of TFP would broadcast points of another size, or drop some of their numbers.
        tf.nest.map_structure(
            lambda y, shape: _checks.event(y, shape, "value"), y, self.event_shape
        )
        # A copy: bijectors of TFP may remember `y` itself.
        y = tf.nest.map_structure(tf.identity, y)

        def log_prob(y: tf.Tensor) -> tf.Tensor:
            x, log_det = inverse_and_log_det(self.bijector, y, event_ndims)
            x = tf.nest.map_structure(drop_gradient_at_infinity, x)
            log_prob = self.distribution.log_prob(x)
            return drop_gradient_near_infinity(log_prob + tf.cast(log_det, log_prob.dtype))

        if not (tf.is_tensor(y) and y.dtype.is_floating):
            return log_prob_in_support(self, y, log_prob)
        return log_prob_in_support(
            self, y, lambda y: log_prob_where_finite(y, event_ndims, log_prob)
        )

    def _tail(self, name: str, x: tf.Tensor, kwargs: dict[str, Any], **which: bool) -> tf.Tensor:
        if not kwargs and self._increases_by_coordinate():
            try:
                return getattr(self.distribution, name)(self.bijector.inverse(tf.identity(x)))
            except NotImplementedError:
                pass  # the flow raises its own error
        return super()._tail(name, x, kwargs, **which)

    def _increases_by_coordinate(self) -> bool:
        """Whether P[X_1 <= x_1, X_2 <= x_2, ...] equals that of the base, as in TFP."""
        shape, ndims = self.distribution.event_shape, self.bijector.forward_min_event_ndims
        if ndims != 0 or not isinstance(shape, tf.TensorShape) or shape.num_elements() == 1:
            return False
        try:
            increasing = tf.get_static_value(tf.convert_to_tensor(is_increasing(self.bijector, 0)))
        except NotImplementedError:
            return False
        return increasing is not None and bool(np.all(increasing))

    def experimental_local_measure(
        self, y: ArrayLike, backward_compat: bool = False, **kwargs: Any
    ) -> Any:
        """As in TFP, on a copy of `y`."""
        y = tf.nest.map_structure(tf.identity, y)
        return super().experimental_local_measure(y, backward_compat=backward_compat, **kwargs)
