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
    r"""$v = u + J^\top v$, with $J = dg/dz$ at z: the cotangent of g(z), given that of z = g(z).

    It is linear in u and is differentiated so, by $w = u' + J w$, which forward mode needs.
    Everything else is a constant: a derivative with respect to what z depends on raises
    `LookupError`.

    Args:
      linearized: `Linearized`, of g at z.
      u: float `Tensor` of the shape of z.
      solve: callable, `solve(product, u)`, where `product` is `v -> J^T v`. Returns v.
      solve_back: callable, `solve_back(product, u)`, where `product` is `w -> J w`. Returns w.
      parts: list of float `Tensor`s that depend on everything on which z depends, as g(z) does.
      name: Python `str`, the name of the solver, for the message.

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
