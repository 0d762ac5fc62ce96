"""The log-determinant of I + J by its power series, with the gradient by Neumann's."""

import math
from collections.abc import Callable

import tensorflow as tf

from tfp_flows.math._replace_gradient import replace_gradient


def power_series_log_det(
    function: Callable[[tf.Tensor], tf.Tensor],
    x: tf.Tensor,
    noise: tf.Tensor,
    num_terms: int | tf.Tensor,
    num_sure: int | None = None,
    survival: float = 1.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """log det(I + J) ~ sum_k (-1)^(k+1) w_k / k  v^T J^k v, k = 1, ..., n; J = dg/dx.

    v is noise of mean zero and covariance I, so that v^T J^k v has the mean tr(J^k). With weights
    w_k = 1 the series is cut off after n terms: for |J| <= c the mean is off by at most
    D c^(n+1) / ((n + 1)(1 - c)) (see `num_terms_for`). If n is random, and w_k = 1 / P(n >= k),
    nothing is cut off in the mean (see `russian_roulette_log_det`).

    The gradient is not that of the estimate, but one of the same mean that takes no more memory
    for more terms: with u = sum_k (-1)^(k-1) w_k (J^T)^(k-1) v held constant, that of u^T J v.
    It is for first derivatives; a second derivative raises `LookupError`.

    Cost: n gradients of g in a loop, and one that is differentiated.

    Source: Behrmann et al. (2019), arXiv:1811.00995, algorithm 2; the gradient is that of Chen et
    al. (2019), arXiv:1906.02735, theorem 2.

    Args:
      function: callable, g, from `[N, D]` to `[N, D]`, that treats each row by itself.
      x: float `Tensor` `[N, D]`.
      noise: v, `[N, D]`, for instance of signs.
      num_terms: n, an integer, a Python one or a scalar `Tensor`.
      num_sure: the number of terms of weight one, that is with P(n >= k) = 1; all by default.
      survival: P(n >= k + 1 | n >= k) of the others.

    Returns:
      g(x), `[N, D]`, and the estimate, `[N]`, in nats.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        g = function(x)

    def transposed(v: tf.Tensor) -> tf.Tensor:
        """J^T v."""
        return tape.gradient(g, x, v, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    num_sure = num_terms if num_sure is None else num_sure
    one = tf.ones([], x.dtype)

    def step(
        k: tf.Tensor, weight: tf.Tensor, v_k: tf.Tensor, u: tf.Tensor, log_det: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """v_k is (J^T)^(k-1) v, and the weight has the sign of its term."""
        u += weight * v_k
        v_k = tf.ensure_shape(transposed(v_k), x.shape)
        log_det += weight / tf.cast(k, x.dtype) * tf.reduce_sum(v_k * noise, axis=-1)
        weight *= tf.where(k < num_sure, -one, -one / survival)
        return k + 1, weight, v_k, u, log_det

    _, _, _, u, log_det = tf.while_loop(
        lambda k, *_: k <= num_terms,
        step,
        (tf.constant(1), one, noise, tf.zeros_like(x), tf.zeros_like(x[:, 0])),
    )
    product = transposed(tf.stop_gradient(u))
    return g, replace_gradient(log_det, product, noise, refusing="power_series_log_det")


def num_terms_for(coefficient: float, tolerance: float) -> int:
    """The smallest n with c^(n+1) / ((n + 1)(1 - c)) <= tolerance: nats a dimension."""
    log_c = math.log(coefficient)
    bound = math.log(tolerance) + math.log1p(-coefficient)
    n = 1
    while (n + 1) * log_c - math.log(n + 1) > bound:
        n += 1
    return n
