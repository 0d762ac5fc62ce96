"""The adjoint equation, solved back from the end, and from states on the way where that is lost."""

from typing import NamedTuple

import tensorflow as tf

_NUM_SEGMENTS = 16


class WayBack(NamedTuple):
    """What is solved back in time.

    Attributes:
      cotangents: a(t_0) = dL/dz(t_0), `[N, D]`.
      integrals: tuple of tensors, dL/dw.
      succeeded: boolean `Tensor` `[N]`, for each row.
    """

    cotangents: tf.Tensor
    integrals: tuple
    succeeded: tf.Tensor


def solve_back(velocity, slopes, ends, cotangents, integrals, counts, time, solve, tolerance):
    """a(t_0) of da/dt = -a^T df/dz, along with z of dz/dt = f(t, z), from t_1 back to t_0.

    Where a flow contracts, errors of z grow on the way back. Where what is found at t_0 is not
    what z(t_0) was, all is solved again by segments: z forward once more, and back from the
    state at the end of each, where errors have less time to grow. A row that is not found back
    then, either, has not succeeded.

    Args:
      velocity: callable, `(t, (z,))`, gives `(f,), ()`.
      slopes: callable, `(t, (z, a))`, gives two tuples, of z and a, and of `integrals`.
      ends: z(t_0) and z(t_1), float tensors `[N, D]`.
      cotangents: float `Tensor` `[N, D]`, a(t_1).
      integrals: tuple of float tensors, at t_1.
      counts: boolean `Tensor` `[N]`; the other rows succeed, whatever comes out.
      time: `(t_0, t_1)`, floats.
      solve: as in `adjoint`.
      tolerance: as in `adjoint`.

    Returns:
      A `WayBack`.
    """
    first, last = ends
    start, stop = (tf.constant(t, first.dtype) for t in time)

    def segment(function, i, number):
        """`function` in segment i of a number of equal ones, whose time goes from 0 to 1."""
        length = (stop - start) / tf.cast(number, first.dtype)
        begin = start + tf.cast(i, first.dtype) * length

        def scaled(s, state):
            return tf.nest.map_structure(lambda k: length * k, function(begin + s * length, state))

        return scaled

    def whole():
        return tf.concat([last[tf.newaxis]] + (_NUM_SEGMENTS - 1) * [rest], axis=0)

    def in_segments():
        def step(i, z, points):
            result = solve(segment(velocity, i, _NUM_SEGMENTS), (z,), 0.0, 1.0)
            return i + 1, result.state[0], tf.tensor_scatter_nd_update(points, [[i]], result.state)

        return _loop(_NUM_SEGMENTS, step, first, whole())[1]

    rest = tf.zeros_like(last)[tf.newaxis]

    def trial(is_first, _):
        number = tf.where(is_first, 1, _NUM_SEGMENTS)
        points = tf.cond(is_first, whole, in_segments)  # z at the end of each segment

        def step(count, a, integrals, succeeded):
            i = number - 1 - count
            state = (points[i], a)
            result = solve(segment(slopes, i, number), state, 1.0, 0.0, quadrature=integrals)
            begin = tf.where(i == 0, first, points[tf.maximum(i - 1, 0)])
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


def _loop(number, body, *values):
    """The values after `body(i, *values)` for each i below `number`."""
    return tf.while_loop(
        lambda i, *_: i < number,
        body,
        (tf.constant(0), *values),
        maximum_iterations=_NUM_SEGMENTS,
    )[1:]


def _close(found, given, tolerance):
    """Whether each row is what it was: boolean `[N]`. Not where it is NaN."""
    is_close = tf.abs(found - given) <= tolerance * tf.maximum(tf.abs(given), 1.0)
    return tf.reduce_all(is_close, axis=-1)
