"""Checks arrays of data, casts them to the right dtype and cuts them into batches."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike, DTypeLike

from tfp_flows import _checks
from tfp_flows._lost_digits import warn_of_lost_digits
from tfp_flows.distributions._support import support
from tfp_flows.models._batches import batches

_BATCH_SIZE = 256


class Arrays:
    """Checks arrays of rows x of a distribution, or pairs (c, x) of a conditional one.

    Args:
      distribution: a TFP distribution.
      context_size: C, a tuple of the sizes of several axes, or 0 if the data have no context.
      compute_dtype: the dtype of contexts and weights.
    """

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        context_size: int | tuple[int, ...],
        compute_dtype: str,
    ) -> None:
        self._distribution = distribution
        self._context_size = context_size
        self._compute_dtype = compute_dtype

    def batches(
        self,
        x: ArrayLike,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        batch_size: int | None,
        shuffle: bool = False,
        in_support: bool = False,
    ) -> tf.data.Dataset:
        """Checked arrays as a `tf.data.Dataset` (see `batches`)."""
        arrays, sample_weight = self.checked(x, y, sample_weight, in_support)
        return batches(arrays, sample_weight, checked_batch_size(batch_size), shuffle)

    def checked(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        in_support: bool = False,
    ) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
        """Returns `((x,) or (context, x), sample_weight)` as checked arrays.

        Args:
          x: the rows, or the context if `y` is given.
          y: the rows of a conditional flow.
          sample_weight: an array `[N]`, or `None`.
          in_support: Python `bool`: whether rows of positive weight must lie in the support.
        """
        if self._context_size:
            if y is None:
                shape = f"shape {x.shape}" if hasattr(x, "shape") else f"type {type(x).__name__}"
                raise ValueError(
                    "Data of a conditional flow must be given as `(context, x)`. "
                    f"Received: only one of them, of {shape}"
                )
            arrays = (self._checked_context(x), self.checked_x(y, "x"))
        elif y is not None:
            raise ValueError(
                "The flow takes no context, so data must be one array `x`. "
                f"Received: two arrays, of shapes {np.shape(x)} and {np.shape(y)}"
            )
        else:
            arrays = (self.checked_x(x, "x"),)
        num_rows = len(arrays[-1])
        if any(len(array) != num_rows for array in arrays):
            raise ValueError(
                "`context` and `x` must have the same number of rows. "
                f"Received: {len(arrays[0])} and {num_rows}"
            )
        if sample_weight is not None:
            sample_weight = self._checked_weight(sample_weight, num_rows)
        if in_support:
            self.check_support(arrays[-1], "x", sample_weight)
        return arrays, sample_weight

    def check_support(
        self, x: np.ndarray, name: str, sample_weight: np.ndarray | None = None
    ) -> None:
        """Refuses rows of positive weight on or beyond a bound of the distribution's support."""
        bounds = support(self._distribution)
        if bounds is None:
            return
        low, high = (np.broadcast_to(bound, x.shape[1:]) for bound in bounds)
        outside = (x <= low) | (x >= high)
        if sample_weight is not None:
            outside[sample_weight == 0] = False
        if outside.any():
            place = tuple(np.argwhere(outside)[0])
            rows = np.unique(np.argwhere(outside)[:, 0])
            bounds = ", ".join(f"{bound[place[1:]]:.9g}" for bound in (low, high))
            raise ValueError(
                f"`{name}` must lie inside of the support of the distribution:{_at(place, ' ')} in "
                f"({bounds}), without the bounds, which have no density. "
                f"Received: {len(rows)} rows outside, the first is row {place[0]} with "
                f"{x[place]:.9g}"
            )

    def _checked_context(self, context: ArrayLike) -> np.ndarray:
        context = np.asarray(_checks.plain(context, "context"))
        if context.dtype.kind not in "fiub":
            raise TypeError(f"`context` must be numbers. Received: context.dtype={context.dtype}")
        context = _finite(context, "context", self._compute_dtype)
        shape = _checks.context_shape(self._context_size)
        if context.ndim <= len(shape) or context.shape[-len(shape) :] != shape:
            hint = ""
            if context.ndim == 1 and len(shape) == 1:
                size = shape[0]
                hint = (
                    "; give numbers as `context[:, np.newaxis]`"
                    if size == 1
                    else f"; give labels 0 to {size - 1} as one-hot rows, `np.eye({size})[labels]`"
                )
            raise ValueError(
                f"`context` must have shape [N, {_checks.listed(shape)}]{hint}. "
                f"Received: context.shape={context.shape}"
            )
        return context

    def _checked_weight(self, sample_weight: ArrayLike, num_rows: int) -> np.ndarray:
        sample_weight = np.asarray(_checks.plain(sample_weight, "sample_weight"))
        if sample_weight.dtype.kind not in "fiub":
            raise TypeError(
                "`sample_weight` must be numbers. "
                f"Received: sample_weight.dtype={sample_weight.dtype}"
            )
        # Weights are relative, so rounding them needs no warning.
        sample_weight = _finite(sample_weight, "sample_weight", self._compute_dtype, warns=False)
        if sample_weight.shape != (num_rows,):
            raise ValueError(
                f"`sample_weight` must have shape [{num_rows}]. "
                f"Received: sample_weight.shape={sample_weight.shape}"
            )
        if (sample_weight < 0).any():
            raise ValueError(
                "`sample_weight` must have no negative numbers. "
                f"Received: {sample_weight.min()} as the least"
            )
        if not sample_weight.any():
            raise ValueError("`sample_weight` must have a positive number. Received: only zeros")
        return sample_weight

    def checked_x(self, x: ArrayLike, name: str) -> np.ndarray:
        """Returns x as an array `[N, *event_shape]` of the distribution's dtype."""
        event_shape = self._distribution.event_shape
        expected = f"`{name}` must have shape [N, {_checks.listed(event_shape)}]"
        x = _rectangular(_checks.plain(x, name), expected)
        dtype = self._distribution.dtype
        # A distribution that checks whole numbers itself takes them in any dtype.
        check_values = getattr(self._distribution, "check_values", None)
        if dtype.is_floating and x.dtype.kind != "f" and check_values is None:
            raise TypeError(
                f"`{name}` must be floating point, since the flow is a density and has no "
                "dequantization (`tfp_flows.distributions.Dequantized`). "
                f"Received: {name}.dtype={x.dtype}"
            )
        if x.ndim != 1 + event_shape.rank or not event_shape.is_compatible_with(x.shape[1:]):
            raise ValueError(f"{expected}. Received: {name}.shape={x.shape}")
        if check_values is not None:
            # Before the cast, which would wrap numbers that a smaller dtype cannot hold.
            check_values(x, name)
        if len(x) == 0:
            raise ValueError(f"`{name}` must have rows. Received: {name}.shape={x.shape}")
        result = _finite(x, name, dtype.as_numpy_dtype)
        if dtype.is_integer and x.dtype.kind == "f" and (x != np.floor(x)).any():
            raise ValueError(
                f"`{name}` must be whole numbers, as the distribution is over {dtype.name}. "
                f"Received: {x[x != np.floor(x)][0]}"
            )
        return result

    def validation_batches(self, data: Any, batch_size: int | None) -> tf.data.Dataset:
        """Batches of `validation_data`, as `FlowModel.fit` takes it."""
        if not isinstance(data, tuple | list) or self._is_nested(data):
            data = (data,)
        if len(data) > 3:
            raise ValueError(
                "`validation_data` must be `x`, `(x,)`, `(x, None, sample_weight)`, `(context, x)` "
                f"or `(context, x, sample_weight)`. Received: {len(data)} parts"
            )
        first, second, weight = (*data, None, None)[:3]
        return self.batches(first, second, weight, batch_size, in_support=True)

    def _is_nested(self, data: Any) -> bool:
        """Whether a list is x itself, as nested lists of numbers, and not `[x, ...]`."""
        return (
            isinstance(data, list)
            and not self._context_size
            and all(isinstance(row, list | float) for row in data)
            and np.ndim(data[:1]) == 1 + self._distribution.event_shape.rank
        )


