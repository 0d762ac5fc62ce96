"""What is given to `fit` and `evaluate`: an array, or a source of batches; and what is held out."""

from typing import Any, TypeGuard

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks


def is_array(x: Any) -> TypeGuard[ArrayLike]:
    """Whether x is data itself, not a source of batches."""
    return tf.is_tensor(x) or isinstance(x, np.ndarray | list) or hasattr(x, "__array__")


def checked_dataset(x: Any, **not_taken: Any) -> Any:
    """Refuses what is no source of batches, and what each batch of a source has itself."""
    _checks.plain(x, "x" if not_taken.get("y") is None else "context")
    if x is None or isinstance(x, tuple | dict | str | bytes) or not hasattr(x, "__iter__"):
        if not isinstance(x, keras.utils.PyDataset):
            raise ValueError(
                "`x` must be an array, or a dataset of batches; a context is an argument of its "
                f"own, the first: `fit(context, x)`. Received: x of type {type(x).__name__}"
            )
    for name, value in not_taken.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must not be given with a dataset, which has it in its batches. "
                f"Received: {name} of type {type(value).__name__}"
            )
    return x


def split(
    arrays: tuple[np.ndarray, ...], sample_weight: np.ndarray | None, validation_split: float
) -> tuple[tuple[np.ndarray, ...], np.ndarray | None, tuple[Any, ...]]:
    """Returns what is kept, its weights, and what is held out as `validation_data`."""
    if not 0 < validation_split < 1:
        raise ValueError(
            "`validation_split` must lie between 0 and 1. "
            f"Received: validation_split={validation_split!r}"
        )
    at = int(len(arrays[0]) * (1 - validation_split))
    held_out = tuple(array[at:] for array in arrays)
    if at == 0 or len(held_out[0]) == 0:
        raise ValueError(
            "`validation_split` must leave rows on either side. "
            f"Received: validation_split={validation_split!r} of {len(arrays[0])} rows"
        )
    first, second = held_out if len(held_out) == 2 else (held_out[0], None)
    if sample_weight is None:
        return tuple(array[:at] for array in arrays), None, (first, second)
    kept = tuple(array[:at] for array in arrays)
    if not sample_weight[:at].any():
        raise ValueError(
            "`sample_weight` must have a positive number among the rows that are trained on. "
            f"Received: only zeros in the first {at} rows, validation_split={validation_split!r}"
        )
    return kept, sample_weight[:at], (first, second, sample_weight[at:])
