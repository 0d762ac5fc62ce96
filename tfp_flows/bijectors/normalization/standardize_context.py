"""Contexts with zero mean and unit variance, for all parts of a flow that take a context."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows._tree import walk
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors._increasing import is_increasing
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.bijectors.flow_bijector import (
    FlowBijector,
    forward_and_log_det,
    inverse_and_log_det,
)
from tfp_flows.conditioning import condition, waits_for_context
from tfp_flows.conditioning import context_size as size_of_context

tfb = tfp.bijectors


class StandardizeContext(TakesContext, FlowBijector):
    """$y = f(x; (c - m) / s)$

    A bijector that standardizes the context before it reaches another bijector f.

    m and s are the mean and the standard deviation of the contexts. `FlowModel.adapt(context, x)`,
    or `adapt` here, sets them. Training does not change them. So the networks in f see standardized
    contexts, whatever their units are, and densities of x stay in the units of x. The log-det (in
    nats) and the costs of both directions are those of f.

    `tfp_flows.condition` binds a context, in its own units. Parts outside of f that take a context,
    such as a conditional base, get it unchanged.

    Shapes: `x` and `y` are those of f. A context is `[..., C]`, or has several axes.

    Args:
      bijector: f, any `tfb.Bijector` with parts that take a context. No context may be bound yet.
      mean: `tf.Variable` of the shape of one context. If `None`, a variable of zeros is made.
      scale: `tf.Variable` of the shape of one context, positive. If `None`, a variable of ones is
        made.
      context: c, or `None`: see `tfp_flows.condition`.
      validate_args: Python `bool`. If `True`, a scale that is not positive is an error.
      name: Python `str`.

    Raises:
      TypeError: if `bijector` is not a bijector.
      ValueError: if `bijector` takes no context, if a context is bound already, or if a shape does
        not fit.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.maf(2, num_layers=1, context_size=2)
      >>> bijector = tfpf.bijectors.StandardizeContext(flow.bijector)
      >>> bijector.adapt([[3.5, 0.0], [5.5, 1.0]])
      >>> bijector.mean.numpy()
      array([4.5, 0.5], dtype=float32)
      >>> flow = tfpf.distributions.Flow(flow.distribution, bijector)
      >>> tfpf.condition(flow, [3.5, 0.5]).log_prob(tf.zeros([5, 2])).shape
      TensorShape([5])

    See also: `tfpf.bijectors.Standardize`, `tfpf.condition`.
    """

    # A context is bound to this part only, and this part hands it to f.
    supplies_context_to = ("bijector",)

    def __init__(
        self,
        bijector: tfb.Bijector,
        mean: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        context: ArrayLike | None = None,
        validate_args: bool = False,
        name: str = "standardize_context",
    ) -> None:
        parameters = dict(locals())
        if not isinstance(bijector, tfb.Bijector):
            raise TypeError(f"`bijector` must be a `tfb.Bijector`. Received: bijector={bijector!r}")
        if not waits_for_context(bijector):
            raise ValueError(
                "`bijector` must have parts that take a context, and no context may be bound yet. "
                f"Received: bijector={bijector!r}"
            )
        size = size_of_context(bijector)
        shape, dtype = _checks.context_shape(size), _dtype(bijector)
        with tf.name_scope(name), tf.init_scope():
            if mean is None:
                mean = tf.Variable(tf.zeros(shape, dtype), trainable=False, name="mean")
            if scale is None:
                scale = tf.Variable(tf.ones(shape, dtype), trainable=False, name="scale")
        parameters.update(mean=mean, scale=scale)
        self._bijector = bijector
        self._keep(mean=mean, scale=scale)
        _checks.static_shape(self._mean, shape, "mean")
        _checks.static_shape(self._scale, shape, "scale")
        self._bind_context(context, size, dtype, name)
        super().__init__(
            forward_min_event_ndims=bijector.forward_min_event_ndims,
            inverse_min_event_ndims=bijector.inverse_min_event_ndims,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        return {
            "bijector": _parameters.own(),
            "mean": _parameters.own(),
            "scale": _parameters.own(),
            **super()._parameter_properties(dtype, num_classes),
        }

    @property
    def bijector(self) -> tfb.Bijector:
        """The bijector f that gets the standardized context."""
        return self._bijector

    @property
    def mean(self) -> tf.Tensor | tf.Variable:
        """The means m, of the shape of one context."""
        return self._mean

    @property
    def scale(self) -> tf.Tensor | tf.Variable:
        """The scales s, of the shape of one context."""
        return self._scale

    def adapt(self, context: ArrayLike) -> None:
        """Sets m and s to the mean and the (population) standard deviation over the rows.

        A number that is the same in all contexts keeps the scale one.

        Args:
          context: an array `[N, C]`, or with several axes.

        Raises:
          ValueError: if the shape does not fit, there is no row, or a value is not finite.
        """
        context = np.asarray(context)
        if context.ndim == 0 or context.shape[1:] != self.context_shape or len(context) == 0:
            raise ValueError(
                f"`context` must have shape [N, {_checks.listed(self.context_shape)}], with at "
                f"least one row. Received: context.shape={context.shape}"
            )
        if not np.isfinite(context).all():
            raise ValueError("`context` must be finite. Received: NaN or infinity")
        mean = context.mean(axis=0, dtype=np.float64)
        scale = context.std(axis=0, dtype=np.float64)
        dtype = self._mean.dtype.as_numpy_dtype
        is_constant = scale <= np.finfo(dtype).eps * np.abs(mean)
        self._mean.assign(mean.astype(dtype))
        self._scale.assign(np.where(is_constant, 1.0, scale).astype(dtype))

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        if not self.validate_args or is_init:
            return []
        return [tf.debugging.assert_positive(self._scale, message="`scale` must be positive.")]

    def _bound(self) -> tfb.Bijector:
        """Returns f with the standardized context bound."""
        self._check_is_bound()
        return condition(self._bijector, (self._context - self._mean) / self._scale)

    def _is_increasing(self) -> bool | tf.Tensor:
        return is_increasing(self._bound(), self.forward_min_event_ndims)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return forward_and_log_det(self._bound(), x, self.forward_min_event_ndims)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return inverse_and_log_det(self._bound(), y, self.inverse_min_event_ndims)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.forward_event_shape(shape)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.inverse_event_shape(shape)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.forward_event_shape_tensor(shape)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.inverse_event_shape_tensor(shape)


def _dtype(bijector: tfb.Bijector) -> tf.DType:
    """Returns the dtype of the parts that take a context, since a chain has none of its own."""
    parts = [bijector, *(node for node in walk(bijector) if isinstance(node, TakesContext))]
    return next((part.dtype for part in parts if part.dtype), tf.float32)
