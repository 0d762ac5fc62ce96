"""Warns before training if data are far from standard or outside of a flow's splines."""

import inspect
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks
from tfp_flows._tree import bijectors_to_base, walk
from tfp_flows.bijectors import (
    ActNorm,
    Affine,
    BatchNorm,
    CircularSpline,
    FlowBijector,
    Standardize,
)
from tfp_flows.distributions._support import parts_to_base
from tfp_flows.models._adapting import first_batch

tfd = tfp.distributions
tfb = tfp.bijectors

# A column is far from standard if its mean is more than 3 times the larger of 1 and its deviation,
# so that a standard normal base loses 4.5 nats per row, or if its deviation is 10 times off.
_MEAN, _FACTOR = 3.0, 10.0
# The share of rows outside of the splines in a column that gives a warning.
_OUTSIDE = 0.1
# Moments of fewer rows than the first say little, and more rows than the second change nothing.
_LEAST_ROWS, _MOST_ROWS = 16, 1000
_WITH_NETWORKS = (FlowBijector, tfb.MaskedAutoregressiveFlow, tfb.RealNVP)


class RawData:
    """Warns once if columns are far from standard at the first trained layer of a flow.

    The parts before that layer, such as `tfb.Sigmoid` or `Standardize`, are evaluated eagerly on at
    most 1,000 rows, drawn at random. Flows of images and series are not checked, nor flows whose
    first layer learns location and scale itself, as `ActNorm` does.

    Args:
      distribution: a TFP distribution.
    """

    def __init__(self, distribution: tfd.Distribution) -> None:
        self._distribution = distribution
        self._has_looked = False

    def look_at_rows(self, x: Any, sample_weight: Any = None) -> None:
        """Checks an array `[N, *event_shape]`, without the rows whose `sample_weight` is zero."""
        found = None if self._has_looked else _first_trained(self._distribution)
        self._has_looked = True
        if found is None:
            return
        if sample_weight is not None:
            x = x[np.asarray(sample_weight) > 0]
        x = np.asarray(x)
        if len(x) > _MOST_ROWS:
            # Rows at even steps would all be of one kind where kinds alternate.
            x = x[np.sort(np.random.default_rng(0).choice(len(x), _MOST_ROWS, replace=False))]
        if len(x) >= _LEAST_ROWS:
            fixed, layer, intervals = found
            _warn(fixed, layer, intervals, x)

    def looked_at(self, batches: Any, unpacked: Any) -> Any:
        """Checks the first batch of a dataset, `PyDataset` or generator.

        Args:
          batches: what Keras's `fit` takes for data.
          unpacked: a function of a batch that returns `(x or (context, x), weights or None)`.

        Returns:
          `batches`, or an iterator over the same batches if reading the first has used it up.
        """
        if self._has_looked or _first_trained(self._distribution) is None:
            return batches
        (inputs, weight), batches = first_batch(batches, unpacked)
        x = inputs[1] if isinstance(inputs, tuple) else inputs
        self.look_at_rows(x.numpy(), weight)
        return batches


def _first_trained(distribution: tfd.Distribution) -> Any:
    """`(parts before it, the first trained layer, intervals)`; `None` if nothing is to check.

    Parts are pairs `(bijector, is_inverted)`; the intervals are those of all splines of the flow.
    """
    bijectors, _ = bijectors_to_base(distribution)
    if not bijectors or not isinstance(distribution.event_shape, tf.TensorShape):
        return None
    if distribution.event_shape.rank not in (0, 1) or not distribution.dtype.is_floating:
        return None
    parts = [part for bijector in bijectors for part in parts_to_base(bijector)]
    fixed: list[Any] = []
    for part, is_inverted in parts:
        if part.trainable_variables or getattr(part, "context_size", 0):
            nodes = [node for node, _ in parts for node in walk(node)]
            if not _expects_standard(part) or any(_is_circular(node) for node in nodes):
                return None
            return fixed, part, [i for node in nodes if (i := _interval(node)) is not None]
        fixed.append((part, is_inverted))
    return None


