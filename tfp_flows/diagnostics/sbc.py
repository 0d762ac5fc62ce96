"""Simulation-based calibration: ranks of what a conditional flow was to infer."""

import dataclasses
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike
from tensorflow_probability import distributions as tfd

from tfp_flows import _checks
from tfp_flows.diagnostics import _statistics
from tfp_flows.diagnostics._optional import axes_or_new, optional
from tfp_flows.diagnostics._rows import (
    all_finite,
    checked_rows,
    distribution_of,
    samples_and_log_prob,
)

# Draws of uniform ranks from which bands and p-values follow.
_SIMULATIONS = 2000


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What `sbc` found.

    Attributes:
      ranks: of each number of a row among its samples, `[N, D]`, integers from 0 to S: uniform
        if the flow is exact.
      num_samples: S.
      points: fractions of ranks at which the distribution of ranks is compared, `[K]`.
      ecdf: share of rows whose rank is below a fraction, `[K, D]`.
      band_low: the lower end of a band that holds all of an exact column's `ecdf` in 95 of 100
        cases, `[K]`.
      band_high: its upper end, `[K]`.
      column_p_values: that the ranks of a column are uniform, `[D]`, at least 1 / 2001.
      context_p_value: that ranks do not depend on the context, or `None`.
      p_value: the smallest of these, corrected for their number.
    """

    ranks: np.ndarray
    num_samples: int
    points: np.ndarray
    ecdf: np.ndarray
    band_low: np.ndarray
    band_high: np.ndarray
    column_p_values: np.ndarray
    context_p_value: float | None
    p_value: float

    def __str__(self) -> str:
        outside = np.any(
            (self.ecdf < self.band_low[:, np.newaxis])
            | (self.ecdf > self.band_high[:, np.newaxis]),
            axis=0,
        )
        worst = int(np.argmin(self.column_p_values))
        lines = [
            f"Ranks of {len(self.ranks)} rows among {self.num_samples} samples each: "
            f"p = {self.p_value:.2g} that they are uniform.",
            f"  {outside.sum()} of {len(outside)} columns leave the 95% band; column {worst} fits "
            f"worst: p = {self.column_p_values[worst]:.2g}",
        ]
        if self.context_p_value is not None:
            lines.append(f"  independent of the context: p = {self.context_p_value:.2g}")
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Draws how far the distribution of ranks is from a uniform one, with the band.

        A slope up and down is a shift, an S a wrong width.

        Args:
          ax: axes of matplotlib, or `None` for a new figure.

        Returns:
          The axes.
        """
        ax = axes_or_new(ax)
        ax.fill_between(
            self.points, self.band_low - self.points, self.band_high - self.points, color="0.85"
        )
        ax.plot(self.points, self.ecdf - self.points[:, np.newaxis], linewidth=1)
        ax.set_xlabel("fraction of samples below")
        ax.set_ylabel("share of rows, minus the fraction")
        return ax


def sbc(
    flow: tfd.Distribution | keras.Model,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    num_samples: int = 99,
    num_rows: int = 500,
    seed: int = 0,
) -> Calibration:
    """rank_nd = #{s : x_snd < x_nd} of samples x_s ~ p(. | c_n): uniform on 0 to S if p is exact.

    For a posterior x is what was drawn from the prior, and the context what was simulated from it.
    A posterior that is the prior, whatever the context, has uniform ranks too: so it is also
    tested whether ranks depend on the context.

    ```python
    rng = np.random.default_rng(1)
    context = rng.normal(size=[200, 1])
    x = context + rng.normal(size=[200, 2])
    flow = tfp_flows.flows.maf(2, context_size=1)  # which does not know the context yet
    assert tfp_flows.diagnostics.sbc(flow, x, context).p_value < 0.01
    ```

    Bands and p-values hold for all points of a column together, as they were simulated.

    Source: Talts et al. (2018), arXiv:1804.06788; bands, Saeilynoja, Buerkner and Vehtari
    (2022), arXiv:2103.10522.

    Args:
      flow: a TFP distribution, or a model around one. An unconditional one has the ranks of its
        marginals looked at.
      x: data `[N, *event]`.
      context: contexts `[N, *context]` of a conditional flow.
      num_samples: S, samples for each row.
      num_rows: the most rows that are used; which ones follows from `seed`.
      seed: a Python `int`, also of samples and simulations.

    Returns:
      A `Calibration`.

    Raises:
      TypeError: if `flow` is no distribution, or `x` or `context` are no numbers.
      ValueError: if shapes do not fit, a context is missing or none is taken, or a number is not
        finite.
      ImportError: if scipy is not installed.
    """
    flow = distribution_of(flow)
    num_samples = _checks.integer_at_least(num_samples, 1, "num_samples")
    x, context = checked_rows(flow, x, context, num_rows, seed)
    all_finite(x, "`x`")
    count = len(x)
    if context is None:
        samples, _ = samples_and_log_prob(flow, num_samples * count, None, seed)
    else:
        samples, _ = samples_and_log_prob(flow, num_samples, context, seed)
    samples = np.reshape(samples, [num_samples, count, -1])
    all_finite(samples, "Samples of `flow`")
    rng = np.random.default_rng(seed)
    flat = np.reshape(x, [count, -1])
    # Ties, as those of whole numbers, are broken at random.
    below, equal = np.sum(samples < flat, axis=0), np.sum(samples == flat, axis=0)
    ranks = below + rng.integers(0, equal + 1)
    uniform = rng.integers(0, num_samples + 1, size=[count, _SIMULATIONS])
    # Each point is the share of ranks below k, whose chance is k / (S + 1).
    k = np.unique(np.linspace(1, num_samples, min(num_samples, 50)).astype(int))
    points = k / (num_samples + 1)
    unlikely = _unlikeliness(_counts(uniform, k), count, points)
    observed = _counts(ranks, k)
    p_values = (1 + np.sum(unlikely <= _unlikeliness(observed, count, points)[:, None], axis=1)) / (
        1 + _SIMULATIONS
    )
    binomial = optional("scipy.stats").binom
    gamma = np.quantile(unlikely, 0.05)
    of_context = None
    if context is not None:
        of_context = _statistics.dependence_p_value(ranks, context)
    given = [_statistics.smallest_of(p_values)] + ([] if of_context is None else [of_context])
    return Calibration(
        ranks=ranks,
        num_samples=num_samples,
        points=points,
        ecdf=observed / count,
        band_low=binomial.ppf(gamma / 2, count, points) / count,
        band_high=binomial.ppf(1 - gamma / 2, count, points) / count,
        column_p_values=p_values,
        context_p_value=of_context,
        p_value=_statistics.smallest_of(given),
    )


def _counts(ranks: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Rows whose rank is below each of `k`, `[K, columns]`."""
    return np.stack([np.sum(ranks < each, axis=0) for each in k])


def _unlikeliness(counts: np.ndarray, num_rows: int, points: np.ndarray) -> np.ndarray:
    """The smallest two-sided binomial probability over all points, of each column."""
    binomial, points = optional("scipy.stats").binom, points[:, np.newaxis]
    low = binomial.cdf(counts, num_rows, points)
    high = binomial.sf(counts - 1, num_rows, points)
    return np.min(np.minimum(1.0, 2 * np.minimum(low, high)), axis=0)
