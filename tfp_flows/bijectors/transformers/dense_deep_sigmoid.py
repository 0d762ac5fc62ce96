"""The dense deep sigmoidal transformer of neural autoregressive flows (NAF)."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import parameter_properties
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors.transformers._monotone import Monotone
from tfp_flows.math._elementwise import scaled_softsign
from tfp_flows.math._logit_mixture import distinct_offsets, log_softmax, logit_mixture


class DenseDeepSigmoid(Monotone):
    r"""$y = h_L, \quad h_l = \text{logit}(w_l \sigma(a_l * (u_l h_{l-1}) + b_l)), \quad h_0 = x$

    A monotone, fully connected network of sigmoid units.

    Each $h_l$ but the first and the last has K units. $a_l$ is positive, and each row of the
    matrices $u_l$ `[K, K]` and $w_l$ `[K, K]` is a softmax (the first u is `[K, 1]`, the last w is
    `[1, K]`). It has `forward_min_event_ndims=0`. `forward` is a closed form of cost $O(L K^2)$,
    all in the log domain, including the slope. `inverse` is a bracketed Newton search
    (`tfp_flows.math.find_root`) for any target, at 5 to 10 times the cost. $\log |dy/dx|$ is
    elementwise, in nats, and exact in both tails. `DeepSigmoid` costs only O(L K).

    Shapes: `x` is `[..., D]`, `params` is `[..., D, P]`. Batch shapes broadcast. Domain: all reals,
    onto all reals.

    `params` holds for each layer: u row by row, K of log a, K of b, and w row by row. u and w are
    logits. The first layer has no u, because its input is x alone. At zero the bijector is near the
    identity: $|y - x| \le 0.02 L$ and $\log |dy/dx|$ is within 0.02 L of zero for $|x| \le 3$. No
    two units of a layer are the same there: fixed offsets make the $b_{lk}$ differ, and row i of w
    prefers unit i.

    Source: Huang, Krueger, Lacoste and Courville (2018), NAF, arXiv:1804.00779, eq. 10 (DDSF).

    Args:
      params: float `Tensor` `[..., P]`; any finite numbers.
      num_layers: Python `int` L, at least 1.
      num_units: Python `int` K, at least 1.
      max_log_slope: positive `float` m. A raw number r gives $\log a = r / (1 + |r| / m)$, which
        stays in (-m, m) and keeps the map well conditioned.
      validate_args: Python `bool`. If `True` a y without a root is an error, else x is NaN there.
      name: Python `str`.

    Raises:
      ValueError: if a number is out of its range, or the last axis of `params` is not P.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> raw = tf.zeros(tfpf.bijectors.DenseDeepSigmoid.params_size(num_units=4))
      >>> network = tfpf.bijectors.DenseDeepSigmoid(raw, num_units=4)
      >>> network.forward([-1.5, 0.5, 2.5]).numpy().round(1)  # near the identity
      array([-1.5,  0.5,  2.5], dtype=float32)

    See also: `tfpf.bijectors.DeepSigmoid`, `tfpf.flows.naf`.
    """

    def __init__(
        self,
        params: ArrayLike,
        num_layers: int = 2,
        num_units: int = 8,
        max_log_slope: float = 5.0,
        validate_args: bool = False,
        name: str = "dense_deep_sigmoid",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(params=params)
            _checks.last_axis(self._params, self.params_size(num_layers, num_units), "params")
            self._num_layers = num_layers
            self._num_units = num_units
            self._max_log_slope = _checks.positive_number(max_log_slope, "max_log_slope")
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def params(self) -> tf.Tensor | tf.Variable:
        """The raw parameters, `[..., P]`."""
        return self._params

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {
            "params": tfp.util.ParameterProperties(
                event_ndims=1, shape_fn=parameter_properties.SHAPE_FN_NOT_IMPLEMENTED
            )
        }

    @staticmethod
    def params_size(
        num_layers: int = 2,
        num_units: int = 8,
        max_log_slope: float = 5.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """P, the number of raw parameters per coordinate. Takes the keywords of `new`."""
        del max_log_slope, validate_args, name
        num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
        num_units = _checks.integer_at_least(num_units, 1, "num_units")
        return sum(sum(sizes) for sizes in _sizes(num_layers, num_units))

    @classmethod
    def new(
        cls,
        params: ArrayLike,
        num_layers: int = 2,
        num_units: int = 8,
        max_log_slope: float = 5.0,
        validate_args: bool = False,
        name: str = "dense_deep_sigmoid",
    ) -> Self:
        """Makes the bijector from raw parameters: the same as the constructor."""
        return cls(params, num_layers, num_units, max_log_slope, validate_args, name)

    def _parameters_by_unit(self) -> list[tf.Tensor]:
        return [self._params]

    def _map(self, params: tf.Tensor) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        m, size = self._max_log_slope, self._num_units
        offsets, log_slope_at_zero = distinct_offsets(size)
        offsets = tf.constant(offsets[:, np.newaxis], params.dtype)
        preference = tf.constant(_preference(size)[..., np.newaxis], params.dtype)
        sizes = [size for layer in _sizes(self._num_layers, size) for size in layer]
        pieces = tf.split(params, sizes, axis=-2)
        layers = []
        for layer in range(self._num_layers):
            raw_u, raw_a, raw_b, raw_w = pieces[4 * layer : 4 * layer + 4]
            log_u = log_softmax(_matrices(raw_u, size)) if layer > 0 else None
            log_a = scaled_softsign(raw_a, m) + log_slope_at_zero
            logits = _matrices(raw_w, size)
            if layer < self._num_layers - 1:
                logits += preference
            layers.append((log_u, log_a, raw_b + offsets, log_softmax(logits)))

        def value_and_log_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            h = x[..., tf.newaxis, :]
            log_slope = tf.zeros_like(h)
            for log_u, log_a, b, log_w in layers:
                if log_u is not None:
                    h = tf.reduce_sum(tf.exp(log_u) * h[..., tf.newaxis, :, :], axis=-2)
                    log_slope = tf.reduce_logsumexp(
                        log_u + log_slope[..., tf.newaxis, :, :], axis=-2
                    )
                # [..., 1, K, N], to broadcast with the rows of w.
                z, log_slopes = (
                    t[..., tf.newaxis, :, :] for t in (tf.exp(log_a) * h + b, log_a + log_slope)
                )
                h, log_slope = logit_mixture(log_w, z, log_slopes)
            return h[..., 0, :], log_slope[..., 0, :]

        return value_and_log_slope


def _sizes(num_layers: int, num_units: int) -> list[tuple[int, int, int, int]]:
    """The numbers of raw parameters of u, a, b and w in each layer."""
    square = num_units * num_units
    return [
        (
            0 if layer == 0 else square,
            num_units,
            num_units,
            num_units if layer == num_layers - 1 else square,
        )
        for layer in range(num_layers)
    ]


def _matrices(raw: tf.Tensor, num_columns: int) -> tf.Tensor:
    """`[..., I J, N]` as `[..., I, J, N]`, I rows of J numbers."""
    batch_shape, rows = ps.shape(raw)[:-2], ps.shape(raw)[-1:]
    sizes = [raw.shape[-2] // num_columns, num_columns]
    return tf.reshape(raw, ps.concat([batch_shape, sizes, rows], axis=0))


def _preference(num_units: int) -> np.ndarray:
    """Logits by which row i of w prefers unit i."""
    i = np.arange(num_units)
    return -2.0 * np.abs(i[:, np.newaxis] - i) / max(1, num_units - 1)
