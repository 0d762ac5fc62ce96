"""What a flow takes for data: arrays and batches, checked and in the right dtype."""

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.distributions import Dequantized
from tfp_flows.models._batches import batches

_BATCH_SIZE = 256


class Rows:
    """Rows x of a distribution, or pairs (c, x) of a conditional one.

    Args:
      distribution: a TFP distribution.
      context_size: C, a tuple of the sizes of several axes, or 0 if no context is expected with
        the data.
      compute_dtype: the dtype of contexts and weights.
    """

    def __init__(self, distribution, context_size, compute_dtype):
        self._distribution = distribution
        self._context_size = context_size
        self._compute_dtype = compute_dtype

    def batches(self, x, y, sample_weight, batch_size, shuffle=False):
        """Checked arrays as a `tf.data.Dataset` (see `batches`)."""
        arrays, sample_weight = self.checked(x, y, sample_weight)
        return batches(arrays, sample_weight, checked_batch_size(batch_size), shuffle)

    def unpacked(self, data):
        """Returns `(inputs of call, weights or None)` of a batch as Keras or `batches` give it."""
        if isinstance(data, tuple | list) and len(data) == 1 and isinstance(data[0], tuple | list):
            data = data[0]  # the pair that `predict_on_batch` was given
        if isinstance(data, tuple | list) and len(data) == 2 and isinstance(data[0], tuple):
            parts, weight = (*data[0], None)[:2], data[1]
        else:
            *parts, weight = keras.utils.unpack_x_y_sample_weight(data)
        # Eager steps are given arrays as they are.
        first, second, weight = (
            tf.convert_to_tensor(part) if isinstance(part, np.ndarray) else part
            for part in (*parts, weight)
        )
        if any(part is not None and not tf.is_tensor(part) for part in (first, second, weight)):
            raise TypeError(
                "A batch must be `x`, `(x,)`, `(x, None, sample_weight)` or "
                "`(context, x[, sample_weight])`, of tensors or arrays. Received: parts of types "
                f"{', '.join(type(part).__name__ for part in (first, second, weight))}"
            )
        if weight is not None:
            weight = self._checked_weight(weight, first if second is None else second)
        if not self._context_size:
            if second is not None:
                raise ValueError(
                    "A batch must be `x` or `(x, None, sample_weight)`: the flow takes no "
                    f"context. Received: two tensors of shapes {first.shape} and {second.shape}"
                )
            return self._checked_batch(first), weight
        if second is None:
            raise ValueError(
                "A batch must be `(context, x)` or `(context, x, sample_weight)`: the flow takes "
                f"a context. Received: one tensor of shape {first.shape}"
            )
        return (tf.cast(first, self._compute_dtype), self._checked_batch(second)), weight

    def _checked_weight(self, weight, x):
        event_ndims = self._distribution.event_shape.rank
        expected = x.shape[: x.shape.rank - event_ndims] if x.shape.rank else x.shape
        if not expected.is_compatible_with(weight.shape):
            raise ValueError(
                "`sample_weight` must have a number for each row, [N]. Received: "
                f"sample_weight.shape={weight.shape} with x.shape={x.shape}"
            )
        return tf.cast(weight, self._compute_dtype)

    def _checked_batch(self, x):
        event_ndims = self._distribution.event_shape.rank
        if x.shape.rank is not None and x.shape.rank == event_ndims:
            raise ValueError(
                "A dataset must give batches: call its method `batch`. "
                f"Received: an element of shape {x.shape}, which is one event"
            )
        event_shape = self._distribution.event_shape
        if not x.shape.is_compatible_with([None, *event_shape]):
            raise ValueError(
                f"A batch must have shape [N, {_checks.listed(event_shape)}]. "
                f"Received: x.shape={x.shape}"
            )
        # After batches of several shapes TensorFlow traces a step for any, right or wrong.
        x = tf.ensure_shape(x, [None, *event_shape])
        dtype = self._distribution.dtype
        if not dtype.is_floating:
            return x
        if not x.dtype.is_floating:
            raise TypeError(
                "A batch must be floating point, since the flow is a density and has no "
                "dequantisation (`tfp_flows.distributions.Dequantized`). "
                f"Received: dtype={x.dtype.name}"
            )
        return tf.cast(x, dtype)

    def signature(self):
        """The `tf.TensorSpec` of x, or those of `(c, x)`, of any number of rows."""
        event_shape = self._distribution.event_shape
        x = tf.TensorSpec([None, *event_shape], self._distribution.dtype, "x")
        if not self._context_size:
            return x
        shape = _checks.context_shape(self._context_size)
        return tf.TensorSpec([None, *shape], self._compute_dtype, "context"), x

    def checked(self, x, y=None, sample_weight=None):
        """Returns `((x,) or (context, x), sample_weight)` as checked arrays."""
        if self._context_size:
            if y is None:
                shape = f"shape {x.shape}" if hasattr(x, "shape") else f"type {type(x).__name__}"
                raise ValueError(
                    "Data of a conditional flow must be given as `(context, x)`. "
                    f"Received: one alone, of {shape}"
                )
            context = np.asarray(x)
            if context.dtype.kind not in "fiub":
                raise TypeError(
                    f"`context` must be numbers. Received: context.dtype={context.dtype}"
                )
            context = _finite(context, "context", self._compute_dtype)
            shape = _checks.context_shape(self._context_size)
            if context.ndim <= len(shape) or context.shape[-len(shape) :] != shape:
                raise ValueError(
                    f"`context` must have shape [N, {_checks.listed(shape)}]. "
                    f"Received: context.shape={context.shape}"
                )
            arrays = (context, self.checked_x(y, "x"))
        elif y is not None:
            raise ValueError(
                "The flow takes no context, so data must be one array `x`. "
                f"Received: two, of shapes {np.shape(x)} and {np.shape(y)}"
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
            sample_weight = np.asarray(sample_weight, np.float64)
            sample_weight = _finite(sample_weight, "sample_weight", self._compute_dtype)
            if sample_weight.shape != (num_rows,):
                raise ValueError(
                    f"`sample_weight` must have shape [{num_rows}]. "
                    f"Received: sample_weight.shape={sample_weight.shape}"
                )
            if (sample_weight < 0).any():
                raise ValueError(
                    "`sample_weight` must have no negative number. "
                    f"Received: {sample_weight.min()} as the least"
                )
            if not sample_weight.any():
                raise ValueError(
                    "`sample_weight` must have a positive number. Received: only zeros"
                )
        return arrays, sample_weight

    def checked_x(self, x, name):
        """Returns x as an array `[N, *event_shape]` of the distribution's dtype."""
        event_shape = self._distribution.event_shape
        expected = f"`{name}` must have shape [N, {_checks.listed(event_shape)}]"
        x = _rectangular(x, expected)
        dtype = self._distribution.dtype
        if dtype.is_floating and x.dtype.kind != "f":
            raise TypeError(
                f"`{name}` must be floating point, since the flow is a density and has no "
                "dequantisation (`tfp_flows.distributions.Dequantized`). "
                f"Received: {name}.dtype={x.dtype}"
            )
        if x.ndim != 1 + event_shape.rank or not event_shape.is_compatible_with(x.shape[1:]):
            raise ValueError(f"{expected}. Received: {name}.shape={x.shape}")
        if isinstance(self._distribution, Dequantized):
            # Also before a cast to a smaller dtype would wrap them.
            self._distribution.check_values(x, name)
        if len(x) == 0:
            raise ValueError(f"`{name}` must have rows. Received: {name}.shape={x.shape}")
        result = _finite(x, name, dtype.as_numpy_dtype)
        if dtype.is_integer and x.dtype.kind == "f" and (x != np.floor(x)).any():
            raise ValueError(
                f"`{name}` must be whole numbers, as the distribution is over {dtype.name}. "
                f"Received: {x[x != np.floor(x)][0]}"
            )
        return result

    def _is_nested(self, data):
        """Whether a list is x itself, as nested lists of numbers, and not the parts of data."""
        return (
            isinstance(data, list)
            and not self._context_size
            and all(isinstance(row, list | float) for row in data)
            and np.ndim(data[:1]) == 1 + self._distribution.event_shape.rank
        )

    def validation_batches(self, data, batch_size):
        """The same of `validation_data` as `FlowModel.fit` takes it."""
        if not isinstance(data, tuple | list) or self._is_nested(data):
            data = (data,)
        if len(data) > 3:
            raise ValueError(
                "`validation_data` must be `x`, `(x,)`, `(x, None, sample_weight)`, `(context, x)` "
                f"or `(context, x, sample_weight)`. Received: {len(data)} parts"
            )
        first, second, weight = (*data, None, None)[:3]
        return self.batches(first, second, weight, batch_size)


def is_array(x):
    """Whether x is data itself, not a source of batches."""
    return tf.is_tensor(x) or isinstance(x, np.ndarray | list) or hasattr(x, "__array__")


def checked_dataset(x, **not_taken):
    """Refuses what is no source of batches, and what each batch of a source has itself."""
    if x is None or isinstance(x, tuple | dict | str) or not hasattr(x, "__iter__"):
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


def checked_batch_size(batch_size):
    """The rows of a step, 256 by default."""
    if batch_size is None:
        return _BATCH_SIZE
    return _checks.integer_at_least(batch_size, 1, "batch_size")


def _rectangular(x, expected):
    """x as an array; refuses rows of different shapes, such as sets of different sizes."""
    if np.ma.is_masked(x):
        raise ValueError(f"{expected}, without gaps. Received: an array with masked elements")
    try:
        if not isinstance(x, tf.RaggedTensor):
            return np.asarray(x)
    except ValueError:
        pass  # numpy's message does not say of what
    raise ValueError(
        f"{expected}, the same for each row; a dataset may change it from batch to batch. "
        f"Received: {type(x).__name__} with rows of different shapes"
    )


def _finite(array, name, dtype):
    """The array in the dtype; refuses one that is not finite, or would not be."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(dtype)
    if not (np.isfinite(array).all() and np.isfinite(result).all()):
        rows = np.unique(np.argwhere(~np.isfinite(array) | ~np.isfinite(result))[:, 0])
        raise ValueError(
            f"`{name}` must be finite in {np.dtype(dtype).name}. Received: NaN, infinity or larger "
            f"numbers in {len(rows)} rows, the first is row {rows[0]}"
        )
    return result


def split(arrays, sample_weight, validation_split):
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
    return kept, sample_weight[:at], (first, second, sample_weight[at:])
