"""Tells arrays from sources of batches, and splits arrays into kept and held-out rows."""

from typing import Any, TypeGuard

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks


def is_array(x: Any) -> TypeGuard[ArrayLike]:
    """Whether x is an array of data, not a source of batches."""
    return tf.is_tensor(x) or isinstance(x, np.ndarray | list) or hasattr(x, "__array__")


def checked_dataset(x: Any, **not_taken: Any) -> Any:
    """Refuses x unless it is a source of batches, and arguments that belong in the batches."""
    _checks.plain(x, "x" if not_taken.get("y") is None else "context")
    if x is None or isinstance(x, tuple | dict | str | bytes) or not hasattr(x, "__iter__"):
        if not isinstance(x, keras.utils.PyDataset):
            raise ValueError(
                "`x` must be an array or a dataset of batches. A context is a separate argument "
                f"before x: `fit(context, x)`. Received: x of type {type(x).__name__}"
            )
    for name, value in not_taken.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must not be given with a dataset, whose batches hold it. "
                f"Received: {name} of type {type(value).__name__}"
            )
    return x


def split(
    arrays: tuple[np.ndarray, ...], sample_weight: np.ndarray | None, validation_split: float
) -> tuple[tuple[np.ndarray, ...], np.ndarray | None, tuple[Any, ...]]:
    """Returns the kept arrays, their weights, and the held-out rows as `validation_data`."""
    if not 0 < validation_split < 1:
        raise ValueError(
            "`validation_split` must be between 0 and 1. "
            f"Received: validation_split={validation_split!r}"
        )
    at = int(len(arrays[0]) * (1 - validation_split))
    held_out = tuple(array[at:] for array in arrays)
    if at == 0 or len(held_out[0]) == 0:
        raise ValueError(
            "`validation_split` must leave rows on both sides. "
            f"Received: validation_split={validation_split!r} of {len(arrays[0])} rows"
        )
    first, second = held_out if len(held_out) == 2 else (held_out[0], None)
    if sample_weight is None:
        return tuple(array[:at] for array in arrays), None, (first, second)
    kept = tuple(array[:at] for array in arrays)
    if not sample_weight[:at].any():
        raise ValueError(
            "`sample_weight` must have a positive number in the rows of training. "
            f"Received: only zeros in the first {at} rows, validation_split={validation_split!r}"
        )
    return kept, sample_weight[:at], (first, second, sample_weight[at:])
