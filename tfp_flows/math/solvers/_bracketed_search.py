"""Newton's iteration within a bracket, elementwise: the search of `find_root`."""

from collections.abc import Callable
from typing import NamedTuple

import ml_dtypes
import numpy as np
import tensorflow as tf


class Search(NamedTuple):
    """The state of the loop; `low` and `high` are infinite while unknown."""

    num_iterations: tf.Tensor
    x: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    last_step: tf.Tensor
    radius: tf.Tensor
    found: tf.Tensor
    done: tf.Tensor


def bracketed_search(
    value_and_slope: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    target: tf.Tensor,
    start: tf.Tensor,
    radius: tf.Tensor,
    tolerance: float,
    max_iterations: int,
) -> Search:
    """Runs the search of `find_root`, without gradients, from `start`.

    `radius` is the length of the first step where Newton's step cannot be used.

    Returns:
      The last `Search`. `found` is true where `x` is a root to the tolerance, or an end of a
      bracket that has closed. An infinite `x` is a root beyond the dtype.
    """
    dtype = target.dtype
    largest = tf.constant(dtype.max, dtype)

    def step(
        num_iterations: tf.Tensor,
        x: tf.Tensor,
        low: tf.Tensor,
        high: tf.Tensor,
        last_step: tf.Tensor,
        radius: tf.Tensor,
        found: tf.Tensor,
        done: tf.Tensor,
    ) -> Search:
        value, slope = (tf.ensure_shape(t, x.shape) for t in value_and_slope(x))
        residual = value - target
        invalid = tf.math.is_nan(residual)
        above = (residual > 0.0) | (invalid & (x >= start))
        below = (residual < 0.0) | (invalid & (x < start))
        low = tf.where(below & ~done, x, low)
        high = tf.where(above & ~done, x, high)
        scale = tolerance * tf.maximum(tf.ones_like(x), tf.abs(x))
        # An infinite slope carries no information. It does not mean a step of zero.
        newton_step = tf.where(
            tf.math.is_finite(slope), -residual / slope, tf.constant(np.inf, dtype)
        )
        size = tf.abs(residual)
        near = size <= tolerance * tf.abs(target)
        near |= (tf.abs(newton_step) <= scale) & (size <= tolerance)
        # Where f is so steep that Newton's step does not change x, x goes to the other side of the
        # root, so that the bracket closes.
        rounding = eps_of(x) * tf.abs(x)
        across = -2.0 * rounding * tf.sign(residual)
        newton_step = tf.where(tf.abs(newton_step) <= rounding, across, newton_step)
        middle = _middle(low, high)
        closed = _is_bracket(low, high) & ((middle <= low) | (middle >= high))
        # If the bracket closes where f overflows, the root is its other end.
        inner = tf.where(above, low, high)
        middle = tf.where(closed & tf.math.is_inf(value), inner, middle)
        following, grown = _guess(x, newton_step, last_step, low, middle, high, radius, below)
        near |= closed
        near &= tf.math.is_finite(value)
        # x cannot move, since it is the largest number or no bracket can shrink. Then there is no
        # root, unless the function still increases there.
        stuck = tf.equal(following, x) & ~near & ~done
        beyond_dtype = stuck & (tf.abs(x) >= largest) & (slope > 0.0) & tf.math.is_finite(value)
        done_now = done | near | stuck
        following = tf.where(beyond_dtype, tf.sign(x) * np.inf, following)
        return Search(
            num_iterations + 1,
            tf.where(done_now & ~beyond_dtype, x, following),
            low,
            high,
            tf.where(done_now, last_step, following - x),
            grown,
            found | (near & ~done),
            done_now,
        )

    initial = Search(
        tf.constant(0),
        start,
        tf.fill(tf.shape(target), -tf.constant(np.inf, dtype)),
        tf.fill(tf.shape(target), tf.constant(np.inf, dtype)),
        2.0 * radius,
        radius,
        tf.zeros_like(target, tf.bool),
        ~tf.math.is_finite(target),
    )
    initial = tf.nest.map_structure(
        lambda t: t if t.dtype == tf.int32 else tf.ensure_shape(t, target.shape), initial
    )
    result = tf.while_loop(
        lambda *state: ~tf.reduce_all(state[-1]),
        step,
        initial,
        maximum_iterations=max_iterations,
    )
    return tf.nest.map_structure(tf.stop_gradient, result)


def _guess(
    x: tf.Tensor,
    newton_step: tf.Tensor,
    last_step: tf.Tensor,
    low: tf.Tensor,
    middle: tf.Tensor,
    high: tf.Tensor,
    radius: tf.Tensor,
    below: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the x to try next, and the next radius: the step where Newton's cannot be used."""
    largest = tf.constant(x.dtype.max, x.dtype)
    newton = x + newton_step
    converging = tf.abs(newton_step) <= 0.5 * tf.abs(last_step)
    inside = (newton > low) & (newton < high)
    within = tf.where(inside & converging, newton, middle)
    outward = tf.math.is_finite(newton) & (converging | (tf.abs(newton_step) > radius))
    beyond = tf.where(outward, newton, tf.where(below, x + radius, x - radius))
    beyond = tf.clip_by_value(beyond, -largest, largest)
    # At least twice the step: for an exponential Newton's steps have length one, without end.
    grown = tf.where(outward, 2.0 * tf.abs(newton_step), radius * (8.0 + radius))
    grown = tf.clip_by_value(grown, radius, largest)
    bracketed = _is_bracket(low, high)
    return tf.where(bracketed, within, beyond), tf.where(bracketed, radius, grown)


def eps_of(x: tf.Tensor) -> float:
    return float(ml_dtypes.finfo(x.dtype.as_numpy_dtype).eps)


def _is_bracket(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.math.is_finite(low) & tf.math.is_finite(high)


def _middle(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Returns the middle of the bracket, on a logarithmic scale while the bracket is wide."""
    smallest = tf.minimum(tf.abs(low), tf.abs(high))
    wide = high - low > tf.maximum(tf.ones_like(low), smallest)
    t = 0.5 * (_log_scale(low) + _log_scale(high))
    logarithmic = tf.sign(t) * tf.math.expm1(tf.abs(t))
    return tf.clip_by_value(tf.where(wide, logarithmic, 0.5 * low + 0.5 * high), low, high)


def _log_scale(x: tf.Tensor) -> tf.Tensor:
    return tf.sign(x) * tf.math.log1p(tf.abs(x))
