"""The block neural autoregressive bijector (B-NAF), with an inverse."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks, _widths
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.math.linalg._block_matrix import block_matrix
from tfp_flows.math.solvers._block_network import block_network, solve_block_network

LARGEST_BIAS = 2.5  # of hidden units at the start: they bend all over a standard normal


class BlockAutoregressive(TakesContext, FlowBijector):
    r"""$x_i = \exp(s_i) y_i + f_i(y_{\le i})$

    A block neural autoregressive flow (B-NAF), where f is one network that increases in $y_i$.

    The layers of f are $h_l = \tanh(W_l h_{l-1} + b_l)$ with $h_0 = y$; the last has no tanh. A
    hidden layer has $H_l$ units for each coordinate. The matrices consist of blocks
    `[H_l, H_{l-1}]`, one for each pair of coordinates: zero above the diagonal, any numbers below
    it, and positive (exponentials) on it. Rows have the norm $\exp(g_l)$. So dx/dy is triangular.
    Its diagonal is a product of the diagonal blocks, computed in the log domain. The log-det is in
    nats.

    The paper's gate, a f(y) + (1 - a) y with a in (0, 1), is the case exp(s) = 1 - a. At the start
    exp(s) is 1/2, as in the paper, and f has the mean slope 1/2 for a standard normal y. It bends,
    but the whole is close to the identity.

    Shapes: `x` is `[..., D]`. Domain: all reals, onto all reals.

    Cost: `inverse` (data to base, the density) is parallel, with one evaluation of f. `forward`
    (sampling) is sequential, with D root searches (`tfp_flows.math.find_root`). They succeed for
    any target, since f is bounded. A search for $y_i$ needs the diagonal blocks only. All searches
    together evaluate the rest of the network once. `tfb.Invert` swaps the two directions.

    Source: De Cao, Titov and Aziz (2019), B-NAF, arXiv:1904.04676.

    Args:
      event_size: D, a Python `int` of at least one.
      hidden_units: $H_l$ of each hidden layer, units for each coordinate; at least one layer.
      reverse: Python `bool`. If `True`, the last coordinate comes first, in x and in y.
      weights: raw $W_l$, a `tf.Variable` or `Tensor` `[D H_l, D H_{l-1}]` for each layer; H = 1 for
        the last one. If `None`, random variables are made, here and in the next four.
      biases: $b_l$, each `[D H_l]`.
      log_gains: $g_l$, each `[D H_l]`.
      log_linear: s, `[D]`.
      context_weights: a pair `[C, D H_1]` and `[C, D]`, for what the context adds to the first and
        to the last layer. `None` without a context.
      context: float `Tensor` `[..., C]`, bound (see `tfp_flows.condition`).
      context_size: C, or 0 if no context is taken.
      seed: Python `int`, the seed for the variables that are made.
      dtype: float dtype of the variables that are made.
      validate_args: Python `bool`. If `True`, an x without a root is an error, not NaN.
      name: Python `str`.

    Raises:
      TypeError: if a size is not an integer.
      ValueError: if a size is below its minimum, or a shape does not fit.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> block = tfpf.bijectors.BlockAutoregressive(2, hidden_units=(4,), seed=0)
      >>> x, log_det = block.inverse_and_log_det(tf.zeros([5, 2]))
      >>> x.shape, log_det.shape
      (TensorShape([5, 2]), TensorShape([5]))

    See also: `tfpf.flows.bnaf`, `tfpf.bijectors.Autoregressive`.
    """

    _increases = True

    def __init__(
        self,
        event_size: int,
        hidden_units: Sequence[int] = (8, 8),
        reverse: bool = False,
        weights: Sequence[ArrayLike] | None = None,
        biases: Sequence[ArrayLike] | None = None,
        log_gains: Sequence[ArrayLike] | None = None,
        log_linear: ArrayLike | None = None,
        context_weights: Sequence[ArrayLike] | None = None,
        context: ArrayLike | None = None,
        context_size: int = 0,
        seed: int | None = None,
        dtype: tf.DType | str = "float32",
        validate_args: bool = False,
        name: str = "block_autoregressive",
    ) -> None:
        parameters = dict(locals())
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        hidden_units = _widths.at_least_one_layer(hidden_units, "hidden_units")
        context_size = _checks.flat_context_size(context_size)
        sizes = (1, *hidden_units, 1)
        pairs = list(itertools.pairwise(event_size * h for h in sizes))
        shapes = {
            "weights": [(num_out, num_in) for num_in, num_out in pairs],
            "biases": [(num_out,) for _, num_out in pairs],
            "log_gains": [(num_out,) for _, num_out in pairs],
            "log_linear": [(event_size,)],
            "context_weights": [(context_size, pairs[0][1]), (context_size, event_size)],
        }
        given: dict[str, Any] = {
            "weights": weights,
            "biases": biases,
            "log_gains": log_gains,
            "log_linear": None if log_linear is None else [log_linear],
            "context_weights": context_weights,
        }
        if context_size == 0:
            del shapes["context_weights"], given["context_weights"]
        with tf.name_scope(name), tf.init_scope():
            given = _made(given, shapes, seed, dtype)
        dtype = given["weights"][0].dtype
        parameters.update(given, log_linear=given["log_linear"][0], hidden_units=hidden_units)
        self._reverse = bool(reverse)
        self._weights, self._biases = given["weights"], given["biases"]
        self._log_gains, self._log_linear = given["log_gains"], given["log_linear"][0]
        self._context_weights: Any = given.get("context_weights")
        self._bind_context(context, context_size, dtype, name)
        super().__init__(
            event_size=event_size,
            forward_min_event_ndims=1,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        own = ("weights", "biases", "log_gains", "log_linear")
        properties = super()._parameter_properties(dtype, num_classes)
        return properties | dict.fromkeys(own, _parameters.own())

    def _layers(self) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Returns `(W_l, logarithms of its diagonal blocks, b_l)` of each layer."""
        return [
            (*block_matrix(tf.convert_to_tensor(raw), gains, self._event_size), bias)
            for raw, gains, bias in zip(self._weights, self._log_gains, self._biases, strict=True)
        ]

    def _rows(self, x: tf.Tensor) -> tuple[tf.Tensor, tuple[Any, ...], Any]:
        """Returns `x` in order as `[N, D]`, what the context adds to two layers, and the shape."""
        x = self._broadcast_with_context(self._in_order(x))
        shape = ps.shape(x)
        added: tuple[Any, ...] = (0.0, 0.0)
        if self._context is not None:
            context = self._context_rows(shape[:-1])
            added = tuple(tf.matmul(context, weight) for weight in self._context_weights)
        return tf.reshape(x, [-1, self._event_size]), added, shape

    def _in_order(self, x: tf.Tensor) -> tf.Tensor:
        """Maps from the order of the event to that of the network, or back."""
        return tf.reverse(x, axis=[-1]) if self._reverse else x

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        y, added, shape = self._rows(y)
        x, log_slopes = block_network(self._layers(), self._log_linear, y, *added)
        log_det = tf.reduce_sum(log_slopes, axis=-1)
        return self._in_order(tf.reshape(x, shape)), tf.reshape(log_det, shape[:-1])

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        target, added, shape = self._rows(x)
        y = solve_block_network(self._layers(), self._log_linear, target, *added)
        y = self._in_order(tf.reshape(y, shape))
        if self.validate_args:
            y = tf.debugging.assert_all_finite(y, f"`{self.name}` found no y for some x.")
        return y, -self._inverse_and_log_det(y)[1]


