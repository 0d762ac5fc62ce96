"""Checks of what diagnostics are given: a flow, rows of data, their contexts, a seed."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows import _checks
from tfp_flows.conditioning import condition, context_size, waits_for_context
from tfp_flows.distributions._dequantizing import Dequantizing

# Numbers in one eager batch: some 16 MB in float32, and as much again for each hidden layer.
_NUMBERS_IN_A_BATCH = 2**18
_ROWS_IN_A_BATCH = 4096


def distribution_of(flow: Any, name: str = "flow") -> tfd.Distribution:
    """The distribution of a model or a `DistributionLayer`, or the given distribution."""
    if isinstance(flow, keras.Layer):
        flow = getattr(flow, "distribution", flow)
    is_one = isinstance(flow, tfd.Distribution)
    if not is_one or tf.nest.is_nested(flow.dtype) or tf.nest.is_nested(flow.event_shape):
        raise TypeError(
            f"`{name}` must be a TFP distribution over one tensor, or a model or layer around one. "
            f"Received: {name}={flow!r}"
        )
    return flow


def checked_rows(
    flow: tfb.Bijector | tfd.Distribution,
    x: ArrayLike,
    context: ArrayLike | None,
    num_rows: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns rows `[N, *event]`, their contexts `[N, *context]` or `None`, N at most `num_rows`.

    If there are more rows, the seed decides which of them are kept.

    Args:
      flow: a TFP distribution or bijector.
      x: anything that converts to an array of numbers `[M, *event]`.
      context: contexts `[M, *context]`, or `None`.
      num_rows: the most rows, a Python `int` of at least two.
      seed: a Python `int`.

    Raises:
      TypeError: if `x` or `context` are not numbers, or a number has the wrong type.
      ValueError: if shapes do not fit, a context is missing, or one is given and none is taken.
    """
    num_rows = _checks.integer_at_least(num_rows, 2, "num_rows")
    x = array_of_rows(x, "x")
    context = checked_context(flow, context, len(x))
    if isinstance(flow, tfd.Distribution):
        _check_events(flow, x)
        if flow.batch_shape.rank != 0:
            raise ValueError(
                "`flow` must have no batch shape: give the flow without a context, and the "
                f"contexts of the rows as `context`. Received: batch_shape={flow.batch_shape}"
            )
    rng = np.random.default_rng(_checks.integer_at_least(seed, 0, "seed"))
    if len(x) > num_rows:
        kept = rng.permutation(len(x))[:num_rows]
        x, context = x[kept], None if context is None else context[kept]
    dtype = tf.as_dtype(flow.dtype or tf.float32).as_numpy_dtype
    return x.astype(dtype), context


def continuous(flow: Any, x: ArrayLike) -> tuple[Any, ArrayLike]:
    """The continuous distribution below one of whole numbers, and rows with noise; or the same.

    The noise is that of inference mode, which is always the same.

    Raises:
      TypeError: if `x` are not numbers.
      ValueError: if shapes do not fit, or a value is not one of the whole numbers.
    """
    if not isinstance(flow, Dequantizing):
        return flow, x
    x = array_of_rows(x, "x")
    _check_events(flow, x)
    return flow.distribution, flow._with_noise(x).numpy()


def _check_events(flow: Any, x: np.ndarray) -> None:
    if not flow.event_shape.is_compatible_with(x.shape[1:]):
        raise ValueError(
            f"`x` must have shape [N, *{tuple(flow.event_shape)}]: rows of the flow's events. "
            f"Received: x.shape={x.shape}"
        )
    if isinstance(flow, Dequantizing):
        flow.check_values(x, "x")


def array_of_rows(x: ArrayLike, name: str) -> np.ndarray:
    """An array of numbers with at least two rows."""
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"`{name}` must be numbers. Received: {name}.dtype={x.dtype}")
    if x.ndim == 0 or len(x) < 2:
        raise ValueError(
            f"`{name}` must have shape [N, ...], with at least two rows. "
            f"Received: {name}.shape={x.shape}"
        )
    return x


def checked_context(
    flow: tfb.Bijector | tfd.Distribution, context: ArrayLike | None, num_rows: int
) -> np.ndarray | None:
    """The contexts of rows, one for each, as an array; or `None`."""
    size = context_size(flow)
    if context is None:
        if waits_for_context(flow):
            raise ValueError(
                f"`context` must be given: `flow` has context_size={size}. Received: context=None"
            )
        return None
    if size == 0:
        raise ValueError(
            "`context` must be None: no part of `flow` takes one. "
            f"Received: context of shape {np.shape(context)}"
        )
    context = array_of_rows(context, "context")
    wanted = (num_rows, *_checks.context_shape(size))
    if context.shape != wanted:
        raise ValueError(
            f"`context` must have shape {wanted}, one context for each row of `x`. "
            f"Received: context.shape={context.shape}"
        )
    return context


def given_one_context(flow: tfd.Distribution, context: ArrayLike | None) -> tfd.Distribution:
    """The flow bound to one context `[*context]`, or unchanged if it takes none.

    Raises:
      ValueError: if a context is missing, none is taken, or there are several.
    """
    if context is not None:
        flow = condition(flow, context)
    if waits_for_context(flow) or flow.batch_shape.rank != 0:
        raise ValueError(
            "`context` must be one context, [*context], if `flow` takes any, and `flow` must have "
            f"no batch shape. Received: context={context!r}, batch_shape={flow.batch_shape}"
        )
    return flow


def bound(flow: Any, context: ArrayLike | None) -> Any:
    """The flow bound to the contexts, if there are any."""
    return flow if context is None else condition(flow, context)


def log_prob(
    flow: tfd.Distribution, x: np.ndarray, context: np.ndarray | None = None
) -> np.ndarray:
    """log p(x_n | c_n) of rows, `[N]` in float64, batch by batch; NaN where the flow gives NaN."""
    parts = [
        bound(flow, None if context is None else context[rows]).log_prob(tf.constant(x[rows]))
        for rows in batches(len(x), x[0].size)
    ]
    return np.concatenate(parts).astype(np.float64)


def all_finite(values: ArrayLike, what: str) -> np.ndarray:
    """Refuses values with NaN or infinity, for which no statistic makes sense."""
    values = np.asarray(values)
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(
            f"{what} must be finite; `tfp_flows.diagnose(flow, x)` says which layer is not. "
            f"Received: {bad.sum()} of {bad.size} numbers with NaN or infinity"
        )
    return values


def batches(num_rows: int, numbers_in_a_row: int, factor: int = 1) -> list[slice]:
    """Slices of rows that are evaluated at once; each row becomes `factor` rows."""
    size = max(1, min(_ROWS_IN_A_BATCH // factor, _NUMBERS_IN_A_BATCH // max(numbers_in_a_row, 1)))
    return [slice(i, min(i + size, num_rows)) for i in range(0, num_rows, size)]
