"""The affine transformer of NICE, RealNVP, MAF, IAF and Glow."""

import math
from typing import Any, Self

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._elementwise import scaled_softsign


class Affine(FlowBijector):
    r"""$y = e^s x + t$

    An affine transformer, which scales and shifts each coordinate.

    It has `forward_min_event_ndims=0`, as every transformer. Both directions cost the same, and
    $\log |dy/dx| = s$, in nats. A result is finite whenever the dtype can represent the exact
    value, even where it cannot represent `exp(s)`.

    Shapes: `x`, `shift` and `log_scale` broadcast to `[..., D]`. Domain: all reals.

    `new` takes raw parameters `h` of shape `[..., P]`: `P = 2` (`t = h[..., 0]`, `s = h[..., 1]`),
    or `P = 1` without a scale. At `h = 0` the bijector is the identity.

    Source: Dinh, Krueger and Bengio (2015), NICE, arXiv:1410.8516; Dinh, Sohl-Dickstein and Bengio
    (2017), RealNVP, arXiv:1605.08803.

    Args:
      shift: float `Tensor`, t.
      log_scale: float `Tensor`, s, or `None` for s = 0 (NICE).
      validate_args: Python `bool`, passed to `tfb.Bijector`.
      name: Python `str`.

    Example:
      >>> import tfp_flows as tfpf
      >>> affine = tfpf.bijectors.Affine(shift=1.0, log_scale=[0.0, 1.0])
      >>> affine.forward([2.0, 2.0]).numpy().round(2)
      array([3.  , 6.44], dtype=float32)
      >>> affine.forward_log_det_jacobian([2.0, 2.0]).numpy().round(2)
      array([0., 1.], dtype=float32)

    See also: `tfpf.bijectors.Coupling` and `tfpf.bijectors.Autoregressive`, which compute the
    parameters by a network.
    """

    _increases = True

    def __init__(
        self,
        shift: ArrayLike,
        log_scale: ArrayLike | None = None,
        validate_args: bool = False,
        name: str = "affine",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(shift=shift, log_scale=log_scale)
            super().__init__(
                forward_min_event_ndims=0,
                is_constant_jacobian=True,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def shift(self) -> tf.Tensor | tf.Variable:
        """t, the shift."""
        return self._shift

    @property
    def log_scale(self) -> tf.Tensor | tf.Variable | None:
        """s, the logarithm of the scale, or `None`."""
        return self._log_scale

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {
            "shift": tfp.util.ParameterProperties(),
            "log_scale": tfp.util.ParameterProperties(),
        }

    @staticmethod
    def params_size(
        log_scale: bool = True,
        max_log_scale: float | None = None,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """The number of raw parameters per coordinate: 2, or 1 with `log_scale=False`.

        Takes the keywords of `new`; only `log_scale` matters.
        """
        del max_log_scale, validate_args, name
        return 2 if log_scale else 1

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        log_scale: bool = True,
        max_log_scale: float | None = None,
        validate_args: bool = False,
        name: str = "affine",
    ) -> Self:
        """Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          log_scale: Python `bool`; `False` leaves the scale at one (NICE).
          max_log_scale: positive `float` m, or `None`. With m, a raw number a gives
            $s = a / (1 + |a| / m)$, so that $|s| < m$. This keeps deep stacks well conditioned.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if `max_log_scale` is not positive, or the last axis of `params` is not P.
        """
        if max_log_scale is not None:
            _checks.positive_number(max_log_scale, "max_log_scale")
        params = tf.convert_to_tensor(params, name="params")
        _checks.last_axis(params, cls.params_size(log_scale), "params")
        shift = params[..., 0]
        if not log_scale:
            return cls(shift, validate_args=validate_args, name=name)
        a = params[..., 1]
        if max_log_scale is not None:
            a = scaled_softsign(a, max_log_scale)
        return cls(shift, a, validate_args=validate_args, name=name)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self._log_scale is None:
            y = x + self._shift
            return y, tf.zeros_like(y)
        y = _scale(x, self._log_scale) + self._shift
        return y, tf.broadcast_to(self._log_scale, tf.shape(y))

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self._log_scale is None:
            x = y - self._shift
            return x, tf.zeros_like(x)
        x = _scale(y - self._shift, -self._log_scale)
        return x, tf.broadcast_to(-self._log_scale, tf.shape(x))


def _scale(x: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
    """$e^s x$, computed as $(x e^{s/2}) e^{s/2}$.

    In two steps the product of a tiny `x` and a huge `exp(s)` stays finite whenever the result is.
    The clip makes `0 * exp(s)` zero instead of NaN for any s.
    """
    limit = math.log(log_scale.dtype.max) * (1.0 - 1e-3)
    root = tf.exp(tf.clip_by_value(0.5 * log_scale, -limit, limit))
    # Where y overflows, its gradient to the scale would be 0 * inf = NaN. So it is cut off there.
    y = tf.stop_gradient(x * root * root)
    overflows = tf.math.is_inf(y)
    return tf.where(overflows, y, tf.where(overflows, tf.zeros_like(x), x) * root * root)
