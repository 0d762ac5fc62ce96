"""The root of an increasing function, elementwise, with exact derivatives."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.solvers._bracketed_search import bracketed_search, eps_of


class RootResult(NamedTuple):
    """What `find_root` returns.

    Attributes:
      root: float `Tensor` of the shape of `target`; NaN where the search did not converge.
      converged: boolean `Tensor` of the same shape.
      num_iterations: integer scalar, evaluations of the function in the search.
    """

    root: tf.Tensor
    converged: tf.Tensor
    num_iterations: tf.Tensor


def find_root(
    value_and_slope: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    target: ArrayLike,
    *,
    lower: float | tf.Tensor = -1.0,
    upper: float | tf.Tensor = 1.0,
    tolerance: float | None = None,
    max_iterations: int = 200,
    name: str = "find_root",
) -> RootResult:
    """x with f(x) = y, for a strictly increasing f, elementwise.

    Newton's iteration x <- x - (f(x) - y) / f'(x) from the middle of `[lower, upper]`, which is
    a first guess: the bracket grows, faster than geometrically, until it holds the root. Inside
    of the bracket a step that leaves it, or is more than half as long as the step before, is
    replaced by a bisection (of log(1 + |x|) while the bracket spans more than its own distance
    to zero, so that the exponent of a huge root costs ten steps). Smooth functions take 5 to 8
    evaluations. An element is found when

        |f(x) - y| <= tolerance |y|,  or
        |f(x) - y| <= tolerance min(max(1, |y|), f'(x) max(1, |x|)),

    or when the bracket is down to neighbouring numbers of the dtype: where f is so steep that no
    x comes closer to y. A small step alone would not do: a slope that is large at x says nothing
    about a root far away, where f is flat again.

    Derivatives: the search sees no gradients. Two Newton steps from its result follow, and these
    are differentiated as they stand, value and slope both. That makes the derivatives of the
    root of first, second and third order exact, with respect to `target` and to everything that
    `value_and_slope` captures, provided that it computes them exactly. Where f'(x) is zero the
    gradient is zero. The two steps also double the number of exact digits, twice; a step that
    would lead away from the root is not taken.

    Compiles under XLA, also in a differentiated `tf.while_loop`.

    Args:
      value_and_slope: callable, `x -> (f(x), f'(x))`, all of the shape of `target`. Infinite
        values are those of an overflow, and NaN away from the first guess is taken for one too.
      target: float `Tensor`, y. An infinite one has the root of the same infinity.
      lower: float, or `Tensor` that broadcasts to `target`.
      upper: likewise, above `lower`. Ends beyond the dtype count as its largest number.
      tolerance: positive float; 32 machine epsilons of the dtype by default.
      max_iterations: Python `int`, the most evaluations of the search. Bisection alone needs
        about 60 in float64, 35 in float32.
      name: Python `str`.

    Returns:
      A `RootResult`. A root beyond the largest number of the dtype, where f still increases, is
      an infinity, and so is that of an infinite target; both with zero gradients. An element
      without convergence is NaN, with `converged` false: because no root exists, the evaluations
      ran out, f falls, or `target`, f or f' is NaN.

    Raises:
      TypeError: if `target` is not floating point.
      ValueError: if `tolerance` or `max_iterations` is not positive, or Python numbers `lower`
        and `upper` are out of order.
    """
    with tf.name_scope(name):
        target = tf.convert_to_tensor(target, name="target")
        dtype = target.dtype
        if not dtype.is_floating:
            raise TypeError(f"`target` must be floating point. Received: dtype={dtype.name}")
        if tolerance is None:
            tolerance = 32.0 * eps_of(target)
        if not tolerance > 0.0:
            raise ValueError(f"`tolerance` must be positive. Received: tolerance={tolerance}")
        if max_iterations < 1:
            raise ValueError(
                f"`max_iterations` must be at least 1. Received: max_iterations={max_iterations}"
            )
        if not (tf.is_tensor(lower) or tf.is_tensor(upper) or np.all(lower < upper)):
            raise ValueError(
                f"`lower` must be below `upper`. Received: lower={lower}, upper={upper}"
            )
        # Halved first: the width of a bracket may be beyond the dtype.
        lower, upper = (_half(end, target) for end in (lower, upper))
        start, radius = upper + lower, upper - lower
        search = bracketed_search(
            value_and_slope, tf.stop_gradient(target), start, radius, tolerance, max_iterations
        )
        found = search.found
        # Where nothing was found the function may overflow, and its NaN would reach the
        # gradients of parameters that other elements share.
        usable = tf.where(tf.math.is_finite(start), start, tf.zeros_like(start))
        x = tf.stop_gradient(tf.where(found, search.x, usable))
        x, found = _polished(value_and_slope, target, x, search.low, search.high, found, tolerance)
        end = tf.where(tf.math.is_inf(target), target, search.x)
        infinite = tf.math.is_inf(end)
        root = tf.where(found, x, tf.where(infinite, end, tf.constant(np.nan, dtype)))
        return RootResult(root, found | infinite, search.num_iterations)


def _polished(
    value_and_slope: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    target: tf.Tensor,
    x: tf.Tensor,
    low: tf.Tensor,
    high: tf.Tensor,
    found: tf.Tensor,
    tolerance: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Two Newton steps from `x`, within the bracket, with the derivatives of whole steps.

    Returns the root, and where it is one.
    """
    largest = tf.constant(target.dtype.max, target.dtype)

    def newton(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        value, slope = value_and_slope(x)
        residual = target - value
        usable = found & tf.math.is_finite(value) & (slope > 0.0) & tf.math.is_finite(slope)
        usable &= tf.abs(residual) < slope * largest
        step = residual / tf.where(usable, slope, tf.ones_like(slope))
        step = tf.where(usable, step, tf.zeros_like(step))
        following = _moved(tf.clip_by_value(x + step, low, high), x + step)
        return following, tf.abs(residual), tf.abs(step), slope

    start = x
    x, residual, step, slope = newton(start)
    # A falling function is not what is searched; a NaN fails here, too.
    found &= tf.math.is_finite(residual) & (slope >= 0.0)
    following, residual_after, step_after, _ = newton(x)
    # Between a number and a NaN there is no root, even if they are neighbours.
    found &= ~tf.math.is_nan(residual_after)
    # A step over a place where f is steep would lead away: the start stays, or the step before.
    # Steps of a rounding do no harm, and only by both steps third derivatives are exact.
    rounding = 4.0 * eps_of(x) * tf.abs(start)
    margin = tolerance * tf.maximum(tf.abs(target), 1.0)
    is_good = (residual_after <= tf.maximum(residual, margin)) | (step <= rounding)
    is_good_after = step_after <= tf.maximum(step, rounding)
    end = tf.where(is_good_after, following, x)
    root = tf.where(is_good, _moved(end, following), _moved(start, x))
    return root, found


def _moved(value: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """`value`, to the bit, with the gradient of x, which is finite."""
    return tf.stop_gradient(value) + (x - tf.stop_gradient(x))


def _half(end: float | tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Half an end of the first bracket, without gradients; one beyond the dtype is its largest."""
    largest = target.dtype.max
    end = tf.stop_gradient(tf.clip_by_value(tf.cast(end, target.dtype), -largest, largest))
    # `broadcast_to` forgets static sizes.
    return tf.ensure_shape(tf.broadcast_to(0.5 * end, tf.shape(target)), target.shape)
