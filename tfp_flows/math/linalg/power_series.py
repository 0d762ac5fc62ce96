"""The log-determinant of I + J by a power series, with its gradient by the Neumann series."""

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
    r"""$\log\det(I + J) \approx \sum_{k=1}^n (-1)^{k+1} (w_k / k) v^\top J^k v$

    A stochastic estimate of the log-det of x + g(x) by n terms of its power series.

    Here $J = \partial g / \partial x$, and v is noise of mean zero and covariance I, so that the
    mean of $v^\top J^k v$ is the trace of $J^k$. With weights $w_k = 1$ the series is cut off after
    n terms. Where $|J| \le c$, the mean of the estimate is then off by at most
    $D c^{n+1} / ((n + 1)(1 - c))$, see `tfpf.math.num_terms_for`. If n is random and
    $w_k = 1 / P(n \ge k)$, the estimate has no bias, see `tfpf.math.russian_roulette_log_det`.

    The gradient is not that of the estimate. It has the same mean, but its memory does not grow
    with n: it is the gradient of $u^\top J v$, with
    $u = \sum_k (-1)^{k-1} w_k (J^\top)^{k-1} v$ held constant. Second derivatives raise
    `LookupError`.

    Cost: n gradients of g in a loop, and one more that is differentiated.

    Source: Behrmann et al. (2019), arXiv:1811.00995, algorithm 2. The gradient is that of Chen et
    al. (2019), arXiv:1906.02735, theorem 2.

    Args:
      function: callable, g, from `[N, D]` to `[N, D]`. It treats each row by itself.
      x: float `Tensor` `[N, D]`.
      noise: v, `[N, D]`, for instance random signs.
      num_terms: n, a Python `int` or a scalar integer `Tensor`.
      num_sure: the number of terms with $P(n \ge k) = 1$, which have weight one. By default all.
      survival: $P(n \ge k + 1 | n \ge k)$ of the other terms.

    Returns:
      g(x), `[N, D]`, and the estimate, `[N]`, in nats.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> x, signs = tf.ones([1, 2]), tf.constant([[1.0, -1.0]])
      >>> g, log_det = tfpf.math.power_series_log_det(lambda x: 0.5 * x, x, signs, num_terms=10)
      >>> log_det.numpy()  # the exact value is 2 log(1.5) = 0.811
      array([0.811], dtype=float32)

    See also: `tfpf.math.exact_log_det`.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        g = function(x)

    def transposed(v: tf.Tensor) -> tf.Tensor:
        """Returns J^T v."""
        return tape.gradient(g, x, v, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    num_sure = num_terms if num_sure is None else num_sure
    one = tf.ones([], x.dtype)

    def step(
        k: tf.Tensor, weight: tf.Tensor, v_k: tf.Tensor, u: tf.Tensor, log_det: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Adds the k-th term. v_k is (J^T)^(k-1) v; the weight includes the sign of the term."""
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
    r"""$c^{n+1} / ((n + 1)(1 - c)) \le \epsilon$

    The smallest number of terms n that keeps the bias of a power series within a tolerance.

    Args:
      coefficient: c, a bound of the norm of the Jacobian, in (0, 1).
      tolerance: $\epsilon$, the largest bias of the log-det, in nats for each dimension.

    Returns:
      n, a Python `int`.

    Example:
      >>> import tfp_flows as tfpf
      >>> tfpf.math.num_terms_for(coefficient=0.5, tolerance=0.001)
      7

    See also: `tfpf.math.power_series_log_det`.
    """
    log_c = math.log(coefficient)
    bound = math.log(tolerance) + math.log1p(-coefficient)
    n = 1
    while (n + 1) * log_c - math.log(n + 1) > bound:
        n += 1
    return n
