"""Explicit Runge-Kutta methods: their tables, one step, and a number of equal steps."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf


class Tableau(NamedTuple):
    """A method, by its Butcher tableau.

    Attributes:
      nodes: c_i, where in the step the slopes are taken.
      matrix: rows a_ij, the weights of earlier slopes in stage i.
      weights: b_i, of the slopes in the step.
      error_weights: b_i - b^_i, the difference to a method of lower order; `None` without one.
    """

    nodes: tuple
    matrix: tuple
    weights: tuple
    error_weights: tuple | None = None


EULER = Tableau(nodes=(0.0,), matrix=((),), weights=(1.0,))

# Kutta (1901), "the" Runge-Kutta method, of order 4.
RK4 = Tableau(
    nodes=(0.0, 1 / 2, 1 / 2, 1.0),
    matrix=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)

# Dormand and Prince (1980), A family of embedded Runge-Kutta formulae, RK5(4)7M. The last slope
# of a step is the first of the next.
DORMAND_PRINCE = Tableau(
    nodes=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    matrix=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    weights=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    error_weights=(
        71 / 57600,
        0.0,
        -71 / 16695,
        71 / 1920,
        -17253 / 339200,
        22 / 525,
        -1 / 40,
    ),
)


class OdeResult(NamedTuple):
    """What the solvers return.

    Attributes:
      state: the state at `stop`, as the initial one.
      quadrature: the integrals, as those at the start.
      succeeded: boolean `Tensor` `[N]`, for each row.
      num_steps: integer scalar, of all steps that were tried.
    """

    state: tuple
    quadrature: tuple
    succeeded: tf.Tensor
    num_steps: tf.Tensor


def runge_kutta_step(
    function: Callable[
        [tf.Tensor, tuple[tf.Tensor, ...]], tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]
    ],
    t: tf.Tensor,
    state: Sequence[tf.Tensor],
    quadrature: Sequence[tf.Tensor],
    dt: tf.Tensor,
    tableau: Tableau,
    first_slope: tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]] | None = None,
) -> tuple[
    tuple[tf.Tensor, ...],
    tuple[tf.Tensor, ...],
    list[tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]],
]:
    """z + dt sum_i b_i k_i,  k_i = f(t + c_i dt, z + dt sum_j a_ij k_j).

    Args:
      function: callable, `f(t, state)`, gives the slopes of the state and of the quadrature, two
        tuples of tensors. A quadrature is a part of the solution on which f does not depend.
      t: float scalar `Tensor`.
      state: tuple of float tensors.
      quadrature: tuple of float tensors.
      dt: float scalar `Tensor`, on either side of zero.
      tableau: `Tableau`.
      first_slope: f(t, state), if it is known.

    Returns:
      The state and the quadrature after the step, and the slopes `[(of state, of quadrature)]`.
    """
    slopes: list[tuple] = []
    for node, row in zip(tableau.nodes, tableau.matrix, strict=True):
        if slopes or first_slope is None:
            stage = weighted_sum(state, dt, row, [of_state for of_state, _ in slopes])
            slopes.append(function(t + node * dt, stage))
        else:
            slopes.append(first_slope)
    state = weighted_sum(state, dt, tableau.weights, [of_state for of_state, _ in slopes])
    quadrature = weighted_sum(quadrature, dt, tableau.weights, [of_rest for _, of_rest in slopes])
    return state, quadrature, slopes


def weighted_sum(
    start: Sequence[tf.Tensor],
    dt: tf.Tensor,
    weights: Sequence[float],
    slopes: Sequence[Sequence[tf.Tensor]],
) -> tuple[tf.Tensor, ...]:
    """Returns `start + dt sum_i weights_i slopes_i` of each part; nothing is added for zeros."""
    terms = [(w, slope) for w, slope in zip(weights, slopes, strict=True) if w != 0.0]
    result = []
    for i, part in enumerate(start):
        if terms:
            part = part + dt * tf.add_n([w * slope[i] for w, slope in terms])
        result.append(part)
    return tuple(result)


def fixed_steps(
    function: Callable[
        [tf.Tensor, tuple[tf.Tensor, ...]], tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]
    ],
    state: Sequence[tf.Tensor],
    start: float,
    stop: float,
    *,
    num_steps: int,
    tableau: Tableau = RK4,
    quadrature: Sequence[tf.Tensor] = (),
) -> OdeResult:
    """Solves dz/dt = f(t, z) by equal steps, dt = (t_1 - t_0) / n.

    The error falls as dt^p, p = 1 for `EULER`, 4 for `RK4`, 5 for `DORMAND_PRINCE`. Gradients are
    those of the steps themselves, exactly; their memory grows with n. Compiles under XLA.

    Args:
      function: callable, as in `runge_kutta_step`.
      state: tuple of float tensors, each with N rows.
      start: float, t_0.
      stop: float, t_1, on either side of t_0.
      num_steps: Python `int` n.
      tableau: `Tableau`.
      quadrature: tuple of float tensors of any shapes, integrals at the start.

    Returns:
      An `OdeResult`. A row that is no longer finite has not succeeded.

    Raises:
      ValueError: if `num_steps` is below 1.
    """
    if num_steps < 1:
        raise ValueError(f"`num_steps` must be at least 1. Received: num_steps={num_steps}")
    dtype = state[0].dtype
    start, stop = tf.cast(start, dtype), tf.cast(stop, dtype)
    dt = (stop - start) / num_steps

    def step(
        i: tf.Tensor, state: tuple[tf.Tensor, ...], quadrature: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
        t = start + tf.cast(i, dtype) * dt
        state, quadrature, _ = runge_kutta_step(function, t, state, quadrature, dt, tableau)
        return i + 1, state, quadrature

    # A static bound, or XLA could not compile the gradient.
    _, state, quadrature = tf.while_loop(
        lambda i, *_: i < num_steps,
        step,
        (tf.constant(0), tuple(state), tuple(quadrature)),
        maximum_iterations=num_steps,
    )
    return OdeResult(state, quadrature, finite_rows(state), tf.constant(num_steps))


def finite_rows(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Whether each row is finite in all parts: boolean `[N]`."""
    return tf.reduce_all(
        tf.stack([tf.reduce_all(tf.math.is_finite(_rows(p)), axis=1) for p in parts]), axis=0
    )


def _rows(part: tf.Tensor) -> tf.Tensor:
    return part if part.shape.rank == 2 else tf.reshape(part, [tf.shape(part)[0], -1])