def _made(
    given: dict[str, Any], shapes: dict[str, Any], seed: int | None, dtype: tf.DType | str
) -> dict[str, Any]:
    """Returns variables and tensors as tuples of one dtype, and makes those that are `None`."""
    rng = np.random.default_rng(seed)
    for key, values in given.items():
        if values is None:
            start = _START[key](rng, shapes[key])
            given[key] = [tf.Variable(v, dtype=dtype, name=key) for v in start]
    dtype = _checks.common_dtype(given["weights"][0])
    for key, values in given.items():
        given[key] = tuple(_checks.as_tensor(value, dtype, key) for value in values)
        found = [tuple(value.shape) for value in given[key]]
        if found != shapes[key]:
            raise ValueError(f"`{key}` must have shapes {shapes[key]}. Received: shapes {found}")
    return given


def _weights(rng: np.random.Generator, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Starts at a tenth of Glorot's range, since the gains amplify what is below the diagonal."""
    limits = [0.1 * np.sqrt(6.0 / sum(shape)) for shape in shapes]
    return [rng.uniform(-a, a, shape) for a, shape in zip(limits, shapes, strict=True)]


def _gains(rng: np.random.Generator, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Starts with gains for which f has the mean slope 1/2 for a standard normal y, for any widths.

    Units take means of those before. They see y as it is, so that they bend where the data are:
    nearly linear units stay on the plateau of the best affine map for thousands of steps. A single
    unit sees y / 4, since it can be a line or a step, but not both.
    """
    del rng
    widths = [1] + [shape[0] // shapes[-1][0] for shape in shapes[:-1]]
    gains = [-0.5 * np.log(width) for width in widths]
    first = 0.25 if widths[1] == 1 else 1.0
    gains[0] += np.log(first)
    y, probabilities = np.polynomial.hermite_e.hermegauss(64)
    h, slope = first * y[:, np.newaxis], np.full([1, 1], first)
    for width in widths[1:]:
        h = np.tanh(h.mean(axis=1, keepdims=True) + _spread(width))
        slope = slope.mean(axis=1, keepdims=True) * (1.0 - h**2)
    gains[-1] += np.log(0.5 / np.average(slope.mean(axis=1), weights=probabilities))
    return [np.full(shape, gain) for shape, gain in zip(shapes, gains, strict=True)]


def _spread(width: int) -> np.ndarray:
    """Returns the biases of the units of one coordinate, of mean zero."""
    return np.linspace(-LARGEST_BIAS, LARGEST_BIAS, width) if width > 1 else np.zeros([1])


def _biases(rng: np.random.Generator, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Starts with spread biases of mean zero, so that units bend at different places."""
    size = shapes[-1][0]
    biases = []
    for shape in shapes[:-1]:
        width = shape[0] // size
        biases.append(np.concatenate([rng.permutation(_spread(width)) for _ in range(size)]))
    return [*biases, np.zeros(shapes[-1])]


_START = {
    "weights": _weights,
    "biases": _biases,
    "log_gains": _gains,
    "log_linear": lambda rng, shapes: [np.full(shapes[0], np.log(0.5))],
    "context_weights": lambda rng, shapes: [*_weights(rng, shapes[:1]), np.zeros(shapes[1])],
}
