"""P-values that several diagnostics share."""

import numpy as np
from numpy.typing import ArrayLike

from tfp_flows.diagnostics._optional import optional


def smallest_of(p_values: ArrayLike) -> float:
    r"""The p-value of the smallest of several, by Bonferroni: $\min(1, m \min_i p_i)$."""
    p_values = np.ravel(p_values)
    return float(min(1.0, p_values.size * p_values.min()))


def uniform_p_value(values: np.ndarray, num_reference: int | None = None) -> float:
    """The Kolmogorov-Smirnov p-value of values `[N]` being uniform on [0, 1].

    Args:
      values: an array.
      num_reference: if values are ranks among draws that all of them share, the number of these
        draws; `None` if each has its own.
    """
    values = np.sort(values)
    count = len(values)
    steps = np.arange(count + 1) / count
    distance = max(np.max(steps[1:] - values), np.max(values - steps[:-1]))
    weight = count if num_reference is None else count * num_reference / (count + num_reference)
    return float(optional("scipy.stats").kstwobign.sf(np.sqrt(weight) * distance))


def dependence_p_value(values: np.ndarray, context: np.ndarray) -> float | None:
    """The p-value of columns of `values` not depending on contexts: the smallest, corrected.

    Spearman's correlation is computed between each column and each number of the context. It is
    also computed with the distance of that number from its median, which finds an effect that grows
    at both ends.

    Args:
      values: `[N, K]`.
      context: `[N, ...]`.

    Returns:
      A `float`, or `None` if the context does not vary.
    """
    stats = optional("scipy.stats")
    context = np.reshape(context, [len(context), -1]).astype(np.float64)
    context = context[:, np.ptp(context, axis=0) > 0]
    distance = np.abs(context - np.median(context, axis=0))
    both = np.concatenate([context, distance[:, np.ptp(distance, axis=0) > 0]], axis=1)
    values = np.reshape(values, [len(values), -1])
    if both.shape[1] == 0:
        return None
    a, b = (_standardised(stats.rankdata(t, axis=0)) for t in (values, both))
    correlation = np.clip(a.T @ b / len(a), -1.0, 1.0)
    # Fisher's transformation, which is nearly normal for ranks of more than about ten rows.
    z = np.arctanh(correlation * (1 - 1e-12)) * np.sqrt((len(a) - 3) / 1.06)
    return smallest_of(2.0 * stats.norm.sf(np.abs(z)))


def _standardised(columns: np.ndarray) -> np.ndarray:
    deviation = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
