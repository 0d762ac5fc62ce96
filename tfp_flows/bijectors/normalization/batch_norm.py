"""Batch normalization as a bijector, as in RealNVP and MAF."""

from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors._networks import layer_variables
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.normalization._running_moments import RunningMoments
from tfp_flows.bijectors.transformers.affine import Affine


class BatchNorm(FlowBijector):
    r"""$x = \exp(g) (y - m) / \sqrt{v + \epsilon} + b$

    Batch normalization as an elementwise bijector.

    m and v are the running mean and variance of y. They are variables that each training step
    updates with the moments of its batch; they get no gradients. g and b are trained.

    In Keras's training mode (`FlowModel.fit`), `inverse` (data to base, the density) uses the mean
    and variance of the batch, over all axes but the last, and gradients flow through them.
    `forward` (sampling) always uses the running m and v. So `forward` undoes `inverse` in inference
    only. A plain `flow.log_prob` is inference.

    $\log |\det dx/dy| = \sum_i (g_i - \log(v_i + \epsilon) / 2)$ in nats, with the v that was used
    for x. For an image this is multiplied by the number of pixels. In training the log-det treats m
    and v as if they did not depend on y, as in the papers. So the loss of a training step is not
    that of a density. Use `evaluate` to compare models.

    The bijector starts as the identity, up to epsilon. Every row of a batch counts, whatever its
    weight. In training a batch of one row is mapped to b.

    Shapes: `x` is `[..., D]`, or `[..., height, width, D]` with D channels. Domain: all reals.

    Cost: O(D) for each point in both directions.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), RealNVP, arXiv:1605.08803, sec. 3.7;
    Papamakarios, Pavlakou and Murray (2017), MAF, arXiv:1705.07057, app. B.

    Args:
      event_size: D, the size of the last axis, a Python `int` of at least one.
      momentum: the weight of the past in m and v, between zero and one.
      epsilon: a positive number, added to the variance.
      log_scale: g, a `tf.Variable` or `Tensor` `[D]`. If `None`, a variable of zeros is made.
      shift: b, a `tf.Variable` or `Tensor` `[D]`. If `None`, a variable of zeros is made.
      moments: the `RunningMoments` that hold m, v and `momentum`. If `None`, they are made.
      dtype: float dtype of the variables that are made.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `event_size` is not an integer, or `momentum` or `epsilon` is not a number.
      ValueError: if `event_size` is below one, `momentum` is not between zero and one, `epsilon` is
        not positive, or a shape does not fit.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> batch_norm = tfpf.bijectors.BatchNorm(1)
      >>> batch = tf.constant([[10.0], [30.0]])
      >>> moments_of_batch = batch_norm.moments(batch, training=True)
      >>> batch_norm.moments.mean.numpy()  # 0.99 m + 0.01 mean(batch)
      array([0.20], dtype=float32)

    See also: `tfpf.bijectors.ActNorm`, `tfpf.bijectors.Standardize`.
    """

    _increases = True

    def __init__(
        self,
        event_size: int,
        momentum: float = 0.99,
        epsilon: float = 1e-5,
        log_scale: ArrayLike | None = None,
        shift: ArrayLike | None = None,
        moments: RunningMoments | None = None,
        dtype: tf.DType | str = "float32",
        validate_args: bool = False,
        name: str = "batch_norm",
    ) -> None:
        parameters = dict(locals())
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        _checks.fraction(momentum, "momentum")
        self._epsilon = _checks.positive_number(epsilon, "epsilon")
        with tf.name_scope(name), tf.init_scope():
            if log_scale is None:
                log_scale = tf.Variable(tf.zeros([event_size], dtype), name="log_scale")
            if shift is None:
                shift = tf.Variable(tf.zeros([event_size], dtype), name="shift")
            if moments is None:
                dtype_name = tf.as_dtype(dtype).name
                moments = RunningMoments(event_size, momentum, dtype=dtype_name)
        parameters.update(log_scale=log_scale, shift=shift, moments=moments)
        dtype = self._keep(log_scale=log_scale, shift=shift)
        _checks.static_shape(self._log_scale, (event_size,), "log_scale")
        _checks.static_shape(self._shift, (event_size,), "shift")
        if not isinstance(moments, RunningMoments) or moments.size != event_size:
            raise ValueError(
                f"`moments` must be `RunningMoments` of size {event_size}. "
                f"Received: moments={moments!r}"
            )
        self._moments = moments
        self._moments_variables = layer_variables(moments)
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
        return {
            "log_scale": _parameters.own(1),
            "shift": _parameters.own(1),
            "moments": _parameters.own(),
        }

    @property
    def moments(self) -> RunningMoments:
        """The Keras layer that holds m, `moments.mean`, and v, `moments.variance`."""
        return self._moments

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, variance = self._moments(y)
        affine = self._affine(variance)
        x, _ = affine._forward_and_log_det(y - mean)
        log_det = tf.reduce_sum(affine.log_scale)
        return x, tf.broadcast_to(log_det, tf.shape(y)[:-1])

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        affine = self._affine(self._moments.variance.value)
        y, _ = affine._inverse_and_log_det(x)
        log_det = -tf.reduce_sum(affine.log_scale)
        return y + self._moments.mean.value, tf.broadcast_to(log_det, tf.shape(x)[:-1])

    def _affine(self, variance: tf.Tensor) -> Affine:
        """Returns the affine map from y - m to x."""
        log_scale = self._log_scale - 0.5 * tf.math.log(variance + self._epsilon)
        return Affine(self._shift, log_scale)
