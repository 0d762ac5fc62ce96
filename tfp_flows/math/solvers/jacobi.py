"""Triangular equations by Jacobi's iteration, which updates all coordinates at once."""

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
    """The result of `tfpf.math.jacobi`.

    Attributes:
      point: float `Tensor` of the shape of `initial`, the solution.
      extra: the second output of `function` at the solution.
      num_steps: integer scalar, the number of evaluations of the function.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> result = tfpf.math.jacobi(  # y_i does not depend on the others: two steps are enough
      ...     lambda y: (tf.ones_like(y), 2.0 * y), tf.zeros([1, 9]), position=list(range(9)))
      >>> result.extra.shape, int(result.num_steps)
      (TensorShape([1, 9]), 2)
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
    r"""$y_i = g_i(y_{<i})$

    Solves a triangular system of equations by the iteration $y \leftarrow g(y)$.

    Each $g_i$ depends only on the coordinates that come before i in an order. After k steps the
    first k coordinates are exact, whatever the start, and do not change any more. So D steps are
    always enough, and the iteration cannot fail to converge. Most equations take fewer steps: it
    ends when no coordinate of any row changes by more than

        $\text{tolerance} \, \max(1, |y_i|)$.

    The error is then about that of rounding y.

    Derivatives with respect to all that g and the extra output capture are

        $dy = (I - J)^{-1} dg$,

    with J = dg/dy at the solution. Reverse mode solves $v = u + J^\top v$ and forward mode
    $w = dg + J w$, in the same way in at most D steps. For them a graph keeps one evaluation of g,
    and an eager tape one for each step. There is no gradient with respect to `initial`. Second
    derivatives raise `LookupError`.

    Guesses larger than the square root of the largest number of the dtype are replaced by zeros
    before g sees them, and do not count as solved until they are exact. Otherwise g might overflow,
    and in a network that masks later coordinates 0 * inf would turn earlier ones into NaN.
    Where coordinates are infinite at the end, g sees zeros as well.

    Source: Song, Meng, Liao and Ermon (2021), Accelerating feedforward computation via parallel
    nonlinear equation solving, arXiv:2002.03629.

    Args:
      function: callable, `y -> (g, extra)`, where g is `[..., D]`, and extra has any shape. It
        treats each row by itself.
      initial: float `Tensor` `[..., D]`, the start.
      position: permutation of `range(D)`, the place of each coordinate in the order.
      tolerance: positive float. By default 4 machine epsilons of the dtype.
      name: Python `str`.

    Returns:
      A `tfpf.math.JacobiResult`.

    Raises:
      TypeError: if `initial` is not floating point.
      ValueError: if `tolerance` is not positive, or `position` is not a permutation of `range(D)`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> def g(y):  # one more than the sum of all coordinates before
      ...     before = tf.cumsum(y, axis=-1, exclusive=True)
      ...     return 1.0 + before, before
      >>> result = tfpf.math.jacobi(g, tf.zeros([1, 4]), position=[0, 1, 2, 3])
      >>> result.point.numpy(), result.extra.numpy()
      (array([[1., 2., 4., 8.]], dtype=float32), array([[0., 1., 3., 7.]], dtype=float32))

    See also: `tfpf.bijectors.Autoregressive`.
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
        position = tuple(position)  # graphs do not convert a `range` to a tensor

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
    """Iterates y <- function(y), where a coordinate depends only on those with earlier places.

    Changes up to `margin(size)` count as none for coordinates of that size.
    """
    largest = initial.dtype.max
    guess_limit = tf.constant(float(largest) ** 0.5, initial.dtype)

    def step(
        k: tf.Tensor, y: tf.Tensor, is_done: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # All that these coordinates depend on is exact, so they do not change any more.
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
    """Returns g and the extra output at the solution y, with the derivatives of y = g(y)."""

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
            # The extra output has direct derivatives, too, with y held.
            return v, first_derivatives_only(of_extra, [g], "jacobi")

        # Forward mode would ignore this gradient if the values had derivatives of their own.
        return (tf.stop_gradient(g), tf.stop_gradient(extra)), gradient

    return solved(*linearized.value)
