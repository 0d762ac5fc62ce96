"""A bijector that learns location and scale from the data, before training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.normalization._data_dependent import DataDependent


class Standardize(DataDependent):
    r"""$y = m + s x$

    A bijector whose inverse standardizes the data, with mean and standard deviation set by `adapt`.

    m and s are the mean and the standard deviation of the data, for each number of an event. The
    rest of the flow sees zero mean and unit variance, while densities stay in the units of the
    data. `adapt`, or `FlowModel.adapt`, sets the variables. Training does not change them.
    $\log |\det dy/dx| = \sum_i \log s_i$ in nats.

    Shapes: `x` is `[..., *event_shape]`. `forward_min_event_ndims` is the number of sizes in
    `event_shape`: 1 for vectors, 0 for single numbers, `Standardize(())`. Domain: all reals.

    Cost: O(D) for each point in both directions.

    Args:
      event_shape: a Python `int` D or a sequence of them.
      mean: `tf.Variable` of shape `event_shape`. If `None`, a variable of zeros is made.
      scale: `tf.Variable` of shape `event_shape`. If `None`, a variable of ones is made.
      dtype: float dtype of the variables that are made.
      validate_args: Python `bool`. If `True`, a scale that is not positive is an error.
      name: Python `str`.

    Raises:
      ValueError: if a size in `event_shape` is below one, or a shape does not fit.

    Example:
      >>> import tfp_flows as tfpf
      >>> standardize = tfpf.bijectors.Standardize(2)
      >>> standardize.adapt([[13.5, 10.5], [15.5, 30.5]])
      >>> standardize.inverse([[15.0, 25.5]]).numpy()
      array([[0.5, 0.5]], dtype=float32)
      >>> standardize.mean.numpy()
      array([14.5, 20.5], dtype=float32)

    See also: `tfpf.bijectors.StandardizeContext`, `tfpf.bijectors.ActNorm`.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        mean: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        dtype: tf.DType | str = "float32",
        validate_args: bool = False,
        name: str = "standardize",
    ) -> None:
        parameters = dict(locals())
        sizes: Any = event_shape
        sizes = [sizes] if np.ndim(sizes) == 0 else list(sizes)
        event_shape = tuple(_checks.integer_at_least(size, 1, "event_shape") for size in sizes)
        with tf.name_scope(name), tf.init_scope():
            if mean is None:
                mean = tf.Variable(tf.zeros(event_shape, dtype), trainable=False, name="mean")
            if scale is None:
                scale = tf.Variable(tf.ones(event_shape, dtype), trainable=False, name="scale")
        parameters.update(mean=mean, scale=scale)
        dtype = self._keep(mean=mean, scale=scale)
        _checks.static_shape(self._mean, event_shape, "mean")
        _checks.static_shape(self._scale, event_shape, "scale")
        self._event_shape = self._no_dependency(event_shape)
        super().__init__(
            event_shape=event_shape,
            forward_min_event_ndims=len(event_shape),
            is_constant_jacobian=True,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {"mean": _parameters.own(), "scale": _parameters.own()}

    @property
    def mean(self) -> tf.Tensor | tf.Variable:
        """The means m, of shape `event_shape`."""
        return self._mean

    @property
    def scale(self) -> tf.Tensor | tf.Variable:
        """The scales s, of shape `event_shape`."""
        return self._scale

    def adapt(self, data: ArrayLike) -> None:
        """Sets m and s to the mean and the (population) standard deviation over the rows.

        Args:
          data: an array `[N, *event_shape]`.

        Raises:
          ValueError: if the shape does not fit, there is no row, a value is not finite, or a
            coordinate is constant up to the rounding of the dtype. A constant coordinate has no
            density.
        """
        data = np.asarray(data)
        if data.ndim == 0 or data.shape[1:] != self._event_shape or len(data) == 0:
            raise ValueError(
                f"`data` must have shape [N, {_checks.listed(self._event_shape)}], with at least "
                f"one row. Received: data.shape={data.shape}"
            )
        self._check_finite(data)
        mean, scale, is_constant = self._moments_of_rows(data)
        with np.errstate(over="ignore"):
            mean, scale = (t.astype(self.dtype.as_numpy_dtype) for t in (mean, scale))
        is_constant |= scale == 0
        if is_constant.any():
            raise ValueError(
                "`data` must vary in every coordinate by more than the rounding of "
                f"{self.dtype.name}. A constant coordinate has no density. "
                f"Received: constant coordinates {np.argwhere(is_constant).tolist()}"
            )
        if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
            raise ValueError(
                f"`data` must have a mean and a standard deviation that fit in {self.dtype.name}. "
                f"Received: a largest mean of {mean.max()} and a largest deviation of {scale.max()}"
            )
        self._mean.assign(mean)
        self._scale.assign(scale)

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        if not self.validate_args or is_init:
            return []
        return [tf.debugging.assert_positive(self._scale, message="`scale` must be positive.")]

    def _is_increasing(self) -> bool | tf.Tensor:
        return tf.reduce_all(tf.convert_to_tensor(self._scale) > 0.0)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scale = tf.convert_to_tensor(self._scale)
        return self._mean + scale * x, self._log_det(scale, x)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        self._meet(y)
        scale = tf.convert_to_tensor(self._scale)
        return (y - self._mean) / scale, -self._log_det(scale, y)

    def _log_det(self, scale: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        batch_shape = tf.shape(x)[: x.shape.rank - len(self._event_shape)]
        return tf.broadcast_to(tf.reduce_sum(tf.math.log(scale)), batch_shape)
