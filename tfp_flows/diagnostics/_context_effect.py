"""Whether a layer uses its context."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfp_flows.bijectors._moved_weights import moved
from tfp_flows.conditioning import condition


def context_effect(
    bijector: Any, evaluate: Callable[[Any], Iterable[ArrayLike]], context: np.ndarray
) -> float | None:
    """The most that results move when rows exchange contexts.

    A flow that is not trained yet may have last layers of zeros, which hide what its networks see.
    So if nothing moves, the weights are moved for a second look and then put back. Zero means that
    nothing moves then either, NaN that something does.

    Args:
      bijector: a part, or a distribution, that takes a context.
      evaluate: a callable. It takes the part bound to contexts and gives a tuple of tensors
        `[N, ...]`.
      context: contexts `[N, ...]`.

    Returns:
      A `float`, or `None` if all contexts are the same.
    """
    others = np.roll(context, 1, axis=0)
    if np.array_equal(context, others):
        return None
    effect = _difference(bijector, evaluate, context, others)
    if effect != 0.0:
        return effect
    with moved(bijector.trainable_variables):
        return 0.0 if _difference(bijector, evaluate, context, others) == 0.0 else np.nan


def _difference(
    bijector: Any,
    evaluate: Callable[[Any], Iterable[ArrayLike]],
    context: np.ndarray,
    others: np.ndarray,
) -> float:
    pairs = zip(
        evaluate(condition(bijector, context)), evaluate(condition(bijector, others)), strict=True
    )
    differences = [np.abs(np.asarray(a) - np.asarray(b)) for a, b in pairs]
    return float(max(np.max(d[np.isfinite(d)], initial=0.0) for d in differences))
