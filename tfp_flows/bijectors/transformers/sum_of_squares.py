"""The sum-of-squares polynomial transformer (SOS)."""

import math
from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import parameter_properties
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors.transformers._monotone import Monotone
from tfp_flows.bijectors.transformers._polynomial_start import polynomials_of_slope_one
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._squares_of_polynomials import squares_of_polynomials, zero_with_gradient


class SumOfSquares(Monotone):
    r"""$y = c + m x + \int_0^x \sum_k p_k(u)^2 du, \quad p_k(u) = \sum_l a_{kl} u^l$

    A polynomial whose slope is a sum of squares plus a least slope m.

    Its degree is 2 L + 1, and K is the number of squares. Two squares are enough for every
    polynomial that is positive on the real line. It has `forward_min_event_ndims=0`. `forward` is
    exact, of cost $O(K L^2)$: Gauss-Legendre quadrature with L + 1 nodes, a sum of positive terms.
    `inverse` is a bracketed Newton search (`tfp_flows.math.find_root`) for any target, at 5 to 15
    times the cost. $\log |dy/dx| = \log(m + \sum_k p_k(x)^2)$ is elementwise, in nats, and finite
    even where y overflows. Where a term of y is above a millionth of the dtype's largest number, y
    has no gradient to the parameters.

    With a bound B the tails $|x| > B$ are lines. Stacked layers need them: without, a sample of 10
    grows like $10^{2 L + 1}$ in each. With `tails="linear"` their slope is that at $\pm B$. With
    `tails="unit"` it is one: no outlier grows whatever the parameters, and the density jumps at
    $\pm B$.

    Shapes: `x` is `[..., D]`, coefficients are `[..., D, K, L + 1]`. Batch shapes broadcast.
    Domain: all reals, onto all reals.

    `new` takes raw parameters of shape `[..., P]`, `P = 1 + K (L + 1)`: c, then rows of numbers
    $b_{kl}$. They give $a_{kl} = a^0_{kl} + b_{kl} / (s^l \sqrt{(2 l - 1)!!})$, divided by the root
    mean square of $u^l$ for a normal u of deviation s (`spread`). The $a^0_{kl}$ are constants such
    that the $p_k$ differ. At zero the bijector is near the identity: for $|x| \le 3$,
    $|y - x| \le 0.002$ (K = 3, L = 4; 0.02 for K = 5).

    Source: Jaini, Selby and Yu (2019), Sum-of-squares polynomial flow, arXiv:1905.02325.

    Args:
      coefficients: float `Tensor` `[..., K, L + 1]`, a, the constant terms first.
      shift: float `Tensor`, c.
      min_slope: nonnegative `float`, m. If it is 0, the slope vanishes where all $p_k$ do.
      bound: positive `float` B, or `None` for the polynomial everywhere.
      tails: `"linear"` or `"unit"`, beyond the bound.
      validate_args: Python `bool`. If `True` a y without a root is an error, else x is NaN there.
      name: Python `str`.

    Raises:
      ValueError: if `coefficients` has no static last two axes, `bound` or `min_slope` is out of
        its range, or `tails` is unknown.

    Example:
      >>> import tfp_flows as tfpf
      >>> cubic = tfpf.bijectors.SumOfSquares([[1.0, 0.0], [0.0, 1.0]])  # slope 1 + x^2
      >>> cubic.forward([-1.0, 0.0, 3.0]).numpy().round(2)  # x + x^3 / 3
      array([-1.33,  0.  , 12.  ], dtype=float32)

    See also: `tfpf.flows.sos`.
    """

    def __init__(
        self,
        coefficients: ArrayLike,
        shift: ArrayLike = 0.0,
        min_slope: float = 0.0,
        bound: float | None = None,
        tails: str = "linear",
        validate_args: bool = False,
        name: str = "sum_of_squares",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(coefficients=coefficients, shift=shift)
            if self._coefficients.shape.rank < 2 or not all(self._coefficients.shape[-2:]):
                raise ValueError(
                    "`coefficients` must have two static last axes, each at least 1. "
                    f"Received: coefficients.shape={self._coefficients.shape}"
                )
            if min_slope != 0.0:
                _checks.positive_number(min_slope, "min_slope")
            if bound is not None:
                _checks.positive_number(bound, "bound")
            self._min_slope = min_slope
            self._bound = bound
            self._tails = _checks.one_of(tails, ("linear", "unit"), "tails")
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def coefficients(self) -> tf.Tensor | tf.Variable:
        """a, `[..., K, L + 1]`."""
        return self._coefficients

    @property
    def shift(self) -> tf.Tensor | tf.Variable:
        """c, the value at zero."""
        return self._shift

    @property
    def min_slope(self) -> float:
        """m, the least slope."""
        return self._min_slope

    @property
    def bound(self) -> float | None:
        """B, where the tails begin, or `None`."""
        return self._bound

    @property
    def tails(self) -> str:
        r"""`"linear"` for tails with the slope at $\pm B$, `"unit"` for tails of slope one."""
        return self._tails

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {
            "coefficients": tfp.util.ParameterProperties(
                event_ndims=2, shape_fn=parameter_properties.SHAPE_FN_NOT_IMPLEMENTED
            ),
            "shift": tfp.util.ParameterProperties(),
        }

    @staticmethod
    def params_size(
        num_polynomials: int = 3,
        degree: int = 4,
        min_slope: float = 1e-3,
        bound: float | None = None,
        tails: str = "linear",
        spread: float = 1.0,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """Number of raw parameters per coordinate, 1 + K (L + 1). Takes the keywords of `new`."""
        del min_slope, bound, tails, spread, validate_args, name
        num_polynomials = _checks.integer_at_least(num_polynomials, 1, "num_polynomials")
        return 1 + num_polynomials * (_checks.integer_at_least(degree, 0, "degree") + 1)

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_polynomials: int = 3,
        degree: int = 4,
        min_slope: float = 1e-3,
        bound: float | None = None,
        tails: str = "linear",
        spread: float = 1.0,
        validate_args: bool = False,
        name: str = "sum_of_squares",
    ) -> Self:
        """Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_polynomials: Python `int` K, at least 1.
          degree: Python `int` L, at least 0, of the polynomials that are squared.
          min_slope: positive `float` below 1, m.
          bound: positive `float` B, or `None`.
          tails: `"linear"` or `"unit"`.
          spread: positive `float` s. The larger it is, the less raw numbers move the tails.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, or the last axis of `params` is not P.
        """
        size = cls.params_size(num_polynomials, degree)
        if _checks.positive_number(min_slope, "min_slope") >= 1.0:
            raise ValueError(f"`min_slope` must be below 1. Received: min_slope={min_slope}")
        params = tf.convert_to_tensor(params, name="params")
        _checks.last_axis(params, size, "params")
        shape = tf.concat([tf.shape(params)[:-1], [num_polynomials, degree + 1]], axis=0)
        spread = _checks.positive_number(spread, "spread")
        offsets, scales = polynomials_of_slope_one(num_polynomials, degree, min_slope, spread)
        shift, raw = tf.split(params, [1, size - 1], axis=-1)
        coefficients = tf.reshape(raw, shape) / tf.constant(scales, params.dtype)
        return cls(
            coefficients + tf.constant(offsets, params.dtype),
            shift=shift[..., 0],
            min_slope=min_slope,
            bound=bound,
            tails=tails,
            validate_args=validate_args,
            name=name,
        )

    def _parameters_by_unit(self) -> list[tf.Tensor]:
        a = tf.convert_to_tensor(self._coefficients)
        flat = tf.reshape(a, ps.concat([ps.shape(a)[:-2], [-1]], axis=0))
        return [flat, self._shift[..., tf.newaxis]]

    def _map(
        self, flat: tf.Tensor, shift: tf.Tensor
    ) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        batch_shape, rows = ps.shape(flat)[:-2], ps.shape(flat)[-1:]
        a = tf.reshape(flat, ps.concat([batch_shape, self._coefficients.shape[-2:], rows], axis=0))
        log_largest = tf.math.log(tf.reduce_max(tf.abs(a), axis=-3))
        c, m = shift[..., 0, :], tf.constant(self._min_slope, a.dtype)

        def value_and_log_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # An earlier layer may have overflowed. Without tails, infinity becomes the largest x.
            bound = x.dtype.max if self._bound is None else self._bound
            near = tf.clip_by_value(x, -bound, bound)
            unit_tails = self._bound is not None and self._tails == "unit"
            tail = tf.zeros_like(x) if self._bound is None else x - near
            beyond = tf.zeros_like(x) if unit_tails else tail
            mean_square, square, log_factor = squares_of_polynomials(near, a, log_largest)
            # m is divided by the factor, so that a huge factor makes it zero, not infinite.
            log_slope = log_factor + tf.math.log(square + m * tf.exp(-log_factor))

            # Where y is close to overflow, or beyond, autodiff would meet inf - inf. There the
            # slope is put in by hand, and parameters get no gradient through y. The test looks at
            # exp(f) |x|, the largest of K (L + 1)^2 terms; their number is within the margin.
            limit = math.log(x.dtype.max)
            large = log_factor + tf.math.log(tf.maximum(tf.abs(x), 1.0))
            large = tf.stop_gradient(large) > limit - 15.0
            # Bounded, since inf * 0 would be NaN where the tails begin.
            slope = tf.exp(tf.minimum(log_slope, limit - 1.0))
            constant_slope = tf.stop_gradient(slope)
            zero = tf.zeros_like(slope)
            root = tf.exp(0.5 * tf.where(large, zero, log_factor))
            small_y = near * root * mean_square * root
            small_y += tf.where(large, constant_slope, slope) * tf.where(large, zero, beyond)
            root = tf.exp(0.5 * log_factor)
            large_y = tf.stop_gradient(near * root * mean_square * root + slope * beyond)
            large_y += constant_slope * zero_with_gradient(near + beyond)
            y = c + m * near + tf.where(large, large_y, small_y)
            if unit_tails:
                y, log_slope = y + tail, tf.where(tail == 0.0, log_slope, zero)
            return y, log_slope

        return value_and_log_slope
