"""Integrals up to a tensor of end points, by Clenshaw-Curtis quadrature."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike


def clenshaw_curtis(
    integrand: Callable[[tf.Tensor], tf.Tensor],
    x: ArrayLike,
    *,
    lower: ArrayLike = 0.0,
    num_nodes: int = 32,
    name: str = "clenshaw_curtis",
) -> tf.Tensor:
    r"""$F(x) = \int_a^x g(t) \, dt \approx (x - a) \sum_k w_k g(t_k)$

    Integrates a function from a to each x, by Clenshaw-Curtis quadrature.

    The nodes are $t_k = a + (x - a) \sin^2(\pi k / (2 (n - 1)))$, k = 0, ..., n - 1, and include
    both ends. All weights $w_k$ are positive and add up to one. The result is exact for polynomials
    of a degree below n. For smooth integrands the error falls geometrically. These errors, relative
    to the integral from 0 to 5, were measured in float64:

    ```
    num_nodes               8      16      32      64
    exp(-t)               2e-6   2e-15   2e-16   2e-16
    1 + tanh(t - 2) / 2   2e-4    3e-9   1e-13   2e-16
    1 + tanh(4 t - 8) / 2 1e-2    7e-4    3e-6   6e-11
    1 + |t - 2|           1e-2    2e-3    4e-4    1e-4
    ```

    If the nodes do not resolve g, the result need not increase in x, even where g is positive. So
    choose a smooth g, and bound its derivative, or x - a.

    The derivative with respect to `x` is g(x), by Leibniz's rule: it is exact, whatever the error
    of the quadrature. The derivative with respect to a parameter that `integrand` captures is the
    same quadrature of dg/dparameter. Second derivatives follow the same rules. All nodes are
    evaluated at once, so the memory of the gradient grows with their number.

    Source: Clenshaw and Curtis (1960), A method for numerical integration on an automatic computer;
    as a flow, Wehenkel and Louppe (2019), arXiv:1908.05164.

    Args:
      integrand: callable, `t -> g(t)`, elementwise. It is called once with `t` of shape `[N, ...]`,
        the nodes in front of the shape of `x`, so that parameters of that shape broadcast as they
        are.
      x: float `Tensor`, the end points, on either side of `lower`.
      lower: float, or `Tensor` that broadcasts to `x`: a, the starting points.
      num_nodes: Python `int` n, at least 2.
      name: Python `str`.

    Returns:
      `Tensor` of the shape of `x`.

    Raises:
      TypeError: if `x` is not floating point.
      ValueError: if `num_nodes` is below 2.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> tfpf.math.clenshaw_curtis(tf.exp, [0.0, 1.0, 2.0]).numpy().round(3)  # exp(x) - 1
      array([0.   , 1.718, 6.389], dtype=float32)

    See also: `tfpf.bijectors.MonotoneIntegral`.
    """
    if num_nodes < 2:
        raise ValueError(f"`num_nodes` must be at least 2. Received: num_nodes={num_nodes}")
    with tf.name_scope(name):
        x = tf.convert_to_tensor(x, name="x")
        if not x.dtype.is_floating:
            raise TypeError(f"`x` must be floating point. Received: dtype={x.dtype.name}")
        fractions, weights = _nodes_and_weights(num_nodes)
        column = (-1,) + (1,) * x.shape.rank
        fractions = tf.constant(fractions.reshape(column), x.dtype)
        weights = tf.constant(weights.reshape(column), x.dtype)

        moves_lower = tf.is_tensor(lower) or isinstance(lower, tf.Variable)
        lower = tf.convert_to_tensor(lower, x.dtype)
        a, b = tf.stop_gradient(lower + tf.zeros_like(x)), tf.stop_gradient(x)
        # The integral over [b, x] has width zero. By the midpoint rule it adds only the first and
        # second derivatives with respect to x.
        nodes = [a + (b - a) * fractions, (b + 0.5 * (x - b))[tf.newaxis]]
        if moves_lower:
            nodes.append((a + 0.5 * (lower - a))[tf.newaxis])
        values = integrand(tf.concat(nodes, axis=0))
        integral = (b - a) * tf.reduce_sum(weights * values[:num_nodes], axis=0)
        integral += (x - b) * values[num_nodes]
        if moves_lower:
            integral -= (lower - a) * values[num_nodes + 1]
        return integral


@functools.cache
def _nodes_and_weights(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1], in float64.

    Trefethen (2008), Is Gauss quadrature better than Clenshaw-Curtis?, equation 3.1 ff.: the
    weights integrate the Chebyshev interpolant.
    """
    n = num_nodes - 1
    k = np.arange(num_nodes)
    # sin^2, as (1 - cos) / 2 would lose the digits of the nodes next to the lower end.
    nodes = np.sin(0.5 * np.pi * k / n) ** 2
    weights = np.ones(num_nodes)
    for j in range(1, n // 2 + 1):
        factor = 1.0 if 2 * j == n else 2.0
        weights -= factor * np.cos(2.0 * np.pi * j * k / n) / (4.0 * j * j - 1.0)
    weights[1:-1] *= 2.0
    return nodes, weights / (2.0 * n)
