"""Whether data, mapped to the base, look like draws of the base."""

import dataclasses
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike
from tensorflow_probability import distributions as tfd

from tfp_flows.diagnostics import _statistics
from tfp_flows.diagnostics._latents import DRAWS, latent_scores
from tfp_flows.diagnostics._optional import axes_or_new, optional
from tfp_flows.diagnostics._rows import checked_rows, continuous, distribution_of


@dataclasses.dataclass(frozen=True)
class LatentNormality:
    """The result of `tfpf.diagnostics.latent_normality`.

    Attributes:
      scores: the normal scores z of the latents, `[N, D]`: standard normal if the flow is exact.
      means: the mean of each latent, `[D]`, in standard deviations of the base.
      deviations: the standard deviation of each latent, `[D]`. It is one if the flow is exact, and
        above one if the flow is too narrow.
      column_p_values: for each latent, a column of `scores`, being standard normal (Kolmogorov and
        Smirnov), `[D]`. Most flows mix columns of data in each latent.
      density_p_value: for the base's density at the latents being distributed as at its draws.
      correlation_p_value: for uncorrelated columns and uncorrelated squares. `None` for one
        column, or for a base that is not a standard normal.
      context_p_value: for latents and squares that do not depend on the context, or `None`.
      p_value: the smallest of all of these, corrected for their number.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=2, hidden_units=(8,))  # starts as a normal
      >>> x = np.random.default_rng(1).normal(size=[100, 2])
      >>> result = tfpf.diagnostics.latent_normality(flow, x)
      >>> result.scores.shape, result.p_value > 0.01
      ((100, 2), True)
    """

    scores: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    column_p_values: np.ndarray
    density_p_value: float
    correlation_p_value: float | None
    context_p_value: float | None
    p_value: float

    def __str__(self) -> str:
        worst = int(np.argmin(self.column_p_values))
        lines = [
            f"Latents of {len(self.scores)} rows: draws of the base deviate this much with "
            f"p = {self.p_value:.2g} (the smallest p of all tests, corrected for their number).",
            f"  means {_extremes(self.means)}, deviations {_extremes(self.deviations)}",
            f"  latent {worst} fits worst (latents mix columns): "
            f"p = {self.column_p_values[worst]:.2g}",
            f"  density: p = {self.density_p_value:.2g}",
        ]
        if self.correlation_p_value is not None:
            lines.append(f"  correlations: p = {self.correlation_p_value:.2g}")
        if self.context_p_value is not None:
            lines.append(f"  independent of the context: p = {self.context_p_value:.2g}")
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Draws the quantiles of each column against those of a standard normal.

        If the flow is exact, they lie on the diagonal.

        Args:
          ax: axes of matplotlib, or `None` for a new figure.

        Returns:
          The axes.
        """
        ax = axes_or_new(ax)
        count = len(self.scores)
        exact = optional("scipy.stats").norm.ppf((np.arange(count) + 0.5) / count)
        ax.plot(exact, np.sort(self.scores, axis=0), linewidth=1)
        ax.plot(exact, exact, color="black", linestyle="--", linewidth=1)
        ax.set_xlabel("quantile of a standard normal")
        ax.set_ylabel("quantile of the latents")
        return ax


def latent_normality(
    flow: tfd.Distribution | keras.Layer,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    num_rows: int = 2000,
    seed: int = 0,
) -> LatentNormality:
    r"""$z = \Phi^{-1}(F_u(f^{-1}(x)))$

    Tests whether data, mapped to the base, are distributed as its draws.

    Columns are tested one by one. All of them together are tested by the density, by correlations
    of columns and of their squares, and by correlations with the context. If the base is not a
    standard normal, latents are ranked among 1,000 of its draws, and z are the normal scores of
    these ranks.

    The p-value is small if the flow is wrong; it is below 0.01 for one out of a hundred exact
    flows. Use data that were held out: for data that the flow was trained on, the p-value may be
    large even if the flow is wrong elsewhere.

    Args:
      flow: a `TransformedDistribution`, as recipes return, or a model or layer around one.
      x: data `[N, *event]`. Whole numbers of a `WholeColumns` or `Dequantized` get noise, and the
        continuous `.distribution` is tested.
      context: contexts `[N, *context]` of a conditional flow.
      num_rows: the most rows that are used; `seed` decides which.
      seed: a Python `int`, also for the draws of the base.

    Returns:
      A `LatentNormality`.

    Raises:
      TypeError: if `flow` is not such a distribution, or `x` or `context` are not numbers.
      ValueError: if shapes do not fit, a context is missing or is given where none is taken, or a
        latent is not finite.
      ImportError: if scipy is not installed.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=2, hidden_units=(8,))  # starts as a normal
      >>> x = np.random.default_rng(1).normal(1.0, 1.0, size=[100, 2])
      >>> result = tfpf.diagnostics.latent_normality(flow, x)
      >>> result.p_value < 0.01, bool(result.means.min() > 0.5)  # the flow is shifted
      (True, True)

    See also: `tfpf.diagnostics.coverage`, `tfpf.diagnose`.
    """
    flow = distribution_of(flow)
    flow, x = continuous(flow, x)
    x, context = checked_rows(flow, x, context, num_rows, seed)
    scores, density_ranks, is_normal = latent_scores(flow, x, context, seed)
    # Ranks among draws that all rows share are less certain than exact probabilities.
    num_draws = None if is_normal or context is not None else DRAWS
    stats = optional("scipy.stats")
    columns = [_statistics.uniform_p_value(stats.norm.cdf(z), num_draws) for z in scores.T]
    result: dict[str, Any] = {
        "density_p_value": _statistics.uniform_p_value(density_ranks, num_draws),
        "correlation_p_value": _correlation_p_value(scores, is_normal),
        "context_p_value": None,
    }
    if context is not None:
        both = np.concatenate([scores, scores**2], axis=1)
        result["context_p_value"] = _statistics.dependence_p_value(both, context)
    given = [p for p in result.values() if p is not None]
    return LatentNormality(
        scores=scores,
        means=scores.mean(axis=0),
        deviations=scores.std(axis=0),
        column_p_values=np.array(columns),
        p_value=_statistics.smallest_of([_statistics.smallest_of(columns), *given]),
        **result,
    )


def _correlation_p_value(z: np.ndarray, is_normal: bool) -> float | None:
    """The p-value that no columns, nor their squares, are correlated: the smallest, corrected."""
    if not is_normal or z.shape[1] == 1:
        return None
    stats, above = optional("scipy.stats"), np.triu_indices(z.shape[1], 1)
    p_values = []
    for columns in (z, z**2):
        ranks = stats.rankdata(columns, axis=0)
        correlation = np.clip(np.corrcoef(ranks, rowvar=False)[above], -1 + 1e-12, 1 - 1e-12)
        p_values.append(2 * stats.norm.sf(np.abs(np.arctanh(correlation)) * np.sqrt(len(z) - 3)))
    return _statistics.smallest_of(p_values)


def _extremes(values: np.ndarray) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"
