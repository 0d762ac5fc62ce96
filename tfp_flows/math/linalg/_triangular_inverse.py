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
    """x with f(x) = y, given x, and with dx = J^-1 (dy - df), J = df/dx triangular in some order.

    The cotangent of x is `v = J^-T u`, by Jacobi's iteration with the diagonal d of J,

        v <- v + (u - J^T v) / d,

    each step one gradient of f. Since J^T / d is the identity plus what is strictly triangular, D
    steps are exact whatever the numbers are; it stops before, once all of `u - J^T v` is down to
    rounding. Memory does not grow with the number of steps. `df` is that of all that f captures. A
    derivative of the derivative raises `LookupError`.

    Source: Song, Meng and Ermon (2019), MintNet, arXiv:1907.07945, the same iteration for x.

    Args:
      value_and_slope: callable, `x -> (f(x), df_i/dx_i)`, both of the shape of x, that treats each
        event by itself. The slopes are not zero.
      x: float `Tensor` `[..., D]`, the solution; its own derivatives are left out.
      y: float `Tensor` of the same shape.
      event_ndims: Python `int`, the number of trailing axes of one event, of static size.
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
            # Powers of small and of huge cotangents would leave the dtype.
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
        # x = g(x), g(x) = x + (y - f(x)) / d: I - J = J_f / d, and J is strictly triangular.
        linearized = Linearized(lambda x: x + (y - value_and_slope(x)[0]) / slope, x)

        @tf.custom_gradient
        def solved(g: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
            def gradient(u: tf.Tensor) -> tf.Tensor:
                return transposed_solution(linearized, u, solve, solve, [g], "triangular_inverse")

            return x, gradient

        return solved(linearized.value)
