"""Ordinary differential equations by Dormand and Prince's method, with steps of adaptive size."""

import tensorflow as tf

from tfp_flows.math.ode._step_size import StepSize, largest
from tfp_flows.math.ode.runge_kutta import (
    DORMAND_PRINCE,
    OdeResult,
    runge_kutta_step,
    weighted_sum,
)


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
    size = StepSize(rtol, atol, start, stop, dtype)
    direction = 1.0 if stop > start else -1.0
    start, stop = tf.constant(start, dtype), tf.constant(stop, dtype)

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
        per_row = tf.stop_gradient(size.ratios(errors, state, following))
        # A row that fails with the smallest step is given up.
        alive &= (per_row <= 1.0) | (h > size.smallest)
        worst = largest(per_row, alive)
        accepted = worst <= 1.0

        def chosen(new, old):
            return tf.nest.map_structure(lambda a, b: tf.where(accepted, a, b), new, old)

        left = tf.where(is_last, tf.zeros_like(remaining), remaining - h)
        return (
            count + 1,
            tf.where(accepted, left, remaining),
            size.following(h, worst),
            chosen(following, state),
            chosen(integrals, quadrature),
            chosen(stages[-1], slopes),
            alive,
        )

    slopes = function(start, state)
    h, alive = size.first(function, state, tf.nest.map_structure(tf.stop_gradient, slopes[0]))
    count, remaining, _, state, quadrature, _, alive = tf.while_loop(
        is_on_the_way,
        step,
        (tf.constant(0), size.length, tf.stop_gradient(h), state, quadrature, slopes, alive),
        maximum_iterations=max_num_steps,
    )
    return OdeResult(state, quadrature, alive & (remaining <= 0.0), count)
