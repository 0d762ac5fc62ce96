"""How good a flow is as a proposal for a density that need not be normalized."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import distributions as tfd

from tfp_flows import _checks
from tfp_flows.diagnostics._optional import axes_or_new
from tfp_flows.diagnostics._pareto import pareto_smoothed
from tfp_flows.diagnostics._rows import (
    all_finite,
    distribution_of,
    given_one_context,
)
from tfp_flows.diagnostics._samples import samples_and_log_prob


@dataclasses.dataclass(frozen=True)
class Importance:
    r"""The result of `tfpf.diagnostics.importance`.

    Attributes:
      num_samples: S, the number of samples.
      pareto_k: the shape of the tail of the weights. Above `limit` the flow is not a good proposal.
      limit: $\min(1 - 1 / \log_{10} S, 0.7)$, above which estimates cannot be trusted.
      effective_samples: $(\sum_s w_s)^2 / \sum_s w_s^2$ of the smoothed weights, from 1 to S. It
        may be large for a flow that misses a part of the target, because the flow never draws from
        that part.
      elbo: the mean of $\log \tilde p(x) - \log q(x)$, in nats.
      log_normalizer: the log of the mean of the smoothed weights, in nats. It estimates
        $\log Z$ of $\tilde p = Z p$ and is at least the `elbo`.
      log_normalizer_error: its standard error, in nats.
      log_weights: $\log \tilde p(x) - \log q(x)$ of each draw, `[S]`, in nats, not smoothed.
      smoothed_log_weights: with the largest smoothed, `[S]`; the weights sum to one.
      samples: the draws, `[S, *event]`, for expectations under the target.

    Example:
      >>> import tensorflow as tf
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> normal = tfp.distributions.MultivariateNormalDiag([0.0, 0.0])
      >>> target = lambda x: -0.5 * tf.reduce_sum(x**2, axis=-1)  # the same, without the constant
      >>> result = tfpf.diagnostics.importance(normal, target, num_samples=100)
      >>> round(result.effective_samples), round(result.log_normalizer, 2)
      (100, 1.84)
    """

    num_samples: int
    pareto_k: float
    limit: float
    effective_samples: float
    elbo: float
    log_normalizer: float
    log_normalizer_error: float
    log_weights: np.ndarray
    smoothed_log_weights: np.ndarray
    samples: np.ndarray

    def __str__(self) -> str:
        verdict = "good" if self.pareto_k <= self.limit else "not to be trusted"
        return (
            f"Importance weights of {self.num_samples} samples: Pareto k = {self.pareto_k:.2f} "
            f"({verdict}; limit {self.limit:.2f}).\n"
            f"  effective samples {self.effective_samples:.0f} "
            f"({self.effective_samples / self.num_samples:.1%})\n"
            f"  ELBO {self.elbo:.4g} nats, log-normalizer {self.log_normalizer:.4g} +- "
            f"{self.log_normalizer_error:.2g} nats"
        )

    def plot(self, ax: Any = None) -> Any:
        """Draws the share of samples with a larger weight, for each weight, on logarithmic scales.

        A tail that falls as a line of slope -1 / k has the Pareto shape k.

        Args:
          ax: axes of matplotlib, or `None` for a new figure.

        Returns:
          The axes.
        """
        ax = axes_or_new(ax)
        weights = np.sort(self.log_weights)[::-1] - self.log_normalizer
        share = (np.arange(self.num_samples) + 1) / self.num_samples
        ax.loglog(np.exp(weights), share, ".", label=f"Pareto k = {self.pareto_k:.2f}")
        ax.set_xlabel("weight p(x) / q(x)")
        ax.set_ylabel("share of samples with a larger one")
        ax.legend()
        return ax


def importance(
    flow: tfd.Distribution | keras.Layer,
    target_log_prob_fn: Callable[..., ArrayLike] | None = None,
    *,
    context: ArrayLike | None = None,
    num_samples: int = 4000,
    seed: int = 0,
) -> Importance:
    r"""$w_s = \tilde p(x_s) / q(x_s), \quad x_s \sim q$

    Weighs samples of a flow q against a target density: all weights are equal if q is the target.

    The target $p = \tilde p / Z$ need not be normalized. A generalized Pareto distribution smooths
    the largest weights. Its shape k says whether they can be trusted. Below 1/2 the variance is
    finite.

    Source: Vehtari, Simpson, Gelman, Yao and Gabry (2024), arXiv:1507.02646; for variational
    inference, Yao, Vehtari, Simpson and Gelman (2018), arXiv:1802.02538.

    Args:
      flow: q, a TFP distribution or a `VariationalModel`. The model's target is the default target.
      target_log_prob_fn: $\log \tilde p$, from `[n, *event]` to `[n]`, in nats.
      context: one context `[*context]` of a conditional flow.
      num_samples: S, at least 100.
      seed: a Python `int`, for the samples.

    Returns:
      An `Importance`.

    Raises:
      TypeError: if `flow` is not a distribution, or there is no target that can be called.
      ValueError: if a context is missing or has another shape, the target gives another shape than
        `[n]`, a density of a sample is NaN, or no sample has a weight.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.iaf(2, num_layers=1, hidden_units=(8,))  # starts as a normal
      >>> target = lambda x: -0.5 * tf.reduce_sum(x**2, axis=-1)  # Z = 2 pi
      >>> result = tfpf.diagnostics.importance(flow, target, num_samples=100)
      >>> result.pareto_k < result.limit, round(result.log_normalizer, 2)
      (True, 1.84)

    See also: `tfpf.VariationalModel`.
    """
    if target_log_prob_fn is None:
        target_log_prob_fn = getattr(flow, "target_log_prob_fn", None)
    if not callable(target_log_prob_fn):
        raise TypeError(
            "`target_log_prob_fn` must be callable, or `flow` a `VariationalModel` with a target. "
            f"Received: target_log_prob_fn={target_log_prob_fn!r}"
        )
    flow = distribution_of(flow)
    num_samples = _checks.integer_at_least(num_samples, 100, "num_samples")
    flow = given_one_context(flow, context)
    seed = _checks.integer_at_least(seed, 0, "seed")
    samples, log_q = samples_and_log_prob(flow, num_samples, None, seed)
    log_p = np.asarray(target_log_prob_fn(tf.constant(samples)))
    if log_p.shape != log_q.shape:
        raise ValueError(
            "`target_log_prob_fn` must give one number for each sample, of shape "
            f"{log_q.shape}. Received: shape {log_p.shape}"
        )
    all_finite(log_q, "Log-densities of samples")
    log_weights = log_p.astype(np.float64) - log_q
    if np.isnan(log_weights).any() or not np.isfinite(log_weights.max()):
        raise ValueError(
            "`target_log_prob_fn` must be finite for at least one sample, and never NaN or +inf. "
            f"Received: {np.isnan(log_weights).sum()} NaN, the largest is {log_p.max()}"
        )
    smoothed, k = pareto_smoothed(log_weights)
    weights = np.exp(smoothed)
    total, squares = weights.sum(), np.sum(weights**2)
    effective = total**2 / squares
    return Importance(
        num_samples=num_samples,
        pareto_k=k,
        limit=min(1 - 1 / math.log10(num_samples), 0.7),
        effective_samples=float(effective),
        elbo=float(log_weights.mean()),
        log_normalizer=float(log_weights.max() + np.log(total / num_samples)),
        log_normalizer_error=float(np.sqrt(max(1 / effective - 1 / num_samples, 0.0))),
        log_weights=log_weights,
        smoothed_log_weights=smoothed - np.log(total),
        samples=samples,
    )
