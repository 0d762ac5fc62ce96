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
    velocity: Callable[..., Any],
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
      velocity: callable, `(t, (z,)) -> ((f,), ())`.
      slopes: callable, `(t, (z, a))`. It returns two tuples: the slopes of z and a, and those of
        `integrals`.
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

    def segment(
        function: Callable[..., Any], i: int | tf.Tensor, number: int | tf.Tensor
    ) -> Callable[..., Any]:
        """Returns `function` in segment i of `number` equal ones, with a time from 0 to 1."""
        length = (stop - start) / tf.cast(number, first.dtype)
        begin = start + tf.cast(i, first.dtype) * length

        def scaled(s: tf.Tensor, state: tuple[tf.Tensor, ...]) -> Any:
            return tf.nest.map_structure(lambda k: length * k, function(begin + s * length, state))

        return scaled

    def whole() -> tf.Tensor:
        return tf.concat([last[tf.newaxis]] + (_NUM_SEGMENTS - 1) * [rest], axis=0)

    def in_segments() -> tf.Tensor:
        def step(
            i: tf.Tensor, z: tf.Tensor, points: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            result = solve(segment(velocity, i, _NUM_SEGMENTS), (z,), 0.0, 1.0)
            return i + 1, result.state[0], tf.tensor_scatter_nd_update(points, [[i]], result.state)

        return _loop(_NUM_SEGMENTS, step, first, whole())[1]

    rest = tf.zeros_like(last)[tf.newaxis]

    def trial(is_first: tf.Tensor, _: WayBack) -> tuple[tf.Tensor, WayBack]:
        number = tf.where(is_first, 1, _NUM_SEGMENTS)
        points = tf.cond(is_first, whole, in_segments)  # z at the end of each segment

        def step(
            count: tf.Tensor, a: tf.Tensor, integrals: tuple[tf.Tensor, ...], succeeded: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...], tf.Tensor]:
            i = number - 1 - count
            state = (tf.gather(points, i), a)
            result = solve(segment(slopes, i, number), state, 1.0, 0.0, quadrature=integrals)
            begin = tf.where(i == 0, first, tf.gather(points, tf.maximum(i - 1, 0)))
            is_found = result.succeeded & _close(result.state[0], begin, tolerance)
            succeeded &= is_found | ~counts
            return count + 1, result.state[1], result.quadrature, succeeded

        every = tf.ones_like(counts)
        return tf.constant(False), WayBack(*_loop(number, step, cotangents, integrals, every))

    return tf.while_loop(
        lambda _, found: ~tf.reduce_all(found.succeeded),
        trial,
        (tf.constant(True), WayBack(cotangents, integrals, ~counts)),
        maximum_iterations=2,
    )[1]


def _loop(number: int | tf.Tensor, body: Callable[..., Any], *values: Any) -> Any:
    """Returns the values after `body(i, *values)` for each i below `number`."""
    return tf.while_loop(
        lambda i, *_: i < number,
        body,
        (tf.constant(0), *values),
        maximum_iterations=_NUM_SEGMENTS,
    )[1:]


def _close(found: tf.Tensor, given: tf.Tensor, tolerance: float) -> tf.Tensor:
    """Returns whether each row agrees within the tolerance, boolean `[N]`; a NaN never does."""
    is_close = tf.abs(found - given) <= tolerance * tf.maximum(tf.abs(given), 1.0)
    return tf.reduce_all(is_close, axis=-1)
