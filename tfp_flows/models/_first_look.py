"""Checks a source of batches before the first step is made."""

import types
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows._lost_digits import warn_of_lost_digits
from tfp_flows.models._rows import Rows


def looked_at(batches: Any, rows: Rows) -> tuple[Any, bool]:
    """Refuses batches that no step can take, and warns if a cast would lose digits.

    This comes first because a step that raises while it is traced cannot be used again, and the
    model may have begun to change. A dataset is checked by its specification. Its first batch is
    read only if that does not say enough, since filling a buffer may take long. Every batch of a
    generator is checked.

    Args:
      batches: a `tf.data.Dataset`, `keras.utils.PyDataset` or generator; others are not checked.
      rows: the `Rows` of the model.

    Returns:
      `(batches, is_empty)`. Use these batches in place of those that were given.
    """
    if isinstance(batches, tf.data.Dataset):
        return batches, _look_at_dataset(batches, rows)
    if isinstance(batches, keras.utils.PyDataset):
        if batches.num_batches == 0:
            return batches, True
        _look(batches[0], rows)
        return batches, False
    if isinstance(batches, types.GeneratorType):
        first = next(batches, None)
        if first is None:
            return batches, True
        _look(first, rows)
        return _watched(first, batches, rows), False
    return batches, False


def with_batches(batches: Any, rows: Rows, name: str) -> Any:
    """The batches that `looked_at` returns; the error for an empty source has its name."""
    batches, is_empty = looked_at(batches, rows)
    if is_empty:
        raise no_batches(name, batches)
    return batches


def no_batches(name: str, batches: Any) -> ValueError:
    """The error for a source without batches."""
    return ValueError(f"`{name}` must have batches. Received: {name}={batches!r} without any")


def _look_at_dataset(dataset: tf.data.Dataset, rows: Rows) -> bool:
    """Checks a dataset; returns whether it is empty."""
    specs = tf.nest.flatten(dataset.element_spec)
    with tf.Graph().as_default():
        rows.unpacked(tf.nest.map_structure(_placeholder, dataset.element_spec))
    cardinality = int(dataset.cardinality())
    is_wide = any(rows.loses_digits(spec) for spec in specs if isinstance(spec, tf.TensorSpec))
    if cardinality == 0 or not (is_wide or cardinality == tf.data.UNKNOWN_CARDINALITY):
        return cardinality == 0
    first = next(iter(dataset), None)
    if first is None:
        return True
    _look(first, rows)
    return False


def _placeholder(spec: tf.TypeSpec) -> Any:
    if isinstance(spec, tf.TensorSpec):
        return tf.compat.v1.placeholder(spec.dtype, spec.shape)
    return None if spec == tf.type_spec_from_value(None) else spec


def _look(batch: Any, rows: Rows) -> None:
    """Refuses a batch that no step can take; warns if a cast would lose digits."""
    named = _checked_parts(batch, rows)
    tensors = tf.nest.map_structure(
        lambda part: tf.convert_to_tensor(part) if hasattr(part, "__array__") else part, batch
    )
    rows.unpacked(tensors)
    for name, part in named.items():
        if part is not None and name != "sample_weight":
            warn_of_lost_digits(np.asarray(part), rows.numpy_dtype(name), name)


def _checked_parts(batch: Any, rows: Rows) -> dict[str, Any]:
    """The parts of a batch by name; refuses those that are sparse, have gaps or no numbers."""
    parts = batch if isinstance(batch, tuple | list) else (batch,)
    if len(parts) == 2 and isinstance(parts[0], tuple):
        names = ("context", "x")[-len(parts[0]) :]
        parts, names = (*parts[0], parts[1]), (*names, "sample_weight")
    else:
        names = ("context", "x") if rows.is_conditional else ("x", "context")
        names = (*names, "sample_weight")
    named = dict(zip(names, parts, strict=False))
    for name, part in named.items():
        _checks.plain(part, name)
        kind = getattr(getattr(part, "dtype", None), "kind", "f")
        if kind not in "fiubV":  # V is numpy's kind of bfloat16
            raise TypeError(f"`{name}` must be numbers. Received: {name}.dtype={part.dtype}")
    return named


def _watched(first: Any, rest: Iterator[Any], rows: Rows) -> Iterator[Any]:
    yield first
    for batch in rest:
        _checked_parts(batch, rows)
        yield batch
