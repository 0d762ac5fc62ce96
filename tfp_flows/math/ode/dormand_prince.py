"""Ordinary differential equations by the method of Dormand and Prince, with adaptive steps."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows.math.ode._step_size import StepSize, largest
from tfp_flows.math.ode.runge_kutta import (
    DORMAND_PRINCE,
    OdeResult,
    runge_kutta_step,
    weighted_sum,
)


def dormand_prince(
    function: Callable[
        [tf.Tensor, tuple[tf.Tensor, ...]], tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]
    ],
    state: Sequence[tf.Tensor],
    start: float,
    stop: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_num_steps: int = 1000,
    quadrature: Sequence[tf.Tensor] = (),
    quadrature_steers: bool = True,
) -> OdeResult:
    r"""$dz/dt = f(t, z)$

    Solves an ordinary differential equation by adaptive steps of order 5.

    An embedded method of order 4 estimates the error e. All N rows share their steps. A step is
    accepted when, in every element of every row,

        $|e| \le \text{atol} + \text{rtol} \, \max(|z_{\text{before}}|, |z_{\text{after}}|)$,

    so the bound for a row does not depend on the number of rows. A row is given up if it is not
    finite, or if it fails with the smallest step that the dtype resolves. It then holds no other
    row back. A row that alone would take more than `max_num_steps` is given up as well: when the
    steps are used up, the other rows start again without it, with as many steps.

    Quadratures are sums over rows, and by default their errors count, too: the largest error of
    each tensor must be within `N atol + rtol max |q|`. This matters for the gradients of the
    parameters of a field that is zero, where the state alone needs no small steps. Without it the
    solver saves steps (Kidger, Chen and Lyons, 2021, "Hey, that's not an ODE", arXiv:2009.09457).

    Both tolerances are raised to at least ten machine epsilons of the dtype. The solver compiles
    under XLA, where its gradient takes memory for twice `max_num_steps` steps.

    Source: Dormand and Prince (1980), A family of embedded Runge-Kutta formulae; step sizes:
    Hairer, Norsett and Wanner (1993), Solving ordinary differential equations I, section II.4.

    Args:
      function: callable, `f(t, state)`, where t is a scalar. It returns two tuples of tensors: the
        slopes of the state, and those of the quadrature.
      state: tuple of float tensors `[N, ...]`.
      start: float, $t_0$.
      stop: float, $t_1$, on either side of $t_0$.
      rtol: non-negative float, relative tolerance.
      atol: positive float, absolute tolerance.
      max_num_steps: Python `int`, the largest number of steps that are tried.
      quadrature: tuple of float tensors of any shapes, the integrals at the start.
      quadrature_steers: Python `bool`. If true, errors of quadratures affect the size of steps.

    Returns:
      A `tfpf.math.OdeResult`. No row has succeeded if the steps were used up before $t_1$, twice.

    Raises:
      ValueError: if a tolerance or `max_num_steps` is out of its range.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> result = tfpf.math.dormand_prince(
      ...     lambda t, state: ((-state[0],), ()), (tf.constant([[1.0]]),), start=0.0, stop=1.0,
      ...     rtol=1e-3, atol=1e-3)
      >>> result.state[0].numpy(), result.succeeded.numpy()  # exp(-1)
      (array([[0.37]], dtype=float32), array([ True]))

    See also: `tfpf.math.fixed_steps`, `tfpf.math.adjoint`.
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
    slopes = function(start, state)
    frozen = tf.nest.map_structure(tf.stop_gradient, slopes[0])
    h, alive = size.first(function, state, frozen, tf.ones(tf.shape(state[0])[:1], tf.bool))
    initial = _Solution(
        size.length, tf.stop_gradient(h), state, quadrature, slopes, tf.zeros_like(alive, dtype)
    )

    def is_on_the_way(
        count: tf.Tensor, is_second: tf.Tensor, solution: _Solution, alive: tf.Tensor
    ) -> tf.Tensor:
        is_left = count < tf.where(is_second, 2 * max_num_steps, max_num_steps)
        return is_left & (solution.remaining > 0.0) & tf.reduce_any(alive)

    def step(
        count: tf.Tensor, is_second: tf.Tensor, solution: _Solution, alive: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, _Solution, tf.Tensor]:
        remaining, h, state, quadrature, slopes, num_alone = solution
        is_last = h >= remaining
        h = tf.minimum(h, remaining)
        # Gradients are those of the steps taken. Their sizes are not differentiated.
        dt = tf.stop_gradient(direction * h)
        following, integrals, stages = runge_kutta_step(
            function, stop - direction * remaining, state, quadrature, dt, DORMAND_PRINCE, slopes
        )
        weights = DORMAND_PRINCE.error_weights or ()
        errors, of_integrals = (
            weighted_sum([tf.zeros_like(t) for t in part], dt, weights, of)
            for part, of in zip((state, quadrature), zip(*stages, strict=True), strict=True)
        )
        per_row = tf.stop_gradient(size.ratios(errors, state, following))
        # A row that fails with the smallest step is given up.
        alive &= (per_row <= 1.0) | (h > size.smallest)
        worst = largest(per_row, alive)
        if quadrature_steers:
            num_rows = tf.cast(tf.shape(per_row)[0], dtype)
            of_all = size.of_quadratures(of_integrals, quadrature, integrals, num_rows)
            worst = tf.maximum(worst, tf.where(h > size.smallest, tf.stop_gradient(of_all), 0.0))
        accepted = worst <= 1.0

        def chosen(new: Any, old: Any) -> Any:
            return tf.nest.map_structure(lambda a, b: tf.where(accepted, a, b), new, old)

        left = tf.where(is_last, tf.zeros_like(remaining), remaining - h)
        following_solution = _Solution(
            chosen(left, remaining),
            size.following(h, worst),
            chosen(following, state),
            chosen(integrals, quadrature),
            chosen(stages[-1], slopes),
            chosen(num_alone + size.alone(per_row), num_alone),
        )

        def out_of_steps() -> tuple[tf.Tensor, _Solution, tf.Tensor]:
            # Small steps have errors of rounding only, which are no reason to give a row up.
            moves = [dt * slope for slope in slopes[0]]
            alone = size.alone(tf.nn.relu(per_row - size.roundings(moves, state, following)))
            needed = following_solution.num_alone + alone * following_solution.remaining / h
            slow = (needed >= max_num_steps) | (needed >= largest(needed, alive))
            return second_start(alive & ~slow)

        is_out = (count + 1 >= max_num_steps) & ~is_second & (following_solution.remaining > 0.0)
        again, solution, alive = tf.cond(
            is_out, out_of_steps, lambda: (is_second, following_solution, alive)
        )
        return count + 1, again, solution, alive

    def second_start(alive: tf.Tensor) -> tuple[tf.Tensor, _Solution, tf.Tensor]:
        """Starts again, as if these rows had been alone from the start."""

        # Rows that are given up become zero, so that they do not overflow and have no gradient.
        def kept(part: tf.Tensor) -> tf.Tensor:
            mask = tf.reshape(alive, tf.concat([tf.shape(alive), [1] * (part.shape.rank - 1)], 0))
            return tf.where(mask, part, tf.zeros_like(part))

        start_state = tuple(kept(part) for part in state)
        slopes = function(start, start_state)
        frozen = tf.nest.map_structure(tf.stop_gradient, slopes[0])
        h, _ = size.first(function, start_state, frozen, alive)
        solution = initial._replace(h=tf.stop_gradient(h), state=start_state, slopes=slopes)
        return tf.constant(True), solution, alive

    count, _, solution, alive = tf.while_loop(
        is_on_the_way,
        step,
        (tf.constant(0), tf.constant(False), initial, alive),
        maximum_iterations=2 * max_num_steps,
    )
    succeeded = alive & (solution.remaining <= 0.0)
    return OdeResult(solution.state, solution.quadrature, succeeded, count)


class _Solution(NamedTuple):
    """The solution up to some time.

    Attributes:
      remaining: the time that is left, a scalar.
      h: the size of the next step, a scalar.
      state: tuple of tensors.
      quadrature: tuple of tensors.
      slopes: those of the state and the quadrature at this time.
      num_alone: the number of steps that each row alone would have taken so far, `[N]`.
    """

    remaining: tf.Tensor
    h: tf.Tensor
    state: tuple
    quadrature: tuple
    slopes: tuple
    num_alone: tf.Tensor
