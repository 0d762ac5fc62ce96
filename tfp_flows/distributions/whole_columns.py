"""A distribution of vectors with whole numbers in some columns, from a continuous one."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows._lost_in_keras import LostDistribution
from tfp_flows._tree import deep_copy
from tfp_flows.distributions._dequantizing import Dequantizing, checked_distribution
from tfp_flows.distributions._described import described

tfd = tfp.distributions


class WholeColumns(Dequantizing, LostDistribution, tfd.Distribution):
    r"""$\log p(x) = \log \int p(x + u) du \ge E[\log p(x + u)]$

    A distribution of vectors with whole numbers in some columns, from a continuous one.

    x is a vector of D numbers. Those in `columns` are whole, from `low` to `high`. u is uniform on
    [0, 1] in these columns, and zero in the others. $p(x + u)$ is the density of the given
    `distribution`, a flow over all D, whose values in a whole column reach from `low` to
    `high + 1`. So p(x) is a density in the other columns and a probability in the whole ones.

    `elbo(x)` is the bound on the right, in nats, from one draw of u for each event. There is no
    `log_prob`, since the integral has no closed form. By Jensen's inequality the mean of `elbo`
    over draws is never above log p(x); the same holds for a mean over the rows of a data set. In
    Keras's training mode each call draws new noise. Otherwise the noise is always the same, so that
    `evaluate` is deterministic. For data with whole numbers in every column, such as pixels, use
    `Dequantized`, whose noise can be learned.

    `sample` draws from `distribution` and rounds whole columns down. Its mass outside the range is
    lost to the bound; samples from there become `low` or `high`.

    Shapes: x is `[..., D]`, of the dtype of `distribution`; `elbo` takes any numeric dtype.

    Source: Theis, van den Oord and Bethge (2016), arXiv:1511.01844; for some columns only, Uria,
    Murray and Larochelle (2013), RNADE, arXiv:1306.0186.

    Args:
      distribution: distribution of x + u, a TFP distribution over vectors of size D.
      columns: indices of the whole columns, distinct integers from 0 to D - 1.
      low: the smallest number of each of these columns, whole.
      high: the largest number of each, whole, not below `low`.
      seed: Python `int`, for the noise.
      noise: the layer that draws it, which copies share; by default it is made from the seed.
      validate_args: Python `bool`.
      allow_nan_stats: Python `bool`, as in TFP.
      name: Python `str`.

    Raises:
      TypeError: if `distribution` has another type, or a column is not an integer.
      ValueError: if a column is named twice or out of range, or its range is missing or too large
        for the dtype; in eager mode, if `elbo` gets values that are not whole numbers of the range.
        In a graph their bound is minus infinity.

    Example:
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> uniform = tfp.distributions.Uniform([0.0, 0.0], [4.0, 1.0])
      >>> flow = tfp.distributions.Independent(uniform, reinterpreted_batch_ndims=1)
      >>> table = tfpf.distributions.WholeColumns(flow, columns=[0], low=[0], high=[3])
      >>> table.elbo([[2, 0.5]]).numpy()  # -log(4): column 0 is 0, 1, 2 or 3
      array([-1.386], dtype=float32)

    See also: `tfpf.table_flow`, `tfpf.distributions.Dequantized`.
    """

    __deepcopy__ = deep_copy

    def __init__(
        self,
        distribution: tfd.Distribution,
        columns: Sequence[int],
        low: ArrayLike,
        high: ArrayLike,
        seed: int | None = None,
        noise: Any = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "whole_columns",
    ) -> None:
        parameters = dict(locals())
        checked_distribution(distribution)
        size = distribution.event_shape[0] if distribution.event_shape.rank == 1 else None
        if size is None:
            raise ValueError(
                "`distribution` must be over vectors of a known size. "
                f"Received: distribution.event_shape={distribution.event_shape}"
            )
        columns = _checked_columns(columns, size)
        low, high = (_whole_numbers(*each) for each in ((low, "low"), (high, "high")))
        _check_range(columns, low, high, distribution.dtype)
        parameters.update(noise=self._keep(distribution, seed, noise))
        self._is_whole = np.isin(np.arange(size), columns)
        self._low, self._high = np.full([2, size], [[-np.inf], [np.inf]])
        self._low[list(columns)], self._high[list(columns)] = low, high
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n{described(self)}"

    @property
    def distribution(self) -> tfd.Distribution:
        """The distribution of x + u."""
        return self._distribution

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        return {"distribution": tfp.util.BatchedComponentProperties()}

    def elbo(self, x: ArrayLike, num_samples: int = 1) -> tf.Tensor:
        """A lower bound of log p(x) in nats, `[...]`, from draws of u.

        Args:
          x: vectors `[..., D]`.
          num_samples: number of draws for each event, whose bounds are averaged.

        Raises:
          ValueError: if `x` has another shape; in eager mode, if values of whole columns are not
            whole, or are out of range.
        """
        num_samples = _checks.integer_at_least(num_samples, 1, "num_samples")
        _checks.not_symbolic(x, "x")
        x = tf.convert_to_tensor(x)
        _checks.event(x, self.event_shape, "x")
        if tf.executing_eagerly():
            self.check_values(x.numpy(), "x")
        x = tf.cast(x, self.dtype)
        low, high = (tf.constant(bound, self.dtype) for bound in (self._low, self._high))
        is_value = ~self._is_whole | ((x >= low) & (x <= high) & (x == tf.floor(x)))
        # Other values are clipped, so that they do not spoil the gradients of a batch.
        x = tf.where(self._is_whole, tf.clip_by_value(x, low, high), x)
        batch_shape = ps.broadcast_shape(ps.shape(x)[:-1], self.batch_shape_tensor())
        shape = ps.concat([[num_samples], batch_shape, self.event_shape], axis=0)
        x = tf.broadcast_to(x, shape)
        bound = tf.reduce_mean(self._distribution.log_prob(self._with_noise(x)), axis=0)
        impossible = tf.constant(-np.inf, bound.dtype)
        return tf.where(tf.reduce_all(is_value, axis=-1), bound, impossible)

    def _with_noise(self, x: ArrayLike) -> tf.Tensor:
        """x + u, a point of `distribution`."""
        x = tf.cast(x, self.dtype)
        return x + tf.where(self._is_whole, self._noise(x), tf.zeros([], self.dtype))

    def check_values(self, x: ArrayLike, name: str) -> None:
        """Refuses an array with values in whole columns that are not whole, or are out of range."""
        x = np.asarray(x)
        wrong = self._is_whole & ((x < self._low) | (x > self._high) | (x != np.floor(x)))
        if wrong.any():
            place = tuple(np.argwhere(wrong)[0])
            low, high = (int(bound[place[-1]]) for bound in (self._low, self._high))
            raise ValueError(
                f"`{name}` must hold whole numbers from {low} to {high} in column {place[-1]}. "
                f"Received: {x[place]} among them"
            )

    def _log_prob(self, x: tf.Tensor) -> NoReturn:
        raise NotImplementedError(
            f"`{self.name}` has a lower bound of log p(x), `elbo(x)`, but no `log_prob`. "
            "Received: a call of `log_prob`"
        )

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        x = self._distribution.sample(n, seed=seed)
        low, high = (tf.constant(bound, self.dtype) for bound in (self._low, self._high))
        return tf.where(self._is_whole, tf.clip_by_value(tf.floor(x), low, high), x)


def _checked_columns(columns: Any, size: int) -> Any:
    columns = _integers(columns, "columns")
    if not columns or len(set(columns)) < len(columns) or not set(columns) <= set(range(size)):
        raise ValueError(
            f"`columns` must be distinct integers from 0 to {size - 1}, at least one. "
            f"Received: columns={columns!r}"
        )
    return columns


def _integers(values: Any, name: str) -> list[int]:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"`{name}` must be a list of integers. Received: {name}={values!r}")
    return [_checks.integer_at_least(value, 0, name) for value in values]


def _whole_numbers(values: Any, name: str) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values != np.floor(values)).any():
        raise ValueError(
            f"`{name}` must be a list of whole numbers, one for each of `columns`. "
            f"Received: {name}={values.tolist()}"
        )
    return values


def _check_range(columns: Any, low: Any, high: Any, dtype: tf.DType) -> None:
    if not len(columns) == len(low) == len(high) or (low > high).any():
        raise ValueError(
            "`low` and `high` must have one number for each of `columns`, with `low` not above "
            f"`high`. Received: low={low.tolist()}, high={high.tolist()} for columns={columns!r}"
        )
    # x + u must keep some digits of u.
    most = 2.0 ** (np.finfo(dtype.as_numpy_dtype).nmant - 3)
    if max(np.abs(low).max(), np.abs(high).max()) > most:
        raise ValueError(
            f"`low` and `high` must be from {-most:.0f} to {most:.0f}, since {dtype.name} has no "
            "digits for the noise of larger numbers: use float64, or a column of real numbers. "
            f"Received: low={low.tolist()}, high={high.tolist()}"
        )
