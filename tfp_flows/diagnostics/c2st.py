"""The classifier two-sample test: can a classifier tell data from samples?"""

import dataclasses
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike
from tensorflow_probability import distributions as tfd

from tfp_flows import _checks
from tfp_flows.diagnostics._optional import axes_or_new, optional
from tfp_flows.diagnostics._rows import (
    all_finite,
    checked_rows,
    distribution_of,
)
from tfp_flows.diagnostics._samples import samples


@dataclasses.dataclass(frozen=True)
class ClassifierTest:
    """The result of `tfpf.diagnostics.c2st`.

    Attributes:
      accuracy: the share of held-out rows that are classified correctly. It is 0.5 if the flow is
        exact, and 1 if every row is recognized.
      p_value: for a classifier that only guesses, from the binomial distribution (one-sided).
      num_test: the number of held-out rows, data and samples together.
      probabilities: the classifier's probability that a held-out row is data, `[num_test]`.
      is_data: whether it is data, `[num_test]`.

    Example:
      >>> import numpy as np
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> normal = tfp.distributions.MultivariateNormalDiag([0.0, 0.0])
      >>> x = np.random.default_rng(1).normal(3.0, 1.0, size=[60, 2])
      >>> result = tfpf.diagnostics.c2st(normal, x)
      >>> result.num_test, result.p_value < 0.01
      (60, True)
    """

    accuracy: float
    p_value: float
    num_test: int
    probabilities: np.ndarray
    is_data: np.ndarray

    def __str__(self) -> str:
        return (
            f"Classifier two-sample test: {self.accuracy:.1%} of {self.num_test} held-out rows "
            f"classified correctly (50% by guessing), p = {self.p_value:.2g}."
        )

    def plot(self, ax: Any = None) -> Any:
        """Draws how sure the classifier is, for data and samples: the same if the flow is exact.

        Args:
          ax: axes of matplotlib, or `None` for a new figure.

        Returns:
          The axes.
        """
        ax = axes_or_new(ax)
        bins = np.linspace(0.0, 1.0, 21)
        for label, chosen in (("data", self.is_data), ("samples", ~self.is_data)):
            ax.hist(self.probabilities[chosen], bins, alpha=0.5, label=label)
        ax.set_xlabel("probability of being data, by the classifier")
        ax.set_ylabel("held-out rows")
        ax.legend()
        return ax


def c2st(
    flow: tfd.Distribution | keras.Layer,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    classifier: Any = None,
    num_rows: int = 2000,
    seed: int = 0,
) -> ClassifierTest:
    r"""$\text{accuracy} = P(\text{a classifier recognizes a held-out row as data or sample})$

    Trains a classifier to tell data from samples: its accuracy is 1/2 if the flow is exact.

    One sample is drawn for each row. Half of the pairs train the classifier, the other half test
    it. Contexts are inputs of the classifier, too, so it notices if a flow ignores them.

    The test sees only what its classifier can learn, so an accuracy near 1/2 is no proof. By
    default the classifier is scikit-learn's `MLPClassifier` on standardized columns, with early
    stopping and two layers of ten units for each column (at most 256).

    Source: Lopez-Paz and Oquab (2017), arXiv:1610.06545.

    Args:
      flow: a TFP distribution, or a model or layer around one.
      x: data `[N, *event]`.
      context: contexts `[N, *context]` of a conditional flow.
      classifier: a scikit-learn classifier, with `fit` and `predict_proba`, or `None`.
      num_rows: the most rows that are used; `seed` decides which.
      seed: a Python `int`, also for the samples, the halves and the default classifier.

    Returns:
      A `ClassifierTest`.

    Raises:
      TypeError: if `flow` is not a distribution, `x` or `context` are not numbers, or `classifier`
        lacks a method.
      ValueError: if shapes do not fit, there are fewer than 20 rows, a context is missing or is
        given where none is taken, or a number is not finite.
      ImportError: if scikit-learn is not installed.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=1, hidden_units=(4,))  # starts as a normal
      >>> x = np.random.default_rng(1).normal(3.0, 1.0, size=[60, 2])
      >>> tfpf.diagnostics.c2st(flow, x).accuracy > 0.8
      True

    See also: `tfpf.diagnostics.coverage`, `tfpf.diagnostics.latent_normality`.
    """
    flow = distribution_of(flow)
    if classifier is not None and not all(
        hasattr(classifier, method) for method in ("fit", "predict_proba")
    ):
        raise TypeError(
            f"`classifier` must have `fit` and `predict_proba`. Received: classifier={classifier!r}"
        )
    x, context = checked_rows(flow, x, context, num_rows, seed)
    if len(x) < 20:
        raise ValueError(f"`x` must have at least 20 rows. Received: x.shape={x.shape}")
    all_finite(x, "`x`")
    if context is None:
        drawn = samples(flow, len(x), None, seed)
    else:
        drawn = samples(flow, 1, context, seed)[0]
    all_finite(drawn, "Samples of `flow`")
    pairs = [np.reshape(t, [len(t), -1]) for t in (x, drawn)]
    if context is not None:
        flat = np.reshape(context, [len(context), -1])
        pairs = [np.concatenate([t, flat], axis=1) for t in pairs]
    # Both of a pair are in the same half, because they share a context.
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = np.array_split(order, 2)
    classifier = _default(pairs[0].shape[1], seed) if classifier is None else classifier
    classifier = optional("sklearn.base").clone(classifier)
    classifier.fit(np.concatenate([t[train] for t in pairs]), np.repeat([1, 0], len(train)))
    probabilities = classifier.predict_proba(np.concatenate([t[test] for t in pairs]))[:, 1]
    is_data = np.repeat([True, False], len(test))
    correct = int(np.sum((probabilities > 0.5) == is_data))
    return ClassifierTest(
        accuracy=correct / len(is_data),
        p_value=float(optional("scipy.stats").binom.sf(correct - 1, len(is_data), 0.5)),
        num_test=len(is_data),
        probabilities=probabilities,
        is_data=is_data,
    )


def _default(num_columns: int, seed: int) -> Any:
    width = min(10 * num_columns, 256)
    return optional("sklearn.pipeline").make_pipeline(
        optional("sklearn.preprocessing").StandardScaler(),
        optional("sklearn.neural_network").MLPClassifier(
            (width, width),
            max_iter=200,
            early_stopping=True,
            n_iter_no_change=20,
            learning_rate_init=3e-3,
            random_state=_checks.integer_at_least(seed, 0, "seed") % 2**32,
        ),
    )
