"""Triangular equations by Jacobi's iteration: all coordinates at once, until nothing changes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math._first_derivatives_only import first_derivatives_only
from tfp_flows.math._linearized import Linearized
from tfp_flows.math._transposed_solution import transposed_solution


class JacobiResult(NamedTuple):
    """What `jacobi` returns.

    Attributes:
      point: float `Tensor` of the shape of `initial`.
      extra: what `function` gives there beside its value.
      num_steps: integer scalar, evaluations of the function until nothing changed.
    """

    point: tf.Tensor
    extra: tf.Tensor
    num_steps: tf.Tensor


def jacobi(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    initial: ArrayLike,
    position: Sequence[int] | np.ndarray,
    *,
    tolerance: float | None = None,
    name: str = "jacobi",
) -> JacobiResult:
    """y_i = g_i(y_j for all j that come before i), i = 1 .. D, by the iteration y <- g(y).

    The k-th coordinate is exact after k steps, whatever the start, so that D steps are always
    enough, and what is exact stands still from then on. Most equations are solved sooner: the
    iteration ends when no coordinate of any row changes by more than

        tolerance max(1, |y_i|),

    which leaves an error as that of rounding y would. Where rounding moves more digits than that,
    it goes on, to D steps at most; there is no failure to converge.

    Derivatives, with J = dg/dy at the solution, of whatever g and the extra output capture,

        dy = (I - J)^-1 dg,

    by `v = u + J^T v`, solved in the same way in at most D steps, in forward mode by
    `w = dg + J w`. Graphs keep one evaluation of g for them, eager tapes one for each step. There
    is none with respect to `initial`, and a derivative of the derivative raises `LookupError`.

    Guesses beyond the square root of the largest number are shown to g as zeros, and are no
    solution until their turn has come: if g overflowed, 0 * inf in a network that masks what comes
    later would make NaN of what comes before. So are coordinates that are infinite in the end.

    Source: Song, Meng, Liao and Ermon (2021), Accelerating feedforward computation via parallel
    nonlinear equation solving, arXiv:2002.03629.

    Args:
      function: callable, `y -> (g, extra)`, of the shapes `[..., D]` and any other, that treats
        each row by itself.
      initial: float `Tensor` `[..., D]`, the start.
      position: permutation of `range(D)`, the place of each coordinate.
      tolerance: positive float; 4 machine epsilons of the dtype by default.
      name: Python `str`.

    Returns:
      A `JacobiResult`.

    Raises:
      TypeError: if `initial` is not floating point.
      ValueError: if `tolerance` is not positive, or `position` no permutation of `range(D)`.
    """
    with tf.name_scope(name):
        initial = tf.stop_gradient(tf.convert_to_tensor(initial, name="initial"))
        dtype = initial.dtype
        if not dtype.is_floating:
            raise TypeError(f"`initial` must be floating point. Received: dtype={dtype.name}")
        if tolerance is None:
            tolerance = 4.0 * float(ml_dtypes.finfo(dtype.as_numpy_dtype).eps)
        if not tolerance > 0.0:
            raise ValueError(f"`tolerance` must be positive. Received: tolerance={tolerance}")
        size = initial.shape[-1]
        if sorted(position) != list(range(size or 0)):
            raise ValueError(
                f"`position` must be a permutation of range({size}), the last axis of `initial`. "
                f"Received: position={tuple(position)}"
            )
        position = tuple(position)  # graphs take no `range` for a tensor

        y, num_steps = _iterate(
            lambda y: tf.ensure_shape(function(y)[0], y.shape),
            initial,
            tf.constant(position, tf.int32),
            lambda size: tolerance * tf.maximum(size, 1.0),
        )
        y = tf.where(tf.math.is_finite(y), y, tf.zeros_like(y))
        point, extra = _with_implicit_gradient(function, y, position, tolerance)
        return JacobiResult(point, extra, num_steps)


def _iterate(
    function: Callable[..., Any],
    initial: tf.Tensor,
    place: tf.Tensor,
    margin: Callable[[tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """y <- function(y), where a coordinate depends only on those with places before its own.

    `margin` says, for coordinates of some size, which changes are none.
    """
    largest = initial.dtype.max
    guess_limit = tf.constant(float(largest) ** 0.5, initial.dtype)

    def step(
        k: tf.Tensor, y: tf.Tensor, is_done: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # Those before have had all that they depend on: their last change was their last.
        is_exact = place < k
        is_seen = tf.abs(y) <= tf.where(is_exact, tf.constant(largest, y.dtype), guess_limit)
        following = tf.where(is_exact, y, function(tf.where(is_seen, y, tf.zeros_like(y))))
        size = tf.minimum(tf.abs(following), tf.abs(y))
        same = is_exact | is_seen & (tf.abs(following - y) <= margin(size))
        return k + 1, following, tf.reduce_all(same)

    num_steps, y, _ = tf.while_loop(
        lambda k, y, is_done: ~is_done,
        step,
        (tf.constant(0), initial, tf.constant(False)),
        maximum_iterations=initial.shape[-1],
    )
    return tf.stop_gradient(y), num_steps


def _with_implicit_gradient(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    y: tf.Tensor,
    position: Sequence[int] | np.ndarray,
    tolerance: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """g and the extra output at the solution y, with the derivatives of y = g(y)."""

    def solver(place: Sequence[int] | np.ndarray) -> Callable[..., Any]:
        def solve(matvec: Callable[..., Any], u: tf.Tensor) -> tf.Tensor:
            margin = tolerance * tf.reduce_max(tf.abs(u), axis=-1, keepdims=True)
            return _iterate(
                lambda v: u + matvec(v),
                u,
                tf.constant(place, tf.int32),
                lambda size: tf.maximum(tolerance * size, margin),
            )[0]

        return solve

    last = y.shape[-1] - 1
    solves = solver([last - k for k in position]), solver(position)

    linearized = Linearized(function, y)

    @tf.custom_gradient
    def solved(g: tf.Tensor, extra: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        def gradient(of_point: tf.Tensor, of_extra: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            u = of_point + linearized.transposed(of_extra, linearized.value[1])
            v = transposed_solution(linearized, u, *solves, [g], "jacobi")
            # The extra output has been differentiated with y standing still, too.
            return v, first_derivatives_only(of_extra, [g], "jacobi")

        # Forward mode would pass over the gradient where the values have derivatives themselves.
        return (tf.stop_gradient(g), tf.stop_gradient(extra)), gradient

    return solved(*linearized.value)
