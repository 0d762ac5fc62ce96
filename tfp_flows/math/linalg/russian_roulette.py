"""An unbiased log-determinant of I + J from a random number of terms."""

import math
from collections.abc import Callable

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.math._philox import philox_uniform
from tfp_flows.math.linalg.power_series import power_series_log_det


def russian_roulette_log_det(
    function: Callable[[tf.Tensor], tf.Tensor],
    x: tf.Tensor,
    noise: tf.Tensor,
    seed: ArrayLike,
    num_sure: int = 2,
    survival: float = 0.5,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$\log\det(I + J) = E \sum_{k=1}^n (-1)^{k+1} v^\top J^k v / (k P(n \ge k))$

    An unbiased estimate of the log-det of x + g(x), by a random number of terms.

    Here $J = \partial g / \partial x$, and v is noise of mean zero and covariance I. The number n
    of terms is drawn once for all rows. The first m = `num_sure` terms are always there, and each
    further term follows with probability r = `survival`, so $P(n \ge k) = r^{k-m}$ for $k > m$. On
    average there are $m + r / (1 - r)$ terms. Value and gradient are unbiased. Where $|J| \le c$,
    the variance is finite if $c^2 < r$.

    Source: Chen et al. (2019), Residual flows for invertible generative modeling,
    arXiv:1906.02735, theorems 1 and 2.

    Args:
      function: callable, g, from `[N, D]` to `[N, D]`. It treats each row by itself.
      x: float `Tensor` `[N, D]`.
      noise: v, `[N, D]`, of mean zero and covariance I.
      seed: two integers, which determine n.
      num_sure: m, a Python `int`.
      survival: r, a Python `float` in (0, 1).

    Returns:
      g(x), `[N, D]`, and the estimate, `[N]`, in nats.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> x, signs = tf.ones([1, 2]), tf.constant([[1.0, -1.0]])
      >>> g, log_det = tfpf.math.russian_roulette_log_det(
      ...     lambda x: 0.1 * x, x, signs, seed=[0, 1], num_sure=2)
      >>> log_det.numpy()  # the exact value is 2 log(1.1) = 0.19
      array([0.19], dtype=float32)

    See also: `tfpf.math.power_series_log_det`, `tfpf.bijectors.Residual`.
    """
    uniform = philox_uniform([], seed)
    num_more = tf.cast(tf.floor(tf.math.log(uniform) / math.log(survival)), tf.int32)
    num_terms = num_sure + num_more
    return power_series_log_det(function, x, noise, num_terms, num_sure, survival)
