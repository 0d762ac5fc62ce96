"""The adjoint equation, solved backward in time, in segments where one solution is not enough."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows.math.ode.runge_kutta import OdeResult

_NUM_SEGMENTS = 16


class WayBack(NamedTuple):
    """The result of `solve_back`.

    Attributes:
      cotangents: a(t_0) = dL/dz(t_0), `[N, D]`.
      integrals: tuple of tensors, dL/dw.
      succeeded: boolean `Tensor` `[N]`, whether the solution of each row is valid.
    """

    cotangents: tf.Tensor
    integrals: tuple
    succeeded: tf.Tensor


def solve_back(
    slopes: Callable[..., Any],
    ends: tuple[tf.Tensor, tf.Tensor],
    cotangents: tf.Tensor,
    integrals: tuple[tf.Tensor, ...],
    counts: tf.Tensor,
    time: tuple[float, float],
    solve: Callable[..., OdeResult],
    tolerance: float,
) -> WayBack:
    r"""$da/dt = -a^\top \partial f / \partial z$

    Solves the adjoint equation from t_1 back to t_0, along with dz/dt = f(t, z).

    Where a flow contracts, errors of z grow on the way back. If z(t_0) is not reached again within
    the tolerance, the equation is solved once more in segments: first z forward, and then back from
    the state at the end of each segment, so that errors have less time to grow. A row that misses
    z(t_0) in the segments as well has not succeeded.

    Args:
      slopes: callable, `(t, (z, a), weight)`. It returns two tuples: the slopes of z and a, and
        those of `integrals`. A weight of zero drops what these get besides a.
      ends: z(t_0) and z(t_1), float tensors `[N, D]`.
      cotangents: float `Tensor` `[N, D]`, a(t_1).
      integrals: tuple of float tensors, their values at t_1.
      counts: boolean `Tensor` `[N]`. Rows that do not count succeed whatever their result is.
      time: `(t_0, t_1)`, floats.
      solve: as in `adjoint`.
      tolerance: as in `adjoint`.

    Returns:
      A `WayBack`.
    """
    first, last = ends
    start, stop = (tf.constant(t, first.dtype) for t in time)
    end_of_passes = 1 + 2 * _NUM_SEGMENTS

    # Pass 0 goes back in one piece. If a row misses z(t_0), passes 1 to n follow the segments
    # forward, with a = 0, and the last n passes go back through them. All passes share one solver,
    # since that is what takes XLA long to compile.
    def one_pass(
        number: tf.Tensor, borders: tf.Tensor, found: WayBack
    ) -> tuple[tf.Tensor, tf.Tensor, WayBack]:
        is_whole, is_forward = number == 0, (number > 0) & (number <= _NUM_SEGMENTS)
        i = tf.where(is_forward, number - 1, 2 * _NUM_SEGMENTS - number)
        i = tf.where(is_whole, _NUM_SEGMENTS - 1, i)
        early, late = tf.gather(borders, i), tf.gather(borders, i + 1)
        length = (stop - start) / tf.cast(tf.where(is_whole, 1, _NUM_SEGMENTS), start.dtype)
        early_time = tf.where(is_whole, start, start + tf.cast(i, start.dtype) * length)
        origin = tf.where(is_forward, early_time, early_time + length)
        duration = tf.where(is_forward, length, -length)
        weight = tf.where(is_forward, tf.zeros_like(start), tf.ones_like(start))

        def scaled(s: tf.Tensor, state: tuple[tf.Tensor, ...]) -> Any:
            there = slopes(origin + (1.0 - s) * duration, state, weight)
            return tf.nest.map_structure(lambda slope: -duration * slope, there)

        state = (tf.where(is_forward, early, late), weight * found.cotangents)
        result = solve(scaled, state, 1.0, 0.0, quadrature=found.integrals)
        z, a = result.state
        is_found = result.succeeded & _close(z, tf.where(is_whole, first, early), tolerance)
        succeeded = found.succeeded & (is_found | ~counts)
        is_done = is_whole & tf.reduce_all(succeeded)
        as_before = is_forward | (is_whole & ~is_done)
        found = tf.nest.map_structure(
            lambda old, new: tf.where(as_before, old, new),
            found,
            WayBack(a, result.quadrature, succeeded),
        )
        late = tf.where(is_forward, z, late)
        borders = tf.tensor_scatter_nd_update(borders, [[i + 1]], late[tf.newaxis])
        return tf.where(is_done, end_of_passes, number + 1), borders, found

    # z at the borders of the segments. Those in between are found by the forward passes.
    borders = tf.stack([*(_NUM_SEGMENTS * [first]), last])
    return tf.while_loop(
        lambda number, *_: number < end_of_passes,
        one_pass,
        (
            tf.where(tf.reduce_any(counts), 0, end_of_passes),
            borders,
            WayBack(cotangents, integrals, tf.ones_like(counts)),
        ),
        maximum_iterations=end_of_passes,
    )[2]


def _close(found: tf.Tensor, given: tf.Tensor, tolerance: float) -> tf.Tensor:
    """Returns whether each row agrees within the tolerance, boolean `[N]`; a NaN never does."""
    is_close = tf.abs(found - given) <= tolerance * tf.maximum(tf.abs(given), 1.0)
    return tf.reduce_all(is_close, axis=-1)
