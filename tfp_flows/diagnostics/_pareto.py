"""The tail of importance weights."""

import math

import numpy as np


def pareto_smoothed(log_weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Log-weights with the largest replaced by expected order statistics, and the Pareto k.

    Args:
      log_weights: `[S]`, S of at least 25.

    Returns:
      Smoothed log-weights `[S]`, none above the largest one given, and k. k is infinite if fewer
      than five weights are above the cutoff, and minus infinity if all weights are the same.
    """
    count = len(log_weights)
    log_weights = log_weights - log_weights.max()
    num_tail = math.ceil(min(0.2 * count, 3 * math.sqrt(count)))
    order = np.argsort(log_weights, kind="stable")
    tail = order[-num_tail:]
    cutoff = log_weights[order[-num_tail - 1]]
    excess = np.exp(log_weights[tail]) - np.exp(cutoff)
    if np.sum(excess > 0) < 5:
        return log_weights, -math.inf if log_weights.min() == 0 else math.inf
    k, sigma = fit_generalized_pareto(excess[excess > 0])
    rank = (np.arange(num_tail) + 0.5) / num_tail
    quantile = sigma * (np.expm1(-k * np.log1p(-rank)) / k if k != 0 else -np.log1p(-rank))
    smoothed = log_weights.copy()
    smoothed[tail] = np.minimum(np.log(np.exp(cutoff) + quantile), 0.0)
    return smoothed, k


def fit_generalized_pareto(excess: np.ndarray) -> tuple[float, float]:
    r"""k and sigma of $p(x) = (1 + k x / \sigma)^{-1/k - 1} / \sigma$, for sorted positive numbers.

    The estimate is the mean of $\theta = -k / \sigma$ under its profile posterior, on a grid. A
    prior with the weight of ten observations draws k to 1/2.

    Source: Zhang and Stephens (2009), A new and efficient estimation method for the generalized
    Pareto distribution; the prior, Vehtari et al. (2024), arXiv:1507.02646, appendix C.
    """
    count = len(excess)
    grid = np.arange(1, 30 + math.isqrt(count) + 1)
    quartile = excess[int(count / 4 + 0.5) - 1]
    theta = 1 / excess[-1] + (1 - np.sqrt(len(grid) / (grid - 0.5))) / (3 * quartile)
    k = np.mean(np.log1p(-theta[:, np.newaxis] * excess), axis=1)
    profile = count * (np.log(-theta / k) - k - 1)
    weights = np.exp(profile - profile.max())
    theta = np.sum(theta * weights) / weights.sum()
    k = np.mean(np.log1p(-theta * excess))
    return float((count * k + 10 * 0.5) / (count + 10)), float(-k / theta)
