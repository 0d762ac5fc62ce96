"""The fixed point of a contraction, with derivatives by the implicit function theorem."""

from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math._linearized import Linearized
from tfp_flows.math._transposed_solution import transposed_solution


class FixedPointResult(NamedTuple):
    """What `fixed_point` returns.

    Attributes:
      point: float `Tensor` of the shape of `initial`; NaN in events that did not converge.
      converged: boolean `Tensor` of the batch shape.
      num_iterations: integer scalar, evaluations of the function in the iteration.
    """

    point: tf.Tensor
    converged: tf.Tensor
    num_iterations: tf.Tensor


def fixed_point(
    function: Callable[[tf.Tensor], tf.Tensor],
    initial: ArrayLike,
    *,
    tolerance: float | None = None,
    max_iterations: int = 1000,
    event_ndims: int = 1,
    name: str = "fixed_point",
) -> FixedPointResult:
    """z = g(z), by the iteration z <- g(z), for a contraction g of vectors.

    Converges for any start when the Lipschitz constant L of g is below 1; the error falls by L
    in each iteration. An event is found when

        max |g(z) - z| <= tolerance max(1, max |z|),

    which bounds the error by `tolerance max(1, max |z|) / (1 - L)`, and it is left alone from
    then on. Two examples: L = 0.5 takes about 50 iterations in float64, L = 0.9 about 300.

    Derivatives, with J = dg/dz at the point, of whatever g captures:

        dz = (I - J)^-1 dg,

    by the solution of `v = u + J^T v`, a fixed point again: the same number of iterations, each
    with a gradient of g; in forward mode by `w = dg + J w`. In graphs memory does not grow with the
    number of iterations. There is none with respect to `initial`, on which the point does not
    depend, and a derivative of the derivative raises `LookupError`.

    Compiles under XLA. For residual flows, x = y - g(x): Behrmann et al. (2019), Invertible
    residual networks, arXiv:1811.00995, algorithm 1.

    Args:
      function: callable, `z -> g(z)`, of one shape, that treats each event by itself.
      initial: float `Tensor` `[..., D]`, the start.
      tolerance: positive float; 32 machine epsilons of the dtype by default.
      max_iterations: Python `int`, the most evaluations of `function`; also for the derivatives.
      event_ndims: Python `int`, the number of trailing axes of one event.
      name: Python `str`.

    Returns:
      A `FixedPointResult`. An event that has not converged is NaN, with `converged` false; so
      is its gradient if `v` does not converge.

    Raises:
      TypeError: if `initial` is not floating point.
      ValueError: if `tolerance` or `max_iterations` is not positive, or `initial` has fewer than
        `event_ndims` axes.
    """
    with tf.name_scope(name):
        initial = tf.convert_to_tensor(initial, name="initial")
        dtype = initial.dtype
        if not dtype.is_floating:
            raise TypeError(f"`initial` must be floating point. Received: dtype={dtype.name}")
        if tolerance is None:
            tolerance = 32.0 * float(ml_dtypes.finfo(dtype.as_numpy_dtype).eps)
        if not tolerance > 0.0:
            raise ValueError(f"`tolerance` must be positive. Received: tolerance={tolerance}")
        if max_iterations < 1:
            raise ValueError(
                f"`max_iterations` must be at least 1. Received: max_iterations={max_iterations}"
            )
        if not 0 <= event_ndims <= initial.shape.rank:
            raise ValueError(
                f"`event_ndims` must be between 0 and {initial.shape.rank}, the rank of "
                f"`initial`. Received: event_ndims={event_ndims}"
            )
        options = (tolerance, max_iterations, event_ndims)
        z, found, num_iterations = _iterate(function, tf.stop_gradient(initial), *options)
        found_event = _over_event(found, event_ndims)
        # Far from a fixed point g may overflow, and its NaN would reach shared parameters.
        start = tf.where(tf.math.is_finite(initial), initial, tf.zeros_like(initial))
        z = tf.where(found_event, z, tf.stop_gradient(start))
        point = _with_implicit_gradient(function, z, *options)
        nan = tf.constant(np.nan, dtype)
        return FixedPointResult(tf.where(found_event, point, nan), found, num_iterations)


def _iterate(
    function: Callable[[tf.Tensor], tf.Tensor],
    initial: tf.Tensor,
    tolerance: float,
    max_iterations: int,
    event_ndims: int,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    axes = tuple(range(-event_ndims, 0))

    def largest(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.abs(x), axis=axes) if axes else tf.abs(x)

    def step(
        num_iterations: tf.Tensor, z: tf.Tensor, found: tf.Tensor, done: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        following = tf.ensure_shape(function(z), z.shape)
        # Asked for by itself: `reduce_max` may pass over a NaN.
        finite = tf.math.is_finite(following)
        finite = tf.reduce_all(finite, axis=axes) if axes else finite
        near = largest(following - z) <= tolerance * tf.maximum(largest(z), 1.0)
        near &= finite
        # What has left the finite numbers does not come back.
        done_now = done | near | ~finite
        z = tf.where(_over_event(done, event_ndims), z, following)
        return num_iterations + 1, z, found | (near & ~done), done_now

    nothing = tf.zeros_like(largest(initial), tf.bool)
    num_iterations, z, found, _ = tf.while_loop(
        lambda *state: ~tf.reduce_all(state[-1]),
        step,
        (tf.constant(0), initial, nothing, nothing),
        maximum_iterations=max_iterations,
    )
    return tf.stop_gradient(z), tf.stop_gradient(found), num_iterations


def _over_event(mask: tf.Tensor, event_ndims: int) -> tf.Tensor:
    return mask[(..., *[tf.newaxis] * event_ndims)]


def _with_implicit_gradient(
    function: Callable[[tf.Tensor], tf.Tensor],
    z: tf.Tensor,
    tolerance: float,
    max_iterations: int,
    event_ndims: int,
) -> tf.Tensor:
    """The fixed point z, with the derivative of z = g(z)."""
    axes = tuple(range(-event_ndims, 0))

    def solve(matvec: Callable[..., Any], u: tf.Tensor) -> tf.Tensor:
        scale = tf.reduce_max(tf.abs(u), axis=axes, keepdims=True) if axes else tf.abs(u)
        # The tolerance is absolute below one, but cotangents may be of any size.
        scale = tf.where(scale > 0.0, scale, tf.ones_like(scale))
        u /= scale
        v, found, _ = _iterate(lambda v: u + matvec(v), u, tolerance, max_iterations, event_ndims)
        nan = tf.constant(np.nan, z.dtype)
        return tf.where(_over_event(found, event_ndims), scale * v, nan)

    linearized = Linearized(function, z)

    @tf.custom_gradient
    def solved(g: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        def gradient(u: tf.Tensor) -> tf.Tensor:
            return transposed_solution(linearized, u, solve, solve, [g], "fixed_point")

        # Forward mode would pass over the gradient where the value has derivatives itself.
        return tf.stop_gradient(g), gradient

    return solved(linearized.value)
