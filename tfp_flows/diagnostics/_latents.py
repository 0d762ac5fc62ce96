"""Data mapped to the base, as normal scores."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.bijectors import inverse_and_log_det
from tfp_flows.diagnostics._layers import bijectors_and_base
from tfp_flows.diagnostics._optional import optional
from tfp_flows.diagnostics._rows import all_finite, batches, bound
from tfp_flows.diagnostics._samples import sampling_seed

# How many draws of a base that is not a standard normal, for each batch of rows.
DRAWS = 1000


def latent_scores(
    flow: tfd.Distribution, x: np.ndarray, context: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Numbers that are standard normal, and numbers that are uniform, if the flow is exact.

    Args:
      flow: a `TransformedDistribution`.
      x: rows `[N, *event]`.
      context: contexts, or `None`.
      seed: a Python `int`, for the draws of a base that is not a standard normal.

    Returns:
      z `[N, D]`; the probability that a draw of the base has a lower density, `[N]`; and whether
      the base is a standard normal.
    """
    stats = optional("scipy.stats")
    scores, ranks, is_normal = [], [], True
    rng = np.random.default_rng(seed)
    for i, rows in enumerate(batches(len(x), x[0].size)):
        given = bound(flow, None if context is None else context[rows])
        bijectors, base = bijectors_and_base(given)
        u = tf.constant(x[rows])
        for bijector in bijectors:
            u, _ = inverse_and_log_det(bijector, u, u.shape.rank - 1)
        z = np.reshape(u, [len(u), -1]).astype(np.float64)
        all_finite(z, "Latents of `x`")
        log_prob = np.asarray(base.log_prob(u), np.float64)
        squares = np.sum(z**2, axis=1)
        normal = -0.5 * (squares + z.shape[1] * np.log(2 * np.pi))
        if is_normal and np.allclose(log_prob, normal, rtol=1e-4, atol=1e-3):
            scores.append(z)
            ranks.append(stats.chi2.sf(squares, z.shape[1]))
            continue
        is_normal = False
        # All rows share their draws, unless the base depends on their contexts.
        draws = base.sample(DRAWS, seed=sampling_seed(seed, i if context is not None else 0))
        densities = np.asarray(base.log_prob(draws))
        draws = np.reshape(draws, [DRAWS, -1, z.shape[1]])
        scores.append(stats.norm.ppf(_ranks(draws, z, rng)))
        ranks.append(_ranks(densities.reshape([DRAWS, -1]), log_prob, rng))
    return np.concatenate(scores), np.concatenate(ranks), is_normal


def _ranks(draws: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The share of draws below each value, strictly between zero and one."""
    below, equal = np.sum(draws < values, axis=0), np.sum(draws == values, axis=0)
    # Ties are broken at random. A constant density has them, for example.
    return (below + rng.uniform(size=np.shape(values)) * (equal + 1)) / (len(draws) + 1)