def checked_batch_size(batch_size: int | None) -> int:
    """The number of rows in a step, 256 by default."""
    if batch_size is None:
        return _BATCH_SIZE
    return _checks.integer_at_least(batch_size, 1, "batch_size")


def _rectangular(x: Any, expected: str) -> np.ndarray:
    """Returns x as an array; refuses rows of different shapes, such as sets of different sizes."""
    try:
        if not isinstance(x, tf.RaggedTensor):
            return np.asarray(x)
    except ValueError:
        pass  # numpy's message does not name the argument
    raise ValueError(
        f"{expected}, the same for each row. In a dataset batches may differ. "
        f"Received: {type(x).__name__} with rows of different shapes"
    )


def _finite(array: np.ndarray, name: str, dtype: DTypeLike, warns: bool = True) -> np.ndarray:
    """Casts the array; refuses it if it is not finite before and after."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(dtype)
    is_lost = ~(np.isfinite(array) & np.isfinite(result))
    if is_lost.any():
        rows = np.unique(np.argwhere(is_lost)[:, 0])
        place = tuple(np.argwhere(is_lost)[0])
        raise ValueError(
            f"`{name}` must be finite in {np.dtype(dtype).name}. Received: NaN, infinity or too "
            f"large numbers in {len(rows)} rows, the first is row {place[0]}, with {array[place]}"
            f"{_at(place, ' in ')}"
        )
    if warns:
        warn_of_lost_digits(array, np.dtype(dtype), name)
    return result


def _at(place: tuple[int, ...], before: str = "") -> str:
    """Names the column of a place in an array of rows, for a message."""
    return f"{before}column {', '.join(map(str, place[1:]))}" if len(place) > 1 else ""
