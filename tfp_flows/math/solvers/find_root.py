"""The root of an increasing function, elementwise, with exact derivatives."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math.solvers._bracketed_search import bracketed_search, eps_of


class RootResult(NamedTuple):
    """The result of `tfpf.math.find_root`.

    Attributes:
      root: float `Tensor` of the shape of `target`. It is NaN where the search did not converge.
      converged: boolean `Tensor` of the same shape.
      num_iterations: integer scalar, the number of evaluations of the function in the search.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> result = tfpf.math.find_root(
      ...     lambda x: (tf.tanh(x), 1.0 - tf.tanh(x) ** 2), [0.5, 2.0])  # tanh stays below 1
      >>> result.root.numpy(), result.converged.numpy()
      (array([0.549, nan], dtype=float32), array([ True, False]))
    """

    root: tf.Tensor
    converged: tf.Tensor
    num_iterations: tf.Tensor


def find_root(
    value_and_slope: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    target: ArrayLike,
    *,
    lower: float | tf.Tensor = -1.0,
    upper: float | tf.Tensor = 1.0,
    tolerance: float | None = None,
    max_iterations: int = 200,
    name: str = "find_root",
) -> RootResult:
    r"""$f(x) = y$

    Finds the root x for each element of y, where f is strictly increasing and acts elementwise.

    The search starts in the middle of `[lower, upper]`, a first guess, with Newton's iteration
    $x \leftarrow x - (f(x) - y) / f'(x)$. The bracket grows, faster than geometrically, until it
    contains the root. Then a bisection replaces each step that leaves the bracket or is more than
    half as long as the step before. (While the bracket is wider than its distance to zero, it is
    bisected on the scale of $\log(1 + |x|)$, so that ten steps find the exponent of a huge root.)
    Smooth functions take 5 to 8 evaluations. An element is found when

        $|f(x) - y| \le \epsilon |y|$, or

        $|f(x) - y| \le \epsilon \min(\max(1, |y|), f'(x) \max(1, |x|))$,

    where $\epsilon$ is `tolerance`, or when the bracket consists of two neighboring numbers of the
    dtype. This happens where f is so steep that no x comes closer to y. A small step alone is not
    enough: if f is steep at x, the root may still be far away, where f is flat again.

    Derivatives: the search itself is not differentiated. Two Newton steps from its result follow,
    and both their values and their slopes are differentiated. This makes the derivatives of the
    root of first, second and third order exact, with respect to `target` and to all that
    `value_and_slope` captures, provided that its own derivatives are exact. Where $f'(x)$ is zero,
    the gradient is zero. Each of the two steps also doubles the number of exact digits. A step that
    would lead away from the root is not taken.

    Compiles under XLA, also in a differentiated `tf.while_loop`.

    Args:
      value_and_slope: callable, `x -> (f(x), f'(x))`, all of the shape of `target`. An infinite
        value counts as an overflow, and so does a NaN away from the first guess.
      target: float `Tensor`, y. Where it is infinite, the root is the same infinity.
      lower: float, or a `Tensor` that broadcasts to `target`.
      upper: likewise, above `lower`. Ends beyond the dtype count as its largest number.
      tolerance: positive float. By default 32 machine epsilons of the dtype.
      max_iterations: Python `int`, the largest number of evaluations in the search. Bisection alone
        needs about 60 in float64, and 35 in float32.
      name: Python `str`.

    Returns:
      A `tfpf.math.RootResult`. Where f still increases at the largest number of the dtype, the root
      is an infinity. Infinite roots have zero gradients. An element that has not converged is NaN,
      and its `converged` is false. The reason is that there is no root, the evaluations ran out, f
      decreases, or `target`, f or f' is NaN.

    Raises:
      TypeError: if `target` is not floating point.
      ValueError: if `tolerance` or `max_iterations` is not positive, or the Python numbers `lower`
        and `upper` are out of order.

    Example:
      >>> import tensorflow as tf
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> x, slope = tfp.math.value_and_gradient(
      ...     lambda y: tfpf.math.find_root(lambda x: (x**3 + x, 3.0 * x**2 + 1.0), y).root,
      ...     tf.constant([2.0, 10.0]))
      >>> x.numpy().round(3), slope.numpy().round(3)  # dx/dy = 1 / f'(x)
      (array([1., 2.], dtype=float32), array([0.25 , 0.077], dtype=float32))

    See also: `tfp.math.find_root_chandrupatla`.
    """
    with tf.name_scope(name):
        target = tf.convert_to_tensor(target, name="target")
        dtype = target.dtype
        if not dtype.is_floating:
            raise TypeError(f"`target` must be floating point. Received: dtype={dtype.name}")
        if tolerance is None:
            tolerance = 32.0 * eps_of(target)
        if not tolerance > 0.0:
            raise ValueError(f"`tolerance` must be positive. Received: tolerance={tolerance}")
        if max_iterations < 1:
            raise ValueError(
                f"`max_iterations` must be at least 1. Received: max_iterations={max_iterations}"
            )
        if not (tf.is_tensor(lower) or tf.is_tensor(upper) or np.all(lower < upper)):
            raise ValueError(
                f"`lower` must be below `upper`. Received: lower={lower}, upper={upper}"
            )
        # Halved first, since the width of the bracket may overflow.
        lower, upper = (_half(end, target) for end in (lower, upper))
        start, radius = upper + lower, upper - lower
        search = bracketed_search(
            value_and_slope, tf.stop_gradient(target), start, radius, tolerance, max_iterations
        )
        found = search.found
        # Elements without a root go back to the start: elsewhere the function may overflow, and
        # its NaN would reach the gradients of parameters that other elements share.
        usable = tf.where(tf.math.is_finite(start), start, tf.zeros_like(start))
        x = tf.stop_gradient(tf.where(found, search.x, usable))
        x, found = _polished(value_and_slope, target, x, search.low, search.high, found, tolerance)
        end = tf.where(tf.math.is_inf(target), target, search.x)
        infinite = tf.math.is_inf(end)
        root = tf.where(found, x, tf.where(infinite, end, tf.constant(np.nan, dtype)))
        return RootResult(root, found | infinite, search.num_iterations)


def _polished(
    value_and_slope: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    target: tf.Tensor,
    x: tf.Tensor,
    low: tf.Tensor,
    high: tf.Tensor,
    found: tf.Tensor,
    tolerance: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes two Newton steps from `x` within the bracket, with the derivatives of full steps.

    Returns:
      The roots, and a boolean `Tensor`, where they are found.
    """
    largest = tf.constant(target.dtype.max, target.dtype)

    def newton(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        value, slope = value_and_slope(x)
        residual = target - value
        usable = found & tf.math.is_finite(value) & (slope > 0.0) & tf.math.is_finite(slope)
        usable &= tf.abs(residual) < slope * largest
        step = residual / tf.where(usable, slope, tf.ones_like(slope))
        step = tf.where(usable, step, tf.zeros_like(step))
        following = _moved(tf.clip_by_value(x + step, low, high), x + step)
        return following, tf.abs(residual), tf.abs(step), slope

    start = x
    x, residual, step, slope = newton(start)
    # f must not decrease. A NaN fails here, too.
    found &= tf.math.is_finite(residual) & (slope >= 0.0)
    following, residual_after, step_after, _ = newton(x)
    # A bracket of a number and a NaN has no root, even if its ends are neighbors.
    found &= ~tf.math.is_nan(residual_after)
    # A step across a steep part of f would lead away from the root. Then the earlier x is kept.
    # Steps as small as rounding are always taken: third derivatives are exact only with both steps.
    rounding = 4.0 * eps_of(x) * tf.abs(start)
    margin = tolerance * tf.maximum(tf.abs(target), 1.0)
    is_good = (residual_after <= tf.maximum(residual, margin)) | (step <= rounding)
    is_good_after = step_after <= tf.maximum(step, rounding)
    end = tf.where(is_good_after, following, x)
    root = tf.where(is_good, _moved(end, following), _moved(start, x))
    return root, found


def _moved(value: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns `value` bit for bit, with the gradient of x; x is finite."""
    return tf.stop_gradient(value) + (x - tf.stop_gradient(x))


def _half(end: float | tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Returns half an end of the first bracket, clipped to the dtype, without gradients."""
    largest = target.dtype.max
    end = tf.stop_gradient(tf.clip_by_value(tf.cast(end, target.dtype), -largest, largest))
    # `tf.broadcast_to` loses static sizes.
    return tf.ensure_shape(tf.broadcast_to(0.5 * end, tf.shape(target)), target.shape)