def _expects_standard(part: Any) -> bool:
    """Whether a layer has no part that learns location and scale by itself."""
    if isinstance(part, Affine) or any(
        isinstance(node, ActNorm | BatchNorm | Standardize) for node in walk(part)
    ):
        return False
    return isinstance(part, _WITH_NETWORKS)


def _is_circular(node: Any) -> bool:
    return isinstance(node, CircularSpline) or getattr(node, "transformer", None) is CircularSpline


def _interval(node: Any) -> tuple[float, float] | None:
    """The interval of a spline, or of the one that a layer's network makes; else `None`."""
    if hasattr(node, "range_min") and hasattr(node, "bin_widths"):
        low, widths = np.asarray(node.range_min), np.asarray(node.bin_widths)
        return float(low.min()), float((low + widths.sum(axis=-1)).max())
    new = getattr(getattr(node, "transformer", None), "new", None)
    names = inspect.signature(new).parameters if new is not None else {}
    if not {"bound", "unit_interval"} <= set(names):
        return None
    kwargs = {name: names[name].default for name in ("bound", "unit_interval")}
    kwargs.update(node.transformer_kwargs)
    bound = kwargs["bound"]
    return (0.0, 1.0) if kwargs["unit_interval"] else (-bound, bound)


def _warn(fixed: Any, layer: Any, intervals: Any, x: np.ndarray) -> None:
    """Warns once of rows `[N, ...]` if they are far from standard or outside of the splines."""
    z = tf.constant(x)
    for part, is_inverted in fixed:
        z = part.forward(z) if is_inverted else part.inverse(z)
    z = np.asarray(z, np.float64).reshape([len(x), -1])
    standards = [node for part, _ in fixed for node in walk(part) if isinstance(node, Standardize)]
    is_adapted = bool(standards) and not all(
        np.all(np.asarray(node.mean) == 0.0) and np.all(np.asarray(node.scale) == 1.0)
        for node in standards
    )
    # After `Standardize` only long tails are left, and standardizing again would not help.
    far = None if is_adapted else _far(z)
    reason = far or _outside(z, intervals)
    if reason is None:
        return
    expected = "have zero mean and unit scale" if far else "lie within the bound of the splines"
    advice = "put `tfp_flows.bijectors.Standardize` at the data's end of the flow and call "
    if is_adapted:
        advice = "give the flow a larger `bound`, beyond the standardized data, or call "
    elif standards:
        advice = "let `Standardize` learn from the data first: call "
    elif not far:
        advice = f"give the flow a larger `bound`, or {advice}"
    _checks.warn(
        f"`x` should {expected} where the flow begins to learn: {advice}`model.adapt`. "
        f"Received: {reason}, at `{layer.name}`"
    )


def _far(z: np.ndarray) -> str | None:
    """Describes the column that is furthest from standard, or returns `None`."""
    with np.errstate(all="ignore"):
        mean, deviation = z.mean(axis=0), z.std(axis=0)
        size = np.abs(mean) / np.maximum(deviation, 1.0) / _MEAN
        # A column that does not vary has another fault; NaN compares as False.
        eps = np.finfo(np.float32).eps
        varies = deviation > 4.0 * eps * np.abs(mean)
        scale = np.maximum(deviation, np.where(varies, 1.0 / deviation, 0.0)) / _FACTOR
        excess = np.nan_to_num(np.maximum(size, scale), nan=0.0)
    column = int(excess.argmax())
    if excess[column] <= 1.0:
        return None
    count = int((excess > 1.0).sum())
    return (
        f"{count} of {z.shape[1]} columns far from that, such as column {column} with a mean of "
        f"{mean[column]:.4g} and a standard deviation of {deviation[column]:.4g}"
    )


def _outside(z: np.ndarray, intervals: Any) -> str | None:
    """Describes the column with most rows outside of all splines, or returns `None`."""
    if not intervals:
        return None
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    shares = ((z < low) | (z > high)).mean(axis=0)
    column = int(shares.argmax())
    if shares[column] <= _OUTSIDE:
        return None
    return (
        f"column {column} with {shares[column]:.0%} of the rows outside of [{low:.4g}, "
        f"{high:.4g}], where splines end"
    )
