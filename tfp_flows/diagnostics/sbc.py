"""Simulation-based calibration: ranks of true values among samples of a conditional flow."""

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
)
from tfp_flows.diagnostics._samples import samples

# How many draws of uniform ranks are simulated for bands and p-values.
_SIMULATIONS = 2000
# The most columns that a legend names.
_LEGEND = 20


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The result of `tfpf.diagnostics.sbc`.

    Attributes:
      ranks: of each number of a row among its samples, `[N, D]`, integers from 0 to S: uniform if
        the flow is exact.
      num_samples: S, the number of samples.
      points: the fractions of ranks at which the distribution of ranks is compared, `[K]`.
      ecdf: the share of rows whose rank is below a fraction, `[K, D]`.
      band_low: the lower end of a band, `[K]`. It holds the whole `ecdf` of an exact column in 95
        of 100 cases.
      band_high: the upper end of the band, `[K]`.
      column_p_values: for uniform ranks in each column, `[D]`, at least 1 / 2001.
      context_p_value: for ranks that do not depend on the context, or `None`.
      p_value: the smallest of these, corrected for their number.

    Example:
      >>> import numpy as np
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> normal = tfp.distributions.MultivariateNormalDiag([0.0, 0.0])
      >>> x = np.random.default_rng(1).normal(size=[50, 2])
      >>> result = tfpf.diagnostics.sbc(normal, x, num_samples=9)
      >>> result.ranks.shape, result.p_value > 0.01
      ((50, 2), True)
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
        tests = f"{len(outside)} columns" if len(outside) > 1 else "the column"
        tests += "" if self.context_p_value is None else " and the context"
        is_corrected = len(outside) > 1 or self.context_p_value is not None
        corrected = f" (the smallest p of {tests}, corrected for their number)"
        lines = [
            f"Ranks of {len(self.ranks)} rows among {self.num_samples} samples each: exact "
            f"posteriors are this uneven with p = {self.p_value:.2g}"
            f"{corrected if is_corrected else ''}.",
            f"  {outside.sum()} of {len(outside)} columns leave the 95% band; column {worst} fits "
            f"worst: p = {self.column_p_values[worst]:.2g}",
        ]
        if self.context_p_value is not None:
            lines.append(f"  independent of the context: p = {self.context_p_value:.2g}")
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Draws the distribution of ranks minus that of uniform ranks, with the band.

        A curve that is all above or all below zero shows a shift, an S shows a wrong width.

        Args:
          ax: axes of matplotlib, or `None` for a new figure.

        Returns:
          The axes.
        """
        ax = axes_or_new(ax)
        ax.fill_between(
            self.points, self.band_low - self.points, self.band_high - self.points, color="0.85"
        )
        for i, ecdf in enumerate(self.ecdf.T):
            label = f"column {i}" if i < _LEGEND else None
            ax.plot(self.points, ecdf - self.points, linewidth=1, label=label)
        ax.legend(fontsize="small", ncols=2)
        ax.set_xlabel("fraction of samples below")
        ax.set_ylabel("share of rows, minus the fraction")
        return ax


def sbc(
    flow: tfd.Distribution | keras.Layer,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    num_samples: int = 99,
    num_rows: int = 500,
    seed: int = 0,
) -> Calibration:
    r"""$\text{rank}_{nd} = \#\{s : x_{snd} < x_{nd}\}$ of samples $x_s \sim p(\cdot | c_n)$

    Simulation-based calibration: tests whether ranks among S samples are uniform on 0 to S.

    They are if p is exact. To test a posterior, draw x from the prior, and simulate the context
    from x. A posterior that equals the prior, whatever the context, has uniform ranks, too. So the
    test also asks whether ranks depend on the context.

    Bands and p-values hold for all points of a column together, because they were simulated that
    way.

    Source: Talts et al. (2018), arXiv:1804.06788; bands, Säilynoja, Bürkner and Vehtari (2022),
    arXiv:2103.10522.

    Args:
      flow: a TFP distribution, or a model or layer around one. For an unconditional one the
        ranks of its marginals are tested.
      x: data `[N, *event]`.
      context: contexts `[N, *context]` of a conditional flow.
      num_samples: S, samples for each row.
      num_rows: the most rows that are used; `seed` decides which.
      seed: a Python `int`, also for samples and simulations.

    Returns:
      A `Calibration`.

    Raises:
      TypeError: if `flow` is not a distribution, or `x` or `context` are not numbers.
      ValueError: if shapes do not fit, a context is missing or is given where none is taken, or a
        number is not finite.
      ImportError: if scipy is not installed.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, context_size=1, num_layers=2, hidden_units=(8,))
      >>> context = np.random.default_rng(1).normal(size=[50, 1])
      >>> x = np.repeat(context, 2, axis=1)
      >>> result = tfpf.diagnostics.sbc(flow, x, context, num_samples=9)
      >>> result.p_value < 0.01  # not trained: it ignores the context
      True

    See also: `tfpf.diagnostics.coverage`.
    """
    flow = distribution_of(flow)
    num_samples = _checks.integer_at_least(num_samples, 1, "num_samples")
    x, context = checked_rows(flow, x, context, num_rows, seed)
    all_finite(x, "`x`")
    count = len(x)
    number = num_samples * count if context is None else num_samples
    drawn = np.reshape(samples(flow, number, context, seed), [num_samples, count, -1])
    all_finite(drawn, "Samples of `flow`")
    rng = np.random.default_rng(seed)
    flat = np.reshape(x, [count, -1])
    # Ties are broken at random. Whole numbers have them, for example.
    below, equal = np.sum(drawn < flat, axis=0), np.sum(drawn == flat, axis=0)
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
    """The number of rows whose rank is below each of `k`, `[K, columns]`."""
    return np.stack([np.sum(ranks < each, axis=0) for each in k])


def _unlikeliness(counts: np.ndarray, num_rows: int, points: np.ndarray) -> np.ndarray:
    """The smallest two-sided binomial probability over all points, of each column."""
    binomial, points = optional("scipy.stats").binom, points[:, np.newaxis]
    low = binomial.cdf(counts, num_rows, points)
    high = binomial.sf(counts - 1, num_rows, points)
    return np.min(np.minimum(1.0, 2 * np.minimum(low, high)), axis=0)
