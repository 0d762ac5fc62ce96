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
from tfp_flows.distributions._described import described
from tfp_flows.distributions._one_dimension import OneDimension
from tfp_flows.distributions._support import log_prob_in_support, log_prob_where_finite
from tfp_flows.distributions.philox_bases import drawn_by_philox
from tfp_flows.math._finite_gradient import (
    drop_gradient_at_infinity,
    drop_gradient_near_infinity,
)


class Flow(OneDimension, LostDistribution, transformed_distribution._TransformedDistribution):
    """log p(x) = log p_u(f^-1(x)) + log |det df^-1/dx|, evaluated anew for every `log_prob`.

    A `tfd.TransformedDistribution` in every respect but three. TFP's bijectors remember the points
    that they have mapped, so that in eager mode a sample keeps the density that it had when it
    was drawn, whatever training does to the variables meanwhile, and a tensor of one
    `tf.function` can reappear in another (TFP issue 840). Here `log_prob` takes a copy of `x`
    first, and asks each part for its value and its log-det in one evaluation.
    `experimental_sample_and_log_prob` gives samples and densities in one pass; `sample` leaves out
    log-dets where they cost more than the samples.

    Where `log_prob` is minus infinity, or in size above a thousandth of the largest number of its
    dtype (3e35 in float32), or where x is not finite, its gradients are zero: such rows leave those
    of others as they are. At an infinity it is minus infinity, at a NaN NaN.

    `log_prob` is minus infinity, and not NaN, on and beyond the bounds of what the outermost
    bijector onto an interval can reach: `tfb.Sigmoid`, `Exp`, `Softplus`, `Tanh`, `NormalCDF`,
    `SoftClip`, also in `Chain`, `Blockwise` and `Invert`, behind shifts, scales and permutations.

    And the base is drawn by Philox where that can be arranged (see `drawn_by_philox`): under XLA
    TFP's own draw can take longer than the flow.

    And a flow over one number has `cdf`, `survival_function`, their logarithms and `quantile`, also
    where that number is a vector of one dimension: x `[..., 1]` has the `cdf` `[...]`, and p
    `[...]` the `quantile` `[..., 1]`. The base may be any that has them, a normal distribution over
    vectors, a mixture (whose quantiles are found by a search), `Sample` and `Independent` of these.
    Of more dimensions they raise `NotImplementedError`, but for the `cdf` where f maps each
    coordinate alone and increases, and the base has one.

    Args:
      distribution: the base, any TFP distribution.
      bijector: f, any `tfb.Bijector`; `forward` maps base to data.
      validate_args: Python `bool`.
      name: Python `str`.
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
        # Copies, and what is conditioned, share it.
        parameters.update(distribution=distribution)
        super().__init__(
            distribution, bijector, validate_args=validate_args, parameters=parameters, name=name
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: Any = None) -> dict[str, Any]:
        # TFP warns when annotations are inherited past a new `__init__`.
        return super()._parameter_properties(dtype, num_classes)

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n{described(self)}"

    def _call_sample_n(self, sample_shape: tf.Tensor, seed: Any, **kwargs: Any) -> tf.Tensor:
        with skip_log_det():
            return super()._call_sample_n(sample_shape, seed, **kwargs)

    def _log_prob(self, y: Any, **kwargs: Any) -> tf.Tensor:
        event_ndims = tf.nest.map_structure(lambda shape: shape.rank, self.event_shape)
        if kwargs or not self.bijector._is_injective or None in tf.nest.flatten(event_ndims):
            return super()._log_prob(y, **kwargs)
        # Parts of TFP broadcast points of another size, or drop some numbers of them.
        tf.nest.map_structure(
            lambda y, shape: _checks.event(y, shape, "value"), y, self.event_shape
        )
        # A copy, which parts of TFP have not met.
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
                pass  # is said of the flow
        return super()._tail(name, x, kwargs, **which)

    def _increases_by_coordinate(self) -> bool:
        """Whether P[X_1 <= x_1, X_2 <= x_2, ...] is that of the base, as in TFP."""
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
