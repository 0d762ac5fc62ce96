"""Explicit Runge-Kutta methods: their coefficients, a single step, and equal steps."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf


class Tableau(NamedTuple):
    r"""An explicit Runge-Kutta method, given by its Butcher tableau.

    Attributes:
      nodes: $c_i$, the places within a step where the slopes are taken.
      matrix: rows $a_{ij}$, the weights of earlier slopes in stage i.
      weights: $b_i$, the weights of the slopes in the step.
      error_weights: $b_i - \hat b_i$, the difference to the weights of an embedded method of
        another order, or `None`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> heun = tfpf.math.Tableau(nodes=(0.0, 1.0), matrix=((), (1.0,)), weights=(0.5, 0.5))
      >>> result = tfpf.math.fixed_steps(
      ...     lambda t, state: ((state[0],), ()), (tf.constant([[1.0]]),), start=0.0, stop=1.0,
      ...     num_steps=1, tableau=heun)
      >>> result.state[0].numpy()  # 1 + 1 + 1/2, close to exp(1)
      array([[2.5]], dtype=float32)

    See also: `tfpf.math.EULER`, `tfpf.math.RK4`, `tfpf.math.DORMAND_PRINCE`.
    """

    nodes: tuple
    matrix: tuple
    weights: tuple
    error_weights: tuple | None = None


EULER = Tableau(nodes=(0.0,), matrix=((),), weights=(1.0,))

# Kutta (1901), the classic Runge-Kutta method, of order 4.
RK4 = Tableau(
    nodes=(0.0, 1 / 2, 1 / 2, 1.0),
    matrix=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)

# Dormand and Prince (1980), A family of embedded Runge-Kutta formulae, RK5(4)7M. The last slope
# of a step is the first slope of the next one.
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
    """The result of a solver of ordinary differential equations.

    Attributes:
      state: the state at `stop`, a tuple of tensors shaped as the initial ones.
      quadrature: the integrals at `stop`, a tuple of tensors shaped as those at the start.
      succeeded: boolean `Tensor` `[N]`, whether each row was solved.
      num_steps: integer scalar, the number of steps that were tried.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> result = tfpf.math.fixed_steps(  # dz/dt = 2, and the integral of z
      ...     lambda t, state: ((tf.fill([1, 1], 2.0),), (state[0],)), (tf.zeros([1, 1]),),
      ...     start=0.0, stop=3.0, num_steps=4, quadrature=(tf.zeros([1, 1]),))
      >>> result.state[0].numpy(), result.quadrature[0].numpy()
      (array([[6.]], dtype=float32), array([[9.]], dtype=float32))
      >>> result.succeeded.numpy(), int(result.num_steps)
      (array([ True]), 4)

    See also: `tfpf.math.dormand_prince`, `tfpf.math.fixed_steps`.
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
    r"""$z + dt \sum_i b_i k_i$, $k_i = f(t + c_i dt, z + dt \sum_j a_{ij} k_j)$

    Takes one step of a Runge-Kutta method.

    Args:
      function: callable, `f(t, state)`. It returns two tuples of tensors: the slopes of the state,
        and those of the quadrature, a part of the solution that f does not depend on.
      t: float scalar `Tensor`.
      state: tuple of float tensors.
      quadrature: tuple of float tensors.
      dt: float scalar `Tensor`, positive or negative.
      tableau: `Tableau`.
      first_slope: f(t, state), or `None` if it is not known.

    Returns:
      The state and the quadrature after the step, and the slopes of all stages, a list of pairs
      `(of the state, of the quadrature)`.
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
    """Returns `start + dt sum_i weights_i slopes_i` of each part, leaving out weights of zero."""
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
    """$dz/dt = f(t, z)$

    Solves an ordinary differential equation by n equal steps of a Runge-Kutta method.

    The error is proportional to $dt^p$ for steps of size $dt = (t_1 - t_0) / n$, where p is 1 for
    `tfpf.math.EULER`, 4 for `tfpf.math.RK4` and 5 for `tfpf.math.DORMAND_PRINCE`. Gradients are
    exactly those of the steps, and their memory grows with n. Compiles under XLA.

    Args:
      function: callable, `f(t, state)`, where t is a scalar. It returns two tuples of tensors: the
        slopes of the state, and those of the quadrature.
      state: tuple of float tensors, each with N rows.
      start: float, $t_0$.
      stop: float, $t_1$, on either side of $t_0$.
      num_steps: Python `int` n.
      tableau: `Tableau`.
      quadrature: tuple of float tensors of any shapes, the integrals at the start.

    Returns:
      A `tfpf.math.OdeResult`. A row that is no longer finite has not succeeded.

    Raises:
      ValueError: if `num_steps` is below 1.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> result = tfpf.math.fixed_steps(
      ...     lambda t, state: ((-state[0],), ()), (tf.constant([[1.0]]),), start=0.0, stop=1.0,
      ...     num_steps=4)
      >>> result.state[0].numpy()  # exp(-1)
      array([[0.368]], dtype=float32)

    See also: `tfpf.math.dormand_prince`, `tfpf.math.adjoint`.
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

    # Without a static bound XLA could not compile the gradient.
    _, state, quadrature = tf.while_loop(
        lambda i, *_: i < num_steps,
        step,
        (tf.constant(0), tuple(state), tuple(quadrature)),
        maximum_iterations=num_steps,
    )
    return OdeResult(state, quadrature, finite_rows(state), tf.constant(num_steps))


def finite_rows(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns whether each row is finite in all parts, boolean `[N]`."""
    return tf.reduce_all(
        tf.stack([tf.reduce_all(tf.math.is_finite(_rows(p)), axis=1) for p in parts]), axis=0
    )


def _rows(part: tf.Tensor) -> tf.Tensor:
    return part if part.shape.rank == 2 else tf.reshape(part, [tf.shape(part)[0], -1])
