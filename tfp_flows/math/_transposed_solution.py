"""The linear system behind the derivatives of an implicit function."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.math._first_derivatives_only import first_derivatives_only
from tfp_flows.math._linearized import Linearized


def transposed_solution(
    linearized: Linearized,
    u: tf.Tensor,
    solve: Callable[..., Any],
    solve_back: Callable[..., Any],
    parts: Sequence[tf.Tensor],
    name: str,
) -> tf.Tensor:
    """v = u + J^T v, J = dg/dz at z: the cotangent of g(z) in z = g(z), from that of z.

    Linear in u, and so differentiated, by w = u' + J w, which is what forward mode asks for. All
    the rest stands still: a derivative by what z depends on raises `LookupError`.

    Args:
      linearized: `Linearized`, of g at z.
      u: float `Tensor` of the shape of z.
      solve: callable, `solve(product, u)`, with `product` for `v -> J^T v`: v, however found.
      solve_back: likewise, with `w -> J w`.
      parts: list of float `Tensor`s that depend on all that z depends on, as g(z) does.
      name: Python `str`, of the solver, for the message.

    Returns:
      float `Tensor` of the shape of z.
    """

    def linear(u: tf.Tensor, is_transposed: bool) -> tf.Tensor:
        @tf.custom_gradient
        def solved(u: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
            product = linearized.transposed if is_transposed else linearized.along()
            v = (solve if is_transposed else solve_back)(product, tf.stop_gradient(u))
            return tf.stop_gradient(v), lambda upstream: linear(upstream, not is_transposed)

        return first_derivatives_only(solved(u), parts, name)

    return linear(u, is_transposed=True)
