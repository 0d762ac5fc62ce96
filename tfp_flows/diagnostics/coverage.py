"""The coverage of regions of highest density."""

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
    continuous,
    distribution_of,
    log_prob,
)
from tfp_flows.diagnostics._samples import samples_and_log_prob


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The result of `tfpf.diagnostics.coverage`.

    Attributes:
      levels: credibilities of regions, from 0 to 1, `[L]`.
      shares: the share of rows in the region of each level, `[L]`. It is the level itself if the
        flow is exact, less if the flow is too narrow or shifted, and more if it is too wide.
      bands: the largest distance of a share from its level in 95 of 100 exact flows, for each level
        alone, `[L]`.
      credibilities: the level of the smallest region that holds a row, `[N]`.
      p_value: for credibilities that are uniform and, given a context, do not depend on it: the
        smaller of the two below, corrected for their number.
      uniform_p_value: for uniform credibilities alone (Kolmogorov and Smirnov).
      context_p_value: for independence of the context alone, or `None`.

    Example:
      >>> import numpy as np
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> normal = tfp.distributions.MultivariateNormalDiag([0.0, 0.0])
      >>> x = np.random.default_rng(1).normal(size=[100, 2])
      >>> result = tfpf.diagnostics.coverage(normal, x)
      >>> result.levels.shape, result.p_value > 0.01
      ((101,), True)
    """

    levels: np.ndarray
    shares: np.ndarray
    bands: np.ndarray
    credibilities: np.ndarray
    p_value: float
    uniform_p_value: float
    context_p_value: float | None

    def __str__(self) -> str:
        p = f"exact flows deviate this much with p = {self.p_value:.2g}"
        if self.context_p_value is not None:
            p += " (the smaller p of the levels and the context, corrected for their number)"
        lines = [f"Coverage of {len(self.credibilities)} rows: {p}."]
        for level in (0.5, 0.8, 0.95):
            i = int(np.argmin(np.abs(self.levels - level)))
            lines.append(
                f"  region of {self.levels[i]:.0%} holds {self.shares[i]:.1%} "
                f"(+- {self.bands[i]:.1%} by chance)"
            )
        if self.context_p_value is not None:
            lines.append(f"  independent of the context: p = {self.context_p_value:.2g}")
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """Draws shares against levels, with the band of an exact flow.

        Args:
          ax: axes of matplotlib, or `None` for a new figure.

        Returns:
          The axes.
        """
        ax = axes_or_new(ax)
        low, high = self.levels - self.bands, self.levels + self.bands
        ax.fill_between(self.levels, low, high, color="0.85")
        ax.plot(self.levels, self.levels, color="black", linestyle="--", linewidth=1)
        ax.plot(self.levels, self.shares)
        ax.set_xlabel("level of the region of highest density")
        ax.set_ylabel("share of rows within it")
        return ax


def coverage(
    flow: tfd.Distribution | keras.Layer,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    num_samples: int = 200,
    num_rows: int = 500,
    seed: int = 0,
) -> Coverage:
    r"""$\text{share}(a) = \text{mean}_n [P(p(X | c_n) > p(x_n | c_n)) \le a]$

    Tests whether each region of highest density holds the share of data that it promises.

    The region of level a has the highest density and holds a share a of the flow's own draws. So
    share(a) should be a. A flow that is too narrow, or shifted, has fewer data in the region; one
    that is too wide has more. A conditional flow may ignore its context but have the right
    marginal. Then its shares are right on average. So with contexts the test also asks whether
    credibilities depend on them.

    The cost is `num_samples` samples and densities; for a conditional flow for each row.

    Source: Hermans et al. (2022), arXiv:2110.06581; Hyndman (1996), Computing and graphing highest
    density regions.

    Args:
      flow: a TFP distribution with `sample` and `log_prob`, or a model or layer around one.
      x: data `[N, *event]`. Whole numbers of a `WholeColumns` or `Dequantized` get noise, and the
        continuous `.distribution` is tested.
      context: contexts `[N, *context]` of a conditional flow.
      num_samples: draws whose densities are compared; ten times as many for an unconditional flow.
      num_rows: the most rows that are used; `seed` decides which.
      seed: a Python `int`, also for the draws.

    Returns:
      A `Coverage`.

    Raises:
      TypeError: if `flow` is not a distribution, or `x` or `context` are not numbers.
      ValueError: if shapes do not fit, a context is missing or is given where none is taken, or a
        density is NaN.
      ImportError: if scipy is not installed.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=1, hidden_units=(4,))  # starts as a normal
      >>> x = 2.0 * np.random.default_rng(1).normal(size=[100, 2])
      >>> result = tfpf.diagnostics.coverage(flow, x, num_samples=20)
      >>> result.p_value < 0.01, bool(result.shares[50] < 0.4)  # the flow is too narrow
      (True, True)

    See also: `tfpf.diagnostics.sbc`, which looks at each column.
    """
    flow = distribution_of(flow)
    num_samples = _checks.integer_at_least(num_samples, 10, "num_samples")
    flow, x = continuous(flow, x)
    x, context = checked_rows(flow, x, context, num_rows, seed)
    if context is None:
        num_samples *= 10
    density = all_finite(log_prob(flow, x, context), "Log-densities of `x`")
    _, of_samples = samples_and_log_prob(flow, num_samples, context, seed)
    all_finite(of_samples, "Log-densities of samples")
    of_samples = of_samples if context is not None else of_samples[:, np.newaxis]
    # Ties are broken at random. A uniform density has them, for example.
    tie = np.random.default_rng(seed).uniform(size=len(x))
    above, equal = (np.sum(t, axis=0) for t in (of_samples > density, of_samples == density))
    credibilities = (above + tie * (equal + 1)) / (num_samples + 1)
    reference = num_samples if context is None else None
    uniform = _statistics.uniform_p_value(credibilities, reference)
    of_context = None
    if context is not None:
        of_context = _statistics.dependence_p_value(credibilities, context)
    levels = np.linspace(0.0, 1.0, 101)
    weight = 1 / len(x) + (1 / reference if reference else 0.0)
    deviation = np.sqrt(levels * (1 - levels) * weight)
    p_values = [p for p in (uniform, of_context) if p is not None]
    return Coverage(
        levels=levels,
        shares=np.mean(credibilities[:, np.newaxis] <= levels, axis=0),
        bands=float(optional("scipy.stats").norm.ppf(0.975)) * deviation,
        credibilities=credibilities,
        p_value=_statistics.smallest_of(p_values),
        uniform_p_value=uniform,
        context_p_value=of_context,
    )
