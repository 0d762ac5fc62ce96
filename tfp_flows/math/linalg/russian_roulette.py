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
    """log det(I + J) = E sum_k (-1)^(k+1) / (k P(n >= k)) v^T J^k v, k = 1, ..., n; J = dg/dx.

    The number n of terms is drawn, one for all rows: m = `num_sure` terms for sure, and each
    further one with the chance r = `survival`, so that P(n >= k) = r^(k-m) for k > m. There are
    m + r / (1 - r) terms on average. Value and gradient are unbiased. For |J| <= c the variance is
    finite if c^2 < r.

    Source: Chen et al. (2019), Residual flows for invertible generative modeling,
    arXiv:1906.02735, theorems 1 and 2.

    Args:
      function: callable, g, from `[N, D]` to `[N, D]`, that treats each row by itself.
      x: float `Tensor` `[N, D]`.
      noise: v, `[N, D]`, of mean zero and covariance I.
      seed: two integers, of the draw of n.
      num_sure: m, a Python `int`.
      survival: r, a Python `float` in (0, 1).

    Returns:
      g(x), `[N, D]`, and the estimate, `[N]`, in nats.
    """
    uniform = philox_uniform([], seed)
    num_more = tf.cast(tf.floor(tf.math.log(uniform) / math.log(survival)), tf.int32)
    num_terms = num_sure + num_more
    return power_series_log_det(function, x, noise, num_terms, num_sure, survival)
