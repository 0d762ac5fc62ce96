"""The deep sigmoidal transformer of neural autoregressive flows (NAF)."""

from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import parameter_properties
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors.transformers._monotone import Monotone
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._elementwise import scaled_softsign
from tfp_flows.math._logit_mixture import distinct_offsets, log_softmax, logit_mixture


class DeepSigmoid(Monotone):
    r"""$y = f_L(... f_1(x)), \quad f_l(x) = \text{logit}(\sum_k w_{lk} \sigma(a_{lk} x + b_{lk}))$

    A monotone neural network of sigmoid units, the transformer of neural autoregressive flows.

    Every $a_{lk}$ is positive, and each row $w_l$ sums to one. With enough units the map can
    approximate any increasing one. It has `forward_min_event_ndims=0`. `forward` is a closed form
    of cost O(L K), all in the log domain. `inverse` is a bracketed Newton search
    (`tfp_flows.math.find_root`) for any target, at 5 to 10 times the cost. $\log |dy/dx|$ is
    elementwise, in nats, and exact in both tails.

    Shapes: `x` is `[..., D]`, parameters are `[..., D, L, K]`. Batch shapes broadcast. Domain: all
    reals, onto all reals. In the tails the slope is that of the least steep units.

    `new` takes raw parameters of shape `[..., P]`, `P = 3 L K`: for each layer K of log a, K of b
    and K logits of w. At zero the bijector is near the identity: $|y - x| \le 0.01 L$ and
    $\log |dy/dx|$ is within 0.01 L of zero for $|x| \le 3$. Fixed offsets make the $b_{lk}$ differ
    there.

    Source: Huang, Krueger, Lacoste and Courville (2018), NAF, arXiv:1804.00779, eq. 8 (DSF).

    Args:
      log_slope: float `Tensor` `[..., L, K]`, log a.
      shift: float `Tensor` `[..., L, K]`, b.
      logits: float `Tensor` `[..., L, K]`; w = softmax(logits).
      validate_args: Python `bool`. If `True` a y without a root is an error, else x is NaN there.
      name: Python `str`.

    Raises:
      ValueError: if the parameters do not have the same last two axes.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> raw = tf.zeros(tfpf.bijectors.DeepSigmoid.params_size(num_units=4))
      >>> sigmoids = tfpf.bijectors.DeepSigmoid.new(raw, num_units=4)
      >>> sigmoids.forward([-1.5, 0.5, 2.5]).numpy().round(1)  # near the identity
      array([-1.5,  0.5,  2.5], dtype=float32)

    See also: `tfpf.bijectors.DenseDeepSigmoid`, `tfpf.flows.naf`.
    """

    def __init__(
        self,
        log_slope: ArrayLike,
        shift: ArrayLike,
        logits: ArrayLike,
        validate_args: bool = False,
        name: str = "deep_sigmoid",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(log_slope=log_slope, shift=shift, logits=logits)
            _check_layers(self._log_slope, self._shift, self._logits)
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def log_slope(self) -> tf.Tensor | tf.Variable:
        """log a, `[..., L, K]`."""
        return self._log_slope

    @property
    def shift(self) -> tf.Tensor | tf.Variable:
        """b, `[..., L, K]`."""
        return self._shift

    @property
    def logits(self) -> tf.Tensor | tf.Variable:
        """The logits of w, `[..., L, K]`."""
        return self._logits

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        layers = tfp.util.ParameterProperties(
            event_ndims=2, shape_fn=parameter_properties.SHAPE_FN_NOT_IMPLEMENTED
        )
        return {"log_slope": layers, "shift": layers, "logits": layers}

    @staticmethod
    def params_size(
        num_layers: int = 1,
        num_units: int = 16,
        max_log_slope: float = 5.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """The number of raw parameters per coordinate: 3 L K. Takes the keywords of `new`."""
        del max_log_slope, validate_args, name
        num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
        return 3 * num_layers * _checks.integer_at_least(num_units, 1, "num_units")

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_layers: int = 1,
        num_units: int = 16,
        max_log_slope: float = 5.0,
        validate_args: bool = False,
        name: str = "deep_sigmoid",
    ) -> Self:
        r"""Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_layers: Python `int` L, at least 1.
          num_units: Python `int` K, at least 1.
          max_log_slope: positive `float` m. A raw number r gives $\log a = r / (1 + |r| / m)$,
            which stays in (-m, m) and keeps the map well conditioned.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, or the last axis of `params` is not P.
        """
        size = cls.params_size(num_layers, num_units)
        m = _checks.positive_number(max_log_slope, "max_log_slope")
        params = tf.convert_to_tensor(params, name="params")
        _checks.last_axis(params, size, "params")
        shape = tf.concat([tf.shape(params)[:-1], [num_layers, 3 * num_units]], axis=0)
        a, b, logits = tf.split(tf.reshape(params, shape), 3, axis=-1)
        offsets, log_slope = distinct_offsets(num_units)
        return cls(
            scaled_softsign(a, m) + log_slope,
            b + tf.constant(offsets, params.dtype),
            logits,
            validate_args=validate_args,
            name=name,
        )

    def _parameters_by_unit(self) -> list[tf.Tensor]:
        return [
            tf.reshape(t, ps.concat([ps.shape(t)[:-2], [-1]], axis=0))
            for t in (self._log_slope, self._shift, self._logits)
        ]

    def _map(
        self, log_slope: tf.Tensor, shift: tf.Tensor, logits: tf.Tensor
    ) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        num_layers = self._log_slope.shape[-2]
        log_a, b, logits = (tf.split(t, num_layers, axis=-2) for t in (log_slope, shift, logits))
        a = [tf.exp(t) for t in log_a]
        log_w = [log_softmax(t) for t in logits]

        def value_and_log_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            log_slope = tf.zeros_like(x)
            for layer in range(num_layers):
                z = a[layer] * x[..., tf.newaxis, :] + b[layer]
                x, step = logit_mixture(log_w[layer], z, log_a[layer])
                log_slope += step
            return x, log_slope

        return value_and_log_slope


def _check_layers(log_slope: tf.Tensor, shift: tf.Tensor, logits: tf.Tensor) -> None:
    shapes = {tuple(t.shape[-2:]) for t in (log_slope, shift, logits)}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or not all(shape):
        raise ValueError(
            "`log_slope`, `shift` and `logits` must have the same static last two axes, each at "
            f"least 1. Received: shapes {log_slope.shape}, {shift.shape} and {logits.shape}"
        )
