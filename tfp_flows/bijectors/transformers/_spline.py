"""What the spline bijectors share: checks of bins, and the layout of parameters."""

import abc
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import dtype_util, parameter_properties

from tfp_flows import _checks
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.transformers import _batch_last


class Spline(FlowBijector):
    """$y = f(x)$

    An elementwise spline, with one formula in each bin of x.

    A subclass has two kernels, the numbers of its raw parameters (`_sizes`), a class method `new`
    that makes the bijector from them, and assertions.

    Args:
      parameters: the arguments of the subclass's constructor, as TFP keeps them.
      **tensors: those of them that are tensors, of one dtype.
    """

    def __init__(self, parameters: dict[str, Any], **tensors: ArrayLike | None) -> None:
        name = parameters["name"]
        with tf.name_scope(name):
            dtype = self._keep(**tensors)
            self._check_bins()
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=parameters["validate_args"],
                parameters=parameters,
                name=name,
            )

    @property
    def bin_widths(self) -> tf.Tensor | tf.Variable:
        """Widths of the bins, `[..., K]`."""
        return self._bin_widths

    @property
    def range_min(self) -> tf.Tensor | tf.Variable:
        """The position x of the first knot, and its value y."""
        return self._range_min

    @classmethod
    def params_size(cls, *args: Any, **kwargs: Any) -> int:
        """P, the number of raw parameters per coordinate.

        Takes the arguments of `new` that come after `params`. Only a few of them matter.
        """
        given = inspect.signature(cls.new).bind(None, *args, **kwargs)
        given.apply_defaults()
        names = inspect.signature(cls._sizes).parameters
        return sum(cls._sizes(**{name: given.arguments[name] for name in names}))

    @staticmethod
    @abc.abstractmethod
    def _sizes(num_bins: int, *args: Any, **kwargs: Any) -> tuple[int, ...]:
        """Returns the number of raw parameters of each kind, given some arguments of `new`."""

    @abc.abstractmethod
    def _check_bins(self) -> None:
        """Refuses tensors whose static shapes do not fit."""

    @abc.abstractmethod
    def _assertions(self, is_init: bool) -> list[Any]:
        """Returns assertions about the values of parameters, for `validate_args`."""

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        return self._assertions(is_init) if self.validate_args else []

    def _tensors_by_bin(self) -> tuple[tf.Tensor, ...]:
        """Returns what the kernels take after the value, tensors `[..., D, K]` or `[K]`."""
        return self._bin_widths, self._bin_heights

    def _apply(
        self, kernel: Callable[..., tuple[tf.Tensor, tf.Tensor]], value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        start = self._range_min
        return _batch_last.apply(kernel, value, self._tensors_by_bin(), start, start)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(self._forward_kernel, x)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(self._inverse_kernel, y)


def checked_once(check: Callable[..., Any]) -> Callable[..., Any]:
    """Runs `check` once for each set of arguments: a conditioner's `new` runs in every pass."""
    remembered = functools.lru_cache(typed=True)(check)

    @functools.wraps(check)
    def call(*args: Any) -> Any:
        try:
            return remembered(*args)
        except TypeError:
            # An argument cannot be hashed: the check itself names it in its error.
            return check(*args)

    return call


def interval(bound: float, unit_interval: bool) -> tuple[float, float]:
    """Returns `(lower, length)` of [-bound, bound], or of [0, 1]."""
    bound = _checks.positive_number(bound, "bound")
    return (0.0, 1.0) if unit_interval else (-bound, 2.0 * bound)


def learns_ends(tails: str, unit_interval: bool) -> bool:
    """Whether the slopes at the ends are parameters: with linear tails, or without tails."""
    return _checks.one_of(tails, ("identity", "linear"), "tails") == "linear" or bool(unit_interval)


def minimum_size(minimum: float, num_bins: int, name: str, share: float = 1.0) -> float:
    """Refuses a least size of bins, as a fraction of the interval, that does not fit K times."""
    if _checks.positive_number(minimum, name) * num_bins >= share:
        bound = "1 / num_bins" if share == 1.0 else f"{share} / num_bins"
        raise ValueError(
            f"`{name}` must be below {bound}. Received: {name}={minimum}, num_bins={num_bins}"
        )
    return float(minimum)


def minimum_slope(minimum: float) -> float:
    """Refuses a least slope that is not between zero and one."""
    if _checks.positive_number(minimum, "min_slope") >= 1.0:
        raise ValueError(f"`min_slope` must be below 1. Received: min_slope={minimum}")
    return float(minimum)


def same_bins(widths: tf.Tensor, heights: tf.Tensor) -> int:
    """Returns K, or refuses widths and heights whose numbers of bins differ or are unknown."""
    num_widths, num_heights = (t.shape[-1] if t.shape.rank else None for t in (widths, heights))
    if not num_widths or num_widths != num_heights:
        raise ValueError(
            "`bin_widths` and `bin_heights` must have the same static last axis, at least 1. "
            f"Received: shapes {widths.shape} and {heights.shape}"
        )
    return num_widths


def positive_assertions(named: Mapping[str, Any], is_init: bool) -> list[Any]:
    """Asserts that parameters are positive: tensors at construction, variables at each use."""
    return [
        tf.debugging.assert_positive(t, message=f"`{name}` must be positive.")
        for name, t in named.items()
        if t is not None and is_init != isinstance(t, tf.Variable)
    ]


def is_due(is_init: bool, *tensors: Any) -> bool:
    """Whether a joint assertion is due now: at each use if one of the tensors is a variable."""
    return is_init != any(isinstance(t, tf.Variable) for t in tensors)


def equal_sums_assertions(
    widths: tf.Tensor, heights: tf.Tensor, names: str, axis: int = -1
) -> list[Any]:
    """Asserts that the spline ends on y = x."""
    total = tf.reduce_sum(widths, axis=axis)
    return [
        tf.debugging.assert_less_equal(
            tf.abs(total - tf.reduce_sum(heights, axis=axis)),
            64.0 * dtype_util.eps(total.dtype) * total,
            message=f"With identity tails {names} must have the same sum.",
        )
    ]


def properties(
    dtype: tf.DType,
    sizes: Sequence[str] = (),
    slopes: Sequence[str] = (),
    scalars: Sequence[str] = (),
) -> dict[str, Any]:
    """`_parameter_properties` of sizes and slopes, with bins on the last axis, and of scalars."""
    unknown = parameter_properties.SHAPE_FN_NOT_IMPLEMENTED

    def softplus() -> tfp.bijectors.Bijector:
        return tfp.bijectors.Softplus(low=dtype_util.eps(dtype))

    constraints = dict.fromkeys(sizes, parameter_properties.BIJECTOR_NOT_IMPLEMENTED)
    constraints |= dict.fromkeys(slopes, softplus)
    of_bins = {
        name: tfp.util.ParameterProperties(
            event_ndims=1, shape_fn=unknown, default_constraining_bijector_fn=constraint
        )
        for name, constraint in constraints.items()
    }
    of_scalars = {name: tfp.util.ParameterProperties(shape_fn=unknown) for name in scalars}
    return of_bins | of_scalars
