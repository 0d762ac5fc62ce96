"""The transformer that is a positive combination of monotone activations."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import parameter_properties

from tfp_flows import _checks
from tfp_flows.bijectors.transformers._monotone import Monotone
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._elementwise import scaled_softsign

# The activations' weights at the start add up to this: near the identity, but with gradients.
_START = 0.05
_LEAK = 0.01


class MonotoneActivations(Monotone):
    r"""$y = c x + d + \sum_k w_k \rho(a_k x + b_k)$, with c, $w_k$ and $a_k$ positive

    A line plus a sum of increasing activations, elementwise.

    It has `forward_min_event_ndims=0`. $\rho$ is an increasing activation. The linear term makes
    the map reach every real number. `forward` is a closed form of cost O(K). `inverse` is a
    bracketed Newton search (`tfp_flows.math.find_root`) for any target, at 5 to 10 times the cost.
    $\log |dy/dx|$ is elementwise, in nats. For compositions use a `tfb.Chain` of several, or
    stacked couplings.

    Shapes: `x`, `log_linear` and `shift` are `[..., D]`, the activations' parameters are
    `[..., D, K]`. Batch shapes broadcast. Domain: all reals, onto all reals.

    `new` takes raw parameters of shape `[..., P]`, `P = 3 K + 2`: K of log w, K of log a, K of b,
    then log c and d. At zero y(0) = 0 and y'(0) = 1, and fixed offsets make the $b_k$ differ. With
    K of at least two, $|y - x| \le 0.1$ and the slope is within 0.05 of one for $|x| \le 3$.

    Source: Papamakarios, Nalisnick, Rezende, Mohamed and Lakshminarayanan (2021), arXiv:1912.02762,
    sec. 3.1.2, "non-affine neural transformers", eq. 30.

    Args:
      log_weight: float `Tensor` `[..., K]`, log w.
      log_slope: float `Tensor` `[..., K]`, log a.
      bias: float `Tensor` `[..., K]`, b.
      log_linear: float `Tensor`, log c.
      shift: float `Tensor`, d.
      activation: `"sigmoid"`, `"tanh"`, `"softsign"`, `"softplus"` or `"leaky_relu"` (slope 0.01
        below zero; its log-det is constant between kinks).
      validate_args: Python `bool`. If `True` a y without a root is an error, else x is NaN there.
      name: Python `str`.

    Raises:
      ValueError: if `activation` is unknown, or its parameters do not have the same number K.

    Example:
      >>> import tfp_flows as tfpf
      >>> tanh = tfpf.bijectors.MonotoneActivations([0.0], [0.0], [0.0], log_linear=0.0, shift=0.0)
      >>> tanh.forward([-1.0, 0.0, 1.0]).numpy().round(2)  # x + tanh(x)
      array([-1.76,  0.  ,  1.76], dtype=float32)

    See also: `tfpf.bijectors.DeepSigmoid`.
    """

    def __init__(
        self,
        log_weight: ArrayLike,
        log_slope: ArrayLike,
        bias: ArrayLike,
        log_linear: ArrayLike,
        shift: ArrayLike,
        activation: str = "tanh",
        validate_args: bool = False,
        name: str = "monotone_activations",
    ) -> None:
        parameters = dict(locals())
        _checks.one_of(activation, tuple(_ACTIVATIONS), "activation")
        with tf.name_scope(name):
            dtype = self._keep(
                log_weight=log_weight,
                log_slope=log_slope,
                bias=bias,
                log_linear=log_linear,
                shift=shift,
            )
            self._activation = activation
            _check_units(self._log_weight, self._log_slope, self._bias)
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def activation(self) -> str:
        r"""The name of $\rho$."""
        return self._activation

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        units = tfp.util.ParameterProperties(
            event_ndims=1, shape_fn=parameter_properties.SHAPE_FN_NOT_IMPLEMENTED
        )
        return {
            "log_weight": units,
            "log_slope": units,
            "bias": units,
            "log_linear": tfp.util.ParameterProperties(),
            "shift": tfp.util.ParameterProperties(),
        }

    @staticmethod
    def params_size(
        num_units: int = 16,
        activation: str = "tanh",
        max_log_slope: float = 5.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """The number of raw parameters per coordinate: 3 K + 2. Takes the keywords of `new`."""
        del activation, max_log_slope, validate_args, name
        return 3 * _checks.integer_at_least(num_units, 1, "num_units") + 2

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_units: int = 16,
        activation: str = "tanh",
        max_log_slope: float = 5.0,
        validate_args: bool = False,
        name: str = "monotone_activations",
    ) -> Self:
        r"""Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_units: Python `int` K, at least 1.
          activation: the name of $\rho$.
          max_log_slope: positive `float` m. A raw number r changes log w, log a or log c by
            $r / (1 + |r| / m)$, which is less than m and keeps the map well conditioned.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, `activation` is unknown, or the last axis of
            `params` is not P.
        """
        size = cls.params_size(num_units)
        m = _checks.positive_number(max_log_slope, "max_log_slope")
        _checks.one_of(activation, tuple(_ACTIVATIONS), "activation")
        params = tf.convert_to_tensor(params, name="params")
        _checks.last_axis(params, size, "params")
        bounded = scaled_softsign(params, m)
        b = np.linspace(-2.0, 2.0, num_units) if num_units > 1 else np.zeros([1])
        weight = _START / num_units
        # Leave any graph: the offsets are needed as numbers.
        with tf.init_scope():
            value, slope = (t.numpy() for t in _ACTIVATIONS[activation](tf.constant(b)))
        return cls(
            bounded[..., :num_units] + float(np.log(weight)),
            bounded[..., num_units : 2 * num_units],
            params[..., 2 * num_units : 3 * num_units] + tf.constant(b, params.dtype),
            bounded[..., -2] + float(np.log1p(-weight * np.sum(slope))),
            params[..., -1] - float(weight * np.sum(value)),
            activation,
            validate_args=validate_args,
            name=name,
        )

    def _parameters_by_unit(self) -> list[tf.Tensor]:
        units = [self._log_weight, self._log_slope, self._bias]
        return units + [t[..., tf.newaxis] for t in (self._log_linear, self._shift)]

    def _map(
        self,
        log_weight: tf.Tensor,
        log_slope: tf.Tensor,
        b: tf.Tensor,
        log_linear: tf.Tensor,
        d: tf.Tensor,
    ) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        weight, a, c = (tf.exp(t) for t in (log_weight, log_slope, log_linear[..., 0, :]))
        weight_of_slope, d = weight * a, d[..., 0, :]

        def value_and_log_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # Beyond the limit all activations are lines, or flat. An infinite z would stay infinite
            # even times a tiny weight, and softsign would give inf / inf.
            limit = 1e-4 * x.dtype.max
            near = tf.clip_by_value(x, -limit, limit)
            z = tf.clip_by_value(a * near[..., tf.newaxis, :] + b, -1e3 * limit, 1e3 * limit)
            value, slope = _ACTIVATIONS[self._activation](z)
            slope = c + tf.reduce_sum(weight_of_slope * slope, axis=-2)
            y = c * near + d + tf.reduce_sum(weight * value, axis=-2) + slope * (x - near)
            return y, tf.math.log(slope)

        return value_and_log_slope


def _sigmoid(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # Two sigmoids: 1 - sigmoid(z) would lose its digits where z is large.
    value = tf.sigmoid(z)
    return value, value * tf.sigmoid(-z)


def _tanh(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    value = tf.tanh(z)
    return value, (1.0 - value) * (1.0 + value)


def _softsign(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shrunk = 1.0 / (1.0 + tf.abs(z))
    return z * shrunk, shrunk * shrunk


def _softplus(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.math.softplus(z), tf.sigmoid(z)


def _leaky_relu(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    slope = tf.where(z > 0.0, tf.ones_like(z), _LEAK * tf.ones_like(z))
    return slope * z, slope


# Each returns `(rho(z), rho'(z))`.
_ACTIVATIONS = {
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "softsign": _softsign,
    "softplus": _softplus,
    "leaky_relu": _leaky_relu,
}


def _check_units(log_weight: tf.Tensor, log_slope: tf.Tensor, bias: tf.Tensor) -> None:
    sizes = {t.shape[-1] if t.shape.rank else None for t in (log_weight, log_slope, bias)}
    if len(sizes) != 1 or not sizes.pop():
        raise ValueError(
            "`log_weight`, `log_slope` and `bias` must have the same static last axis, at least "
            f"1. Received: shapes {log_weight.shape}, {log_slope.shape} and {bias.shape}"
        )
