"""What the spline bijectors share: intervals, checks, assertions and properties."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import dtype_util, parameter_properties

from tfp_flows import _checks


def interval(bound, unit_interval):
    """`(lower, length)` of [-bound, bound], or of [0, 1]."""
    bound = _checks.positive_number(bound, "bound")
    return (0.0, 1.0) if unit_interval else (-bound, 2.0 * bound)


def learns_ends(tails, unit_interval):
    """Whether the slopes at the ends are parameters: with linear tails, or without tails."""
    return _checks.one_of(tails, ("identity", "linear"), "tails") == "linear" or bool(unit_interval)


def minimum_size(minimum, num_bins, name, share=1.0):
    """Refuses a least size of bins, as a fraction of the interval, for which there is no room."""
    if _checks.positive_number(minimum, name) * num_bins >= share:
        bound = "1 / num_bins" if share == 1.0 else f"{share} / num_bins"
        raise ValueError(
            f"`{name}` must be below {bound}. Received: {name}={minimum}, num_bins={num_bins}"
        )
    return float(minimum)


def minimum_slope(minimum):
    """Refuses a least slope that is not between zero and one."""
    if _checks.positive_number(minimum, "min_slope") >= 1.0:
        raise ValueError(f"`min_slope` must be below 1. Received: min_slope={minimum}")
    return float(minimum)


def same_bins(widths, heights):
    """Returns K, or refuses widths and heights of unequal or unknown numbers of bins."""
    num_widths, num_heights = (t.shape[-1] if t.shape.rank else None for t in (widths, heights))
    if not num_widths or num_widths != num_heights:
        raise ValueError(
            "`bin_widths` and `bin_heights` must have the same static last axis, at least 1. "
            f"Received: shapes {widths.shape} and {heights.shape}"
        )
    return num_widths


def positive_assertions(named, is_init):
    """Assertions of sign: of tensors once, when the bijector is made, of variables at each use."""
    return [
        tf.debugging.assert_positive(t, message=f"`{name}` must be positive.")
        for name, t in named.items()
        if t is not None and is_init != isinstance(t, tf.Variable)
    ]


def is_due(is_init, *tensors):
    """Whether a joint assertion is to be made now: at each use if one of them is a variable."""
    return is_init != any(isinstance(t, tf.Variable) for t in tensors)


def equal_sums_assertions(widths, heights, names, axis=-1):
    """The assertion that the spline ends on y = x."""
    total = tf.reduce_sum(widths, axis=axis)
    return [
        tf.debugging.assert_less_equal(
            tf.abs(total - tf.reduce_sum(heights, axis=axis)),
            64.0 * dtype_util.eps(total.dtype) * total,
            message=f"With identity tails {names} must have the same sum.",
        )
    ]


def properties(dtype, sizes=(), slopes=(), scalars=()):
    """`_parameter_properties`: of sizes and slopes, with bins on the last axis, and of scalars."""
    unknown = parameter_properties.SHAPE_FN_NOT_IMPLEMENTED

    def softplus():
        return tfp.bijectors.Softplus(low=dtype_util.eps(dtype))

    constraints = dict.fromkeys(sizes, parameter_properties.BIJECTOR_NOT_IMPLEMENTED)
    constraints |= dict.fromkeys(slopes, softplus)
    of_bins = {
        name: parameter_properties.ParameterProperties(
            event_ndims=1, shape_fn=unknown, default_constraining_bijector_fn=constraint
        )
        for name, constraint in constraints.items()
    }
    of_scalars = {
        name: parameter_properties.ParameterProperties(shape_fn=unknown) for name in scalars
    }
    return of_bins | of_scalars
