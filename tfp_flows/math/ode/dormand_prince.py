"""Ordinary differential equations by Dormand and Prince's method, with steps of adaptive size."""

import ml_dtypes
import numpy as np
import tensorflow as tf

from tfp_flows.math.ode.runge_kutta import (
    DORMAND_PRINCE,
    OdeResult,
    runge_kutta_step,
    weighted_sum,
)

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


def dormand_prince(
    function, state, start, stop, *, rtol=1e-5, atol=1e-5, max_num_steps=1000, quadrature=()
):
    """Solves dz/dt = f(t, z) by steps of order 5, with an error estimate of order 4.

    All N rows share their steps. A step is accepted when, in every element of every row,

        |error| <= atol + rtol max(|z before|, |z after|),

    so that what holds for one row does not depend on how many others are with it. A row that is
    not finite, or cannot be followed with the smallest step that the dtype resolves, is given up
    and holds no other row back. Quadratures have no say in the size of a step: where they are
    many (gradients of parameters), that saves steps (Kidger, Chen and Lyons, 2021, "Hey, that's
    not an ODE", arXiv:2009.09457).

    Size of steps: Hairer, Norsett and Wanner (1993), Solving ordinary differential equations I,
    section II.4. Neither tolerance is taken below ten machine epsilons of the dtype. Compiles
    under XLA; its gradient there takes memory for `max_num_steps` steps.

    Args:
      function: callable, `f(t, state)`, t a scalar, gives the slopes of the state and of the
        quadrature: two tuples of tensors.
      state: tuple of float tensors `[N, ...]`.
      start: float, t_0.
      stop: float, t_1, on either side of t_0.
      rtol: non-negative float, relative tolerance.
      atol: positive float, absolute tolerance.
      max_num_steps: Python `int`, the most steps that are tried.
      quadrature: tuple of float tensors of any shapes, integrals at the start.

    Returns:
      An `OdeResult`. No row has succeeded if the steps ended before t_1.

    Raises:
      ValueError: if a tolerance or `max_num_steps` is out of its range.
    """
    if rtol < 0.0 or not atol > 0.0:
        raise ValueError(
            "`rtol` must not be negative, and `atol` must be positive. "
            f"Received: rtol={rtol}, atol={atol}"
        )
    if max_num_steps < 1:
        raise ValueError(
            f"`max_num_steps` must be at least 1. Received: max_num_steps={max_num_steps}"
        )
    state, quadrature = tuple(state), tuple(quadrature)
    dtype = state[0].dtype
    direction = 1.0 if stop > start else -1.0
    eps = float(ml_dtypes.finfo(dtype.as_numpy_dtype).eps)
    rtol, atol = max(rtol, 10.0 * eps), max(atol, 10.0 * eps)
    # t + h must differ from t.
    smallest = 16.0 * eps * max(abs(start), abs(stop), abs(stop - start))
    length = tf.constant(abs(stop - start), dtype)
    start, stop = tf.constant(start, dtype), tf.constant(stop, dtype)

    def ratios(errors, before, after):
        """The largest |error| of each row in units of the tolerance, `[N]`; infinite for NaN."""
        found = []
        for error, z, following in zip(errors, before, after, strict=True):
            ratio = tf.abs(error) / (atol + rtol * tf.maximum(tf.abs(z), tf.abs(following)))
            # `reduce_max` may pass over a NaN.
            ratio = tf.where(tf.math.is_finite(ratio), ratio, tf.constant(np.inf, dtype))
            found.append(tf.reduce_max(ratio, axis=list(range(1, ratio.shape.rank))))
        return tf.reduce_max(tf.stack(found), axis=0)

    def largest(row_ratios, alive):
        return tf.reduce_max(tf.where(alive, row_ratios, tf.zeros_like(row_ratios)))

    def first_size(slopes):
        """A step that Euler's method would take with an error of a hundredth of the tolerance."""
        per_row = ratios(slopes, state, state)
        alive = tf.math.is_finite(per_row)
        h = 0.01 / (largest(per_row, alive) + 1.0 / length)
        there = weighted_sum(state, direction * h, (1.0,), [slopes])
        others = function(start + direction * h, there)[0]
        bend = ratios([b - a for a, b in zip(slopes, others, strict=True)], state, state) / h
        bend = largest(bend, alive & tf.math.is_finite(bend))
        h = tf.pow(0.01 / (tf.maximum(largest(per_row, alive), bend) + 1e-10 / length), 0.2)
        return tf.clip_by_value(h, smallest, length), alive

    def is_on_the_way(count, remaining, h, state, quadrature, slopes, alive):
        return (remaining > 0.0) & tf.reduce_any(alive)

    def step(count, remaining, h, state, quadrature, slopes, alive):
        is_last = h >= remaining
        h = tf.minimum(h, remaining)
        # With gradients, those of the steps taken: their sizes are not differentiated.
        dt = tf.stop_gradient(direction * h)
        following, integrals, stages = runge_kutta_step(
            function, stop - direction * remaining, state, quadrature, dt, DORMAND_PRINCE, slopes
        )
        zeros = tuple(tf.zeros_like(part) for part in state)
        errors = weighted_sum(zeros, dt, DORMAND_PRINCE.error_weights, [s for s, _ in stages])
        per_row = tf.stop_gradient(ratios(errors, state, following))
        # A row that fails with the smallest step is given up.
        alive &= (per_row <= 1.0) | (h > smallest)
        worst = largest(per_row, alive)
        accepted = worst <= 1.0

        def chosen(new, old):
            return tf.nest.map_structure(lambda a, b: tf.where(accepted, a, b), new, old)

        left = tf.where(is_last, tf.zeros_like(remaining), remaining - h)
        factor = _SAFETY * tf.pow(tf.maximum(worst, 1e-10), -0.2)
        factor = tf.clip_by_value(factor, _SHRINK, _GROW)
        return (
            count + 1,
            tf.where(accepted, left, remaining),
            tf.maximum(h * factor, smallest),
            chosen(following, state),
            chosen(integrals, quadrature),
            chosen(stages[-1], slopes),
            alive,
        )

    slopes = function(start, state)
    h, alive = first_size(tf.nest.map_structure(tf.stop_gradient, slopes[0]))
    count, remaining, _, state, quadrature, _, alive = tf.while_loop(
        is_on_the_way,
        step,
        (tf.constant(0), length, tf.stop_gradient(h), state, quadrature, slopes, alive),
        maximum_iterations=max_num_steps,
    )
    return OdeResult(state, quadrature, alive & (remaining <= 0.0), count)
