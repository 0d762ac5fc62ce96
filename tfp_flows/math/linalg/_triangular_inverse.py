"""Derivatives of the inverse of a triangular map."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import tensorflow as tf

from tfp_flows.math._linearized import Linearized
from tfp_flows.math._transposed_solution import transposed_solution


def with_triangular_gradient(
    value_and_slope: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    event_ndims: int = 1,
    name: str = "triangular_inverse",
) -> tf.Tensor:
    """$dx = J^{-1} (dy - df)$

    Gives a solution x of f(x) = y its derivatives, where J = df/dx is triangular in some order.

    Here df comes from all that f captures. Given a cotangent u of x, the gradient needs
    v = J^-T u. It is found by Jacobi's iteration with the diagonal d of J,

        v <- v + (u - J^T v) / d.

    Each step takes one gradient of f. J^T / d is the identity plus a strictly triangular matrix,
    so D steps are exact for any numbers. The iteration stops earlier, once `u - J^T v` is as small
    as rounding everywhere. Memory does not grow with the number of steps. Second derivatives raise
    `LookupError`.

    Source: Song, Meng and Ermon (2019), MintNet, arXiv:1907.07945, who use this iteration for x.

    Args:
      value_and_slope: callable, `x -> (f(x), df_i/dx_i)`, both of the shape of x. It treats each
        event by itself, and its slopes are not zero.
      x: float `Tensor` `[..., D]`, the solution. Derivatives that it has of its own are ignored.
      y: float `Tensor` of the same shape.
      event_ndims: Python `int`, the number of trailing axes of one event. Their sizes are static.
      name: Python `str`.

    Returns:
      x, with derivatives with respect to y and to what `value_and_slope` captures.
    """
    with tf.name_scope(name):
        x = tf.stop_gradient(tf.convert_to_tensor(x))
        size = x.shape[-event_ndims:].num_elements()
        tolerance = 4.0 * float(ml_dtypes.finfo(x.dtype.as_numpy_dtype).eps)
        axes = list(range(-event_ndims, 0))

        def solve(matvec: Callable[..., Any], u: tf.Tensor) -> tf.Tensor:
            scale = tf.reduce_max(tf.abs(u), axis=axes, keepdims=True)
            # Tiny or huge cotangents could leave the range of the dtype in the iteration.
            scale = tf.where(scale > 0.0, scale, tf.ones_like(scale))
            u /= scale

            def step(
                i: tf.Tensor, v: tf.Tensor, following: tf.Tensor
            ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                return i + 1, following, u + matvec(following)

            def goes_on(i: tf.Tensor, v: tf.Tensor, following: tf.Tensor) -> tf.Tensor:
                near = tf.abs(following - v) <= tolerance * (1.0 + tf.abs(v))
                return tf.logical_not(tf.reduce_all(near))

            start = (tf.constant(0), tf.zeros_like(u), u)
            _, v, _ = tf.while_loop(goes_on, step, start, maximum_iterations=size)
            return scale * v

        slope = tf.stop_gradient(value_and_slope(x)[1])
        # x is a fixed point of g(x) = x + (y - f(x)) / d, whose Jacobian I - J / d is strictly
        # triangular.
        linearized = Linearized(lambda x: x + (y - value_and_slope(x)[0]) / slope, x)

        @tf.custom_gradient
        def solved(g: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
            def gradient(u: tf.Tensor) -> tf.Tensor:
                return transposed_solution(linearized, u, solve, solve, [g], "triangular_inverse")

            return x, gradient

        return solved(linearized.value)
