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
    """The result of `tfpf.math.fixed_point`.

    Attributes:
      point: float `Tensor` of the shape of `initial`. Events that did not converge are NaN.
      converged: boolean `Tensor` of the batch shape.
      num_iterations: integer scalar, the number of evaluations of the function.

    Example:
      >>> import tfp_flows as tfpf
      >>> result = tfpf.math.fixed_point(  # the second event needs more iterations
      ...     lambda z: 0.5 * z, [[0.0], [1.0]], max_iterations=3)
      >>> result.converged.numpy(), int(result.num_iterations)
      (array([ True, False]), 3)
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
    r"""$z = g(z)$

    Finds the fixed point of a contraction g of vectors, by the iteration $z \leftarrow g(z)$.

    If the Lipschitz constant L of g is below 1, the iteration converges from any start, and each
    iteration multiplies the error by at most L. An event is found when

        $\max |g(z) - z| \le \text{tolerance} \, \max(1, \max |z|)$,

    and is not changed any more. The error is then at most
    $\text{tolerance} \, \max(1, \max |z|) / (1 - L)$. For example, L = 0.5 takes about 50
    iterations in float64, and L = 0.9 about 300.

    Derivatives with respect to all that g captures are

        $dz = (I - J)^{-1} dg$,

    with J = dg/dz at the fixed point. Reverse mode solves $v = u + J^\top v$, another fixed point,
    by the same number of iterations, each with a gradient of g. Forward mode solves
    $w = dg + J w$. In graphs memory does not grow with the number of iterations. There is no
    gradient with respect to `initial`, since the fixed point does not depend on it. Second
    derivatives raise `LookupError`.

    Compiles under XLA.

    Source: for residual flows, x = y - g(x), Behrmann et al. (2019), Invertible residual networks,
    arXiv:1811.00995, algorithm 1.

    Args:
      function: callable, `z -> g(z)`, of the same shape. It treats each event by itself.
      initial: float `Tensor` `[..., D]`, the start.
      tolerance: positive float. By default 32 machine epsilons of the dtype.
      max_iterations: Python `int`, the largest number of evaluations of `function`. It holds for
        derivatives, too.
      event_ndims: Python `int`, the number of trailing axes of one event.
      name: Python `str`.

    Returns:
      A `tfpf.math.FixedPointResult`. An event that has not converged is NaN, and its `converged` is
      false. If v does not converge, the gradient of the event is NaN.

    Raises:
      TypeError: if `initial` is not floating point.
      ValueError: if `tolerance` or `max_iterations` is not positive, or `initial` has fewer than
        `event_ndims` axes.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> y = tf.constant([[1.0, -2.0]])
      >>> x = tfpf.math.fixed_point(lambda x: y - 0.5 * tf.sin(x), y).point
      >>> (x + 0.5 * tf.sin(x)).numpy().round(3)  # x is the inverse of a residual map at y
      array([[ 1., -2.]], dtype=float32)

    See also: `tfpf.bijectors.Residual`.
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
        # Events that were not found go back to the start: far from it g may overflow, and its NaN
        # would reach the gradients of shared parameters.
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
        # A separate check, since `tf.reduce_max` may ignore a NaN.
        finite = tf.math.is_finite(following)
        finite = tf.reduce_all(finite, axis=axes) if axes else finite
        near = largest(following - z) <= tolerance * tf.maximum(largest(z), 1.0)
        near &= finite
        # An event that is not finite cannot converge any more.
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
    """Returns the fixed point z, with the derivatives of z = g(z)."""
    axes = tuple(range(-event_ndims, 0))

    def solve(matvec: Callable[..., Any], u: tf.Tensor) -> tf.Tensor:
        scale = tf.reduce_max(tf.abs(u), axis=axes, keepdims=True) if axes else tf.abs(u)
        # Scaled, since the tolerance is absolute below one and cotangents may be of any size.
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

        # Forward mode would ignore this gradient if the value had derivatives of its own.
        return tf.stop_gradient(g), gradient

    return solved(linearized.value)
