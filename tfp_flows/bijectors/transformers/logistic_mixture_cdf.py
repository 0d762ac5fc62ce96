"""The transformer of Flow++: the CDF of a mixture of logistics, mapped back to the real line."""

import math
from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import parameter_properties

from tfp_flows import _checks
from tfp_flows.bijectors.transformers._monotone import Monotone
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._elementwise import scaled_softsign
from tfp_flows.math._logit_mixture import distinct_offsets, log_softmax, logit_mixture


class LogisticMixtureCDF(Monotone):
    r"""$y = e^a \, \text{logit}(\sum_k \pi_k \sigma((x - \mu_k) e^{-s_k})) + b$

    The CDF of a mixture of logistics, mapped back to the real line: the transformer of Flow++.

    It has `forward_min_event_ndims=0`. `forward` is a closed form of cost O(K). `inverse` is a
    bracketed Newton search (`tfp_flows.math.find_root`) for any target, at 5 to 10 times the cost.
    $\log |dy/dx|$ is elementwise, in nats, and exact in both tails. In a coupling, sampling is
    fast; in `tfb.Invert` of the coupling, the density is fast.

    Shapes: `x`, `log_slope` and `shift` are `[..., D]`, the components' parameters are
    `[..., D, K]`. Batch shapes broadcast. Domain: all reals, onto all reals. In the tails the slope
    is that of the widest component, $e^{a - \max_k s_k}$.

    `new` takes raw parameters of shape `[..., P]`, `P = 3 K + 2`: K logits of $\pi$, K of $\mu$, K
    of s, then a and b. At zero the bijector is near the identity: $|y - x| \le 0.01$ and the slope
    is within 0.01 of one for $|x| \le 3$. Fixed offsets make the $\mu_k$ differ there.

    Source: Ho, Chen, Srinivas, Duan and Abbeel (2019), Flow++, arXiv:1902.00275, eq. 12 to 15.

    Args:
      logits: float `Tensor` `[..., K]`; $\pi$ is their softmax.
      loc: float `Tensor` `[..., K]`, $\mu$.
      log_scale: float `Tensor` `[..., K]`, s.
      log_slope: float `Tensor`, a, or `None` for 0.
      shift: float `Tensor`, b, or `None` for 0.
      validate_args: Python `bool`. If `True` a y without a root is an error, else x is NaN there.
      name: Python `str`.

    Raises:
      ValueError: if the components' parameters do not have the same number K.

    Example:
      >>> import tfp_flows as tfpf
      >>> mixture = tfpf.bijectors.LogisticMixtureCDF(
      ...     logits=[0.0, 0.0], loc=[-3.0, 3.0], log_scale=[0.0, 0.0]
      ... )
      >>> mixture.forward([-3.0, -1.0, 1.0, 3.0]).numpy().round(2)
      array([-1.09, -0.2 ,  0.2 ,  1.09], dtype=float32)

    See also: `tfpf.bijectors.DeepSigmoid`, `tfpf.flows.flow_plus_plus`.
    """

    def __init__(
        self,
        logits: ArrayLike,
        loc: ArrayLike,
        log_scale: ArrayLike,
        log_slope: ArrayLike | None = None,
        shift: ArrayLike | None = None,
        validate_args: bool = False,
        name: str = "logistic_mixture_cdf",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(
                logits=logits, loc=loc, log_scale=log_scale, log_slope=log_slope, shift=shift
            )
            _check_components(self._logits, self._loc, self._log_scale)
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def logits(self) -> tf.Tensor | tf.Variable:
        r"""The logits of $\pi$, `[..., K]`."""
        return self._logits

    @property
    def loc(self) -> tf.Tensor | tf.Variable:
        r"""$\mu$, the locations, `[..., K]`."""
        return self._loc

    @property
    def log_scale(self) -> tf.Tensor | tf.Variable:
        """s, the logarithms of the scales, `[..., K]`."""
        return self._log_scale

    @property
    def log_slope(self) -> tf.Tensor | tf.Variable | None:
        """a, the logarithm of the last factor, or `None`."""
        return self._log_slope

    @property
    def shift(self) -> tf.Tensor | tf.Variable | None:
        """b, the last shift, or `None`."""
        return self._shift

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        components = tfp.util.ParameterProperties(
            event_ndims=1, shape_fn=parameter_properties.SHAPE_FN_NOT_IMPLEMENTED
        )
        return {
            "logits": components,
            "loc": components,
            "log_scale": components,
            "log_slope": tfp.util.ParameterProperties(),
            "shift": tfp.util.ParameterProperties(),
        }

    @staticmethod
    def params_size(
        num_components: int = 8,
        max_log_scale: float = 5.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """The number of raw parameters per coordinate: 3 K + 2. Takes the keywords of `new`."""
        del max_log_scale, validate_args, name
        return 3 * _checks.integer_at_least(num_components, 1, "num_components") + 2

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_components: int = 8,
        max_log_scale: float = 5.0,
        validate_args: bool = False,
        name: str = "logistic_mixture_cdf",
    ) -> Self:
        """Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_components: Python `int` K, at least 1.
          max_log_scale: positive `float` m. A raw number r gives $s_k$ or a as $r / (1 + |r| / m)$,
            which stays in (-m, m) and keeps the map well conditioned.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, or the last axis of `params` is not P.
        """
        size = cls.params_size(num_components)
        m = _checks.positive_number(max_log_scale, "max_log_scale")
        params = tf.convert_to_tensor(params, name="params")
        _checks.last_axis(params, size, "params")
        logits, loc, s, a, b = tf.split(params, [num_components] * 3 + [1, 1], axis=-1)
        offsets, log_slope = distinct_offsets(num_components)
        return cls(
            logits,
            loc - tf.constant(offsets * math.exp(-log_slope), params.dtype),
            scaled_softsign(s, m) - log_slope,
            scaled_softsign(a[..., 0], m),
            b[..., 0],
            validate_args=validate_args,
            name=name,
        )

    def _parameters_by_unit(self) -> list[tf.Tensor]:
        parameters = [self._logits, self._loc, self._log_scale]
        last = [t for t in (self._log_slope, self._shift) if t is not None]
        return parameters + [t[..., tf.newaxis] for t in last]

    def _map(
        self, logits: tf.Tensor, loc: tf.Tensor, s: tf.Tensor, *last: tf.Tensor
    ) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        log_w, inverse_scale = log_softmax(logits), tf.exp(-s)
        last = [t[..., 0, :] for t in last]
        b = last.pop() if self._shift is not None else None
        a = last.pop() if self._log_slope is not None else None
        factor = None if a is None else tf.exp(a)

        def value_and_log_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            z = (x[..., tf.newaxis, :] - loc) * inverse_scale
            y, log_slope = logit_mixture(log_w, z, -s)
            if a is not None:
                y, log_slope = y * factor, log_slope + a
            if b is not None:
                y += b
            return y, tf.broadcast_to(log_slope, tf.shape(y))

        return value_and_log_slope


def _check_components(logits: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor) -> None:
    sizes = {t.shape[-1] if t.shape.rank else None for t in (logits, loc, log_scale)}
    if len(sizes) != 1 or not sizes.pop():
        raise ValueError(
            "`logits`, `loc` and `log_scale` must have the same static last axis, at least 1. "
            f"Received: shapes {logits.shape}, {loc.shape} and {log_scale.shape}"
        )
