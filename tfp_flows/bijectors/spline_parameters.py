"""What the spline bijectors share: raw parameters, intervals, checks, bins before rows."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import dtype_util, parameter_properties
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import checks


def interval(bound, unit_interval):
    """`(lower, length)` of [-bound, bound], or of [0, 1]."""
    bound = checks.positive_number(bound, "bound")
    return (0.0, 1.0) if unit_interval else (-bound, 2.0 * bound)


def learns_ends(tails, unit_interval):
    """Whether the slopes at the ends are parameters: with linear tails, or without tails."""
    return checks.one_of(tails, ("identity", "linear"), "tails") == "linear" or bool(unit_interval)


def minimum_size(minimum, num_bins, name, share=1.0):
    """Refuses a least size of bins, as a fraction of the interval, for which there is no room."""
    if checks.positive_number(minimum, name) * num_bins >= share:
        bound = "1 / num_bins" if share == 1.0 else f"{share} / num_bins"
        raise ValueError(
            f"`{name}` must be below {bound}. Received: {name}={minimum}, num_bins={num_bins}"
        )
    return float(minimum)


def minimum_slope(minimum):
    """Refuses a least slope that is not between zero and one."""
    if checks.positive_number(minimum, "min_slope") >= 1.0:
        raise ValueError(f"`min_slope` must be below 1. Received: min_slope={minimum}")
    return float(minimum)


def split_bins_first(params, sizes):
    """The raw parameters `[..., D, P]` as tensors `[D, size, N]`, one for each of `sizes`.

    N, the number of rows of the batch, stands last: under XLA on a CPU loops over the last axis are
    vectorised, and D is short. XLA cancels the way back.
    """
    params = tf.convert_to_tensor(params, name="params")
    checks.last_axis(params, sum(sizes), "params")
    return tf.split(_rows_last(params), sizes, axis=-2)


def bins_last(tensor, params):
    """`[D, size, N]` as `[..., D, size]`, for what was made of `params` by `split_bins_first`."""
    if params.shape.rank == 1:
        return tensor[:, 0]
    shape = ps.concat([ps.shape(params)[:-1], [tensor.shape[-2]]], axis=0)
    return tf.reshape(tf.transpose(tensor, [2, 0, 1]), shape)


def bins_first(tensor):
    """`[..., D, K]` to `[..., K, D]`; `[K]`, which serves every coordinate, to `[K, 1]`."""
    if tensor.shape.rank == 1:
        return tensor[:, tf.newaxis]
    return tf.linalg.matrix_transpose(tensor)


def _rows_last(tensor):
    """`[..., D, K]` to `[D, K, N]`, and `[K]` to `[K, 1]`."""
    if tensor.shape.rank == 1:
        return tensor[:, tf.newaxis]
    rows = tf.reshape(tensor, ps.concat([[-1], ps.shape(tensor)[-2:]], axis=0))
    return tf.transpose(rows, [1, 2, 0])


def apply(kernel, value, dtype, parameters, *scalars):
    """Runs a kernel that wants bins first, also on a scalar `value`.

    Args:
      kernel: `kernel(value, *parameters, *scalars)`, which returns a value and a log-slope.
      value: `Tensor` `[..., D]`, or a scalar.
      dtype: that of the bijector.
      parameters: tensors `[..., D, K]` or `[K]`.
      *scalars: tensors `[..., D]` or scalars, passed on as they are.
    """
    value = tf.convert_to_tensor(value, dtype=dtype)
    parameters = [tf.convert_to_tensor(t) for t in parameters]
    if _have_points_of_their_own(value, parameters, scalars):
        shape = ps.shape(value)
        rows = ps.concat([[-1], shape[-1:]], axis=0)
        value, *scalars = (
            tf.transpose(tf.reshape(t, rows)) if t.shape.rank else t for t in (value, *scalars)
        )
        results = kernel(value, *(_rows_last(t) for t in parameters), *scalars)
        return tuple(tf.reshape(tf.transpose(t), shape) for t in results)
    scalar = value.shape.rank == 0
    if scalar:
        value = value[tf.newaxis]
    value, log_slope = kernel(value, *(bins_first(t) for t in parameters), *scalars)
    ranks = [t.shape.rank for t in (*parameters, *scalars)]
    if scalar and ranks == [1] * len(parameters) + [0] * len(scalars):
        return value[0], log_slope[0]
    return value, log_slope


def _have_points_of_their_own(value, parameters, scalars):
    """Whether each point has all of its parameters for itself, as those of a conditioner are.

    Where the number of rows is not known, all that have it are taken to have the same.
    """
    batches = [t.shape[:-1] for t in parameters] + [t.shape for t in scalars if t.shape.rank]
    known = value.shape.rank and all(batch.rank is not None for batch in batches)
    return bool(known) and all(
        batch.as_list() == value.shape.as_list() and batch.as_list().count(None) < 2
        for batch in batches
    )


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
