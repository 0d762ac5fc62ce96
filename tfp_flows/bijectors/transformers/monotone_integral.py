"""The monotone transformer that integrates a positive network (UMNN)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import parameter_properties
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks, _widths
from tfp_flows.bijectors.transformers._monotone import Monotone
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._elementwise import scaled_softsign
from tfp_flows.math._sum_over_units import sum_over_units
from tfp_flows.math.clenshaw_curtis import clenshaw_curtis


class MonotoneIntegral(Monotone):
    r"""$y = \beta + \int_0^x g(t) \, dt, \quad \log g(t) = b + v \cdot z_L(t)$

    The integral of a positive network, the transformer of unconstrained monotonic networks.

    $z_L$ is a network of tanh units: $z_1 = \tanh(w t + b_1)$, $z_l = \tanh(A_l z_{l-1} + b_l)$. It
    has `forward_min_event_ndims=0`. `forward` is Clenshaw-Curtis quadrature with N nodes. `inverse`
    is a bracketed Newton search (`tfp_flows.math.find_root`) for any target, at 5 to 10 times the
    cost. $\log |dy/dx| = \log g(x)$ is elementwise, in nats, exact, and needs no quadrature.

    For $|x| > B$ the function is a line of slope $g(\pm B)$, so no integral is longer than B. The
    quadrature increases in x only if its nodes resolve g, so the weights are bounded, with
    m = `max_log_slope`: $|w| < N / (4 B)$, $|A_l| < 2$ (sum of a row), $|v| < m$ (a sum) and
    $|b| < m$. Its derivative differs from g by at most 1 % in the worst case found, with all
    weights saturated, and by 1e-6 in usual cases (N = 32). Slopes are in $(e^{-2 m}, e^{2 m})$.

    In the paper one network of t and an embedding of earlier coordinates serves all coordinates.
    Here raw numbers are the weights of a network of t alone, and a node costs little.

    Shapes: `x` is `[..., D]`, parameters are `[..., D]` and `[..., D, Q]`. Batch shapes broadcast.
    Domain: all reals, onto all reals. `new` takes raw parameters `[..., P]`, P = 1 + Q: $\beta$, b,
    v, then $(w, b_1), (A_2, b_2), \ldots$ At zero it is the identity, with units at different
    places.

    Source: Wehenkel and Louppe (2019), Unconstrained monotonic neural networks, arXiv:1908.05164.

    Args:
      shift: float `Tensor`, $\beta$.
      network: float `Tensor` `[..., Q]`, raw numbers of the integrand.
      hidden_units: `tuple` of `int`, the widths of the layers $z_l$.
      num_nodes: Python `int` N, at least 2.
      bound: positive `float` B.
      max_log_slope: positive `float` m.
      validate_args: Python `bool`. If `True` a y without a root is an error, else x is NaN there.
      name: Python `str`.

    Raises:
      ValueError: if a number is out of its range, or the last axis of `network` is not Q.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> raw = tf.zeros(tfpf.bijectors.MonotoneIntegral.params_size(hidden_units=(4,)))
      >>> integral = tfpf.bijectors.MonotoneIntegral.new(raw, hidden_units=(4,))
      >>> integral.forward([-1.5, 0.5, 8.5]).numpy().round(2)  # the identity
      array([-1.5,  0.5,  8.5], dtype=float32)

    See also: `tfpf.math.clenshaw_curtis`, `tfpf.flows.umnn`.
    """

    def __init__(
        self,
        shift: ArrayLike,
        network: ArrayLike,
        hidden_units: Sequence[int] = (16,),
        num_nodes: int = 32,
        bound: float = 5.0,
        max_log_slope: float = 4.0,
        validate_args: bool = False,
        name: str = "monotone_integral",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(shift=shift, network=network)
            self._hidden_units = self._no_dependency(tuple(hidden_units))
            _checks.last_axis(self._network, self.params_size(hidden_units) - 1, "network")
            self._num_nodes = _checks.integer_at_least(num_nodes, 2, "num_nodes")
            self._bound = _checks.positive_number(bound, "bound")
            self._max_log_slope = _checks.positive_number(max_log_slope, "max_log_slope")
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def shift(self) -> tf.Tensor | tf.Variable:
        r"""$\beta$, the value at zero."""
        return self._shift

    @property
    def network(self) -> tf.Tensor | tf.Variable:
        """The raw numbers of the integrand, `[..., Q]`."""
        return self._network

    @property
    def hidden_units(self) -> tuple[int, ...]:
        """The widths of the integrand's layers."""
        return self._hidden_units

    @property
    def num_nodes(self) -> int:
        """N, the number of nodes."""
        return self._num_nodes

    @property
    def bound(self) -> float:
        """B, where the linear tails begin."""
        return self._bound

    @property
    def max_log_slope(self) -> float:
        """m, the bound on |b| and |v|."""
        return self._max_log_slope

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {
            "shift": tfp.util.ParameterProperties(),
            "network": tfp.util.ParameterProperties(
                event_ndims=1, shape_fn=parameter_properties.SHAPE_FN_NOT_IMPLEMENTED
            ),
        }

    @staticmethod
    def params_size(
        hidden_units: Sequence[int] = (16,),
        num_nodes: int = 32,
        bound: float = 5.0,
        max_log_slope: float = 4.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        r"""The number of raw parameters, $2 + H_L + \sum_l H_l (H_{l-1} + 1)$ with $H_0 = 1$.

        Takes the keywords of `new`; only `hidden_units` matters.
        """
        del num_nodes, bound, max_log_slope, validate_args, name
        sizes = _widths.at_least_one_layer(hidden_units, "hidden_units")
        inputs = [1, *sizes[:-1]]
        return 2 + sizes[-1] + sum(h * (i + 1) for h, i in zip(sizes, inputs, strict=True))

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        hidden_units: Sequence[int] = (16,),
        num_nodes: int = 32,
        bound: float = 5.0,
        max_log_slope: float = 4.0,
        validate_args: bool = False,
        name: str = "monotone_integral",
    ) -> Self:
        """Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          hidden_units: `tuple` of `int`, the widths of the layers.
          num_nodes: Python `int` N, at least 2.
          bound: positive `float` B.
          max_log_slope: positive `float` m.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, or the last axis of `params` is not P.
        """
        params = tf.convert_to_tensor(params, name="params")
        size = cls.params_size(hidden_units)
        _checks.last_axis(params, size, "params")
        # `split`, as its gradient joins the pieces; that of slices would add padded ones.
        shift, network = tf.split(params, [1, size - 1], axis=-1)
        sizes = (hidden_units, num_nodes, bound, max_log_slope)
        return cls(shift[..., 0], network, *sizes, validate_args=validate_args, name=name)

    def _parameters_by_unit(self) -> list[tf.Tensor]:
        return [self._shift[..., tf.newaxis], self._network]

    def _map(
        self, beta: tf.Tensor, raw: tf.Tensor
    ) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        beta, log_g = beta[..., 0, :], self._log_integrand(raw)

        def value_and_log_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # The full batch shape first: the quadrature puts the axis of nodes in front of it.
            x = x + tf.zeros_like(beta) + tf.zeros_like(raw[..., 0, :])
            near = tf.clip_by_value(x, -self._bound, self._bound)
            log_slope = log_g(near)
            integral = clenshaw_curtis(lambda t: tf.exp(log_g(t)), near, num_nodes=self._num_nodes)
            return beta + integral + tf.exp(log_slope) * (x - near), log_slope

        return value_and_log_slope

    def _log_integrand(self, raw: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
        """The function log g of t `[..., N]`, with all weights within their bounds."""
        m, sharpest = self._max_log_slope, self._num_nodes / (4.0 * self._bound)
        sizes = self._hidden_units
        pieces = [1, sizes[-1], sizes[0], sizes[0]]
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
            pieces += [outputs * inputs, outputs]
        raw_b, raw_v, w, b_1, *rest = tf.split(raw, pieces, axis=-2)
        b = scaled_softsign(raw_b[..., 0, :], m)
        v = _bounded(raw_v, m)

        slope, centers = 0.5 * sharpest, np.linspace(-1.0, 1.0, sizes[0] + 2)[1:-1]
        w = w + 2.0 * slope  # r / (1 + |r| / max) = max / 2 at r = max
        w = scaled_softsign(w, sharpest)
        centers = tf.constant(0.75 * self._bound * slope * centers, raw.dtype)
        b_1 = b_1 - centers[:, tf.newaxis]
        layers = []
        batch_shape, rows = ps.shape(raw)[:-2], ps.shape(raw)[-1:]
        sized = zip(sizes[:-1], sizes[1:], rest[::2], rest[1::2], strict=True)
        for inputs, outputs, raw_a, shift in sized:
            shape = ps.concat([batch_shape, [outputs, inputs], rows], axis=0)
            offsets = tf.constant(_mixing(outputs, inputs), raw.dtype)[..., tf.newaxis]
            layers.append((_bounded(tf.reshape(raw_a, shape) + offsets, 2.0), shift))

        def log_g(t: tf.Tensor) -> tf.Tensor:
            z = tf.tanh(w * t[..., tf.newaxis, :] + b_1)
            for a, shift in layers:
                # Not a matrix product: a GPU may compute it with half the digits.
                z = tf.tanh(sum_over_units(a * z[..., tf.newaxis, :, :]) + shift)
            return b + sum_over_units(v * z)

        return log_g


def _bounded(raw: tf.Tensor, limit: float) -> tf.Tensor:
    """Scales the weights of one unit to an absolute sum below the limit; small ones stay."""
    return raw / (1.0 + tf.reduce_sum(tf.abs(raw), axis=-2, keepdims=True) / limit)


def _mixing(outputs: int, inputs: int) -> np.ndarray:
    """Fixed rows of cosines, no two of them parallel, so that no two units are tied."""
    i, j = np.arange(outputs)[:, np.newaxis], np.arange(inputs)
    return np.cos(math.pi * (i + 1) * (j + 0.5) / max(outputs + 1, inputs)) / inputs
