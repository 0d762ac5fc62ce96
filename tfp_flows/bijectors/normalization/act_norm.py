"""The activation normalization of Glow, whose start is computed from data."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.normalization._data_dependent import DataDependent
from tfp_flows.bijectors.transformers.affine import Affine


class ActNorm(DataDependent):
    r"""$y = \exp(s) \, x + t$

    Activation normalization: a trained scale and shift for each coordinate, set from data at first.

    There is one s and one t for each coordinate, or for each channel of an image. `adapt` sets them
    so that `inverse` (data to base) gives zero mean and unit variance over all axes but the last.
    `FlowModel.fit` and `train_on_batch` do this once, before the first step, for every `ActNorm`
    that has not been adapted yet. Each one sees the first batch as the parts before it leave it.
    `FlowModel.adapt` sets all of them again at any time. `initialized` says whether the start has
    been set. It is saved too, so that a loaded model continues where it was. Before that, the
    bijector is the identity.

    The statistics count all rows equally, except that rows of weight zero are left out.
    $\log |\det dy/dx| = \sum_i s_i$ in nats. For an image this is multiplied by `height * width`.

    Shapes: `x` is `[..., D]`, or `[..., height, width, D]` with D channels. Domain: all reals.

    Cost: O(D) for each point in both directions.

    Source: Kingma and Dhariwal (2018), Glow, arXiv:1807.03039, sec. 3.1; the initialization from
    data is by Salimans and Kingma (2016), arXiv:1602.07868.

    Args:
      event_size: D, the size of the last axis, a Python `int` of at least one.
      log_scale: s, a `tf.Variable` or `Tensor` `[D]`. If `None`, a variable of zeros is made.
      shift: t, a `tf.Variable` or `Tensor` `[D]`. If `None`, a variable of zeros is made.
      initialized: a `tf.Variable` of dtype bool. If `None`, it is made.
      dtype: float dtype of the variables that are made.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `event_size` is not an integer.
      ValueError: if `event_size` is below one, or a shape does not fit.

    Example:
      >>> import tfp_flows as tfpf
      >>> act_norm = tfpf.bijectors.ActNorm(2)
      >>> act_norm.adapt([[13.5, 10.5], [15.5, 30.5]])
      >>> act_norm.inverse([[15.0, 25.5]]).numpy()
      array([[0.5, 0.5]], dtype=float32)
      >>> act_norm.shift.numpy()
      array([14.5, 20.5], dtype=float32)

    See also: `tfpf.bijectors.BatchNorm`, `tfpf.bijectors.Standardize`.
    """

    _increases = True

    def __init__(
        self,
        event_size: int,
        log_scale: ArrayLike | None = None,
        shift: ArrayLike | None = None,
        initialized: tf.Variable | None = None,
        dtype: tf.DType | str = "float32",
        validate_args: bool = False,
        name: str = "act_norm",
    ) -> None:
        parameters = dict(locals())
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        with tf.name_scope(name), tf.init_scope():
            if log_scale is None:
                log_scale = tf.Variable(tf.zeros([event_size], dtype), name="log_scale")
            if shift is None:
                shift = tf.Variable(tf.zeros([event_size], dtype), name="shift")
            if initialized is None:
                initialized = tf.Variable(False, trainable=False, name="initialized")
        parameters.update(log_scale=log_scale, shift=shift, initialized=initialized)
        dtype = self._keep(log_scale=log_scale, shift=shift)
        _checks.static_shape(self._log_scale, (event_size,), "log_scale")
        _checks.static_shape(self._shift, (event_size,), "shift")
        self._initialized = initialized
        super().__init__(
            event_size=event_size,
            forward_min_event_ndims=1,
            is_constant_jacobian=True,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {"log_scale": _parameters.own(1), "shift": _parameters.own(1)}

    @property
    def log_scale(self) -> tf.Tensor | tf.Variable:
        """The log-scales s, `[D]`."""
        return self._log_scale

    @property
    def shift(self) -> tf.Tensor | tf.Variable:
        """The shifts t, `[D]`."""
        return self._shift

    @property
    def initialized(self) -> tf.Variable:
        """Whether s and t have been set from data."""
        return self._initialized

    def adapt(self, data: ArrayLike) -> None:
        """Sets t to the mean and exp(s) to the standard deviation of the data.

        A coordinate that does not vary keeps the scale one, since a first batch may be constant by
        accident. In a single row no coordinate varies.

        Args:
          data: an array `[..., D]`; all axes but the last one count as rows.

        Raises:
          ValueError: if the shape does not fit, or a value is not finite.
        """
        mean, log_scale = self._moments(data)
        self._assign(mean, log_scale)

    def _adapt_inverted(self, data: ArrayLike) -> None:
        """Adapts to data that pass through `forward`, as in `tfb.Invert`: x is the data there."""
        mean, log_scale = self._moments(data)
        self._assign(-mean * np.exp(-log_scale), -log_scale)

    def _moments(self, data: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean and the logarithm of the standard deviation, in float64."""
        data = np.asarray(data)
        if data.ndim < 2 or data.shape[-1] != self._event_size or data.size == 0:
            raise ValueError(
                f"`data` must have shape [..., {self._event_size}], with at least one row. "
                f"Received: data.shape={data.shape}"
            )
        self._check_finite(data)
        rows = data.reshape([-1, self._event_size])
        mean, deviation, is_constant = self._moments_of_rows(rows)
        return mean, np.log(np.where(is_constant, 1.0, deviation))

    def _assign(self, shift: np.ndarray, log_scale: np.ndarray) -> None:
        self._shift.assign(tf.constant(shift, self.dtype))
        self._log_scale.assign(tf.constant(log_scale, self.dtype))
        self._initialized.assign(True)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        self._meet(x, self._adapt_inverted)
        y, _ = self._affine()._forward_and_log_det(x)
        log_det = tf.reduce_sum(self._log_scale)
        return y, tf.broadcast_to(log_det, tf.shape(x)[:-1])

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        self._meet(y)
        x, _ = self._affine()._inverse_and_log_det(y)
        log_det = -tf.reduce_sum(self._log_scale)
        return x, tf.broadcast_to(log_det, tf.shape(y)[:-1])

    def _affine(self) -> Affine:
        return Affine(self._shift, self._log_scale)
