"""Splits the batches of a step into their parts, checks them and casts them."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks
from tfp_flows.models._counted_rows import CheckedBatch, counted_rows


class Rows:
    """Checks batches of rows x of a distribution, or of pairs (c, x) of a conditional one.

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

    def counted(self, data: Any) -> tuple[Any, tf.Tensor | None, tf.Tensor | None]:
        """Returns `(inputs of call, weights or None, index or None)` of a batch for a loss.

        The inputs have no row of weight zero left. The index is that of a `CheckedBatch`.
        """
        inputs, weight = self.unpacked(data)
        if isinstance(data, CheckedBatch):
            return inputs, weight, data.index
        return inputs if weight is None else counted_rows(inputs, weight), weight, None

    def unpacked(self, data: Any) -> tuple[Any, tf.Tensor | None]:
        """Returns `(inputs of call, weights or None)` of a batch from Keras or from `batches`."""
        if isinstance(data, tuple | list) and len(data) == 1 and isinstance(data[0], tuple | list):
            data = data[0]  # the pair that `predict_on_batch` was given
        if isinstance(data, CheckedBatch):
            data = data[:2]
        if isinstance(data, tuple | list) and len(data) == 2 and isinstance(data[0], tuple):
            parts, weight = (*data[0], None)[:2], data[1]
        else:
            *parts, weight = keras.utils.unpack_x_y_sample_weight(data)
        # Eager steps get arrays, not tensors.
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
                    "A batch must be `x` or `(x, None, sample_weight)`, since the flow takes no "
                    f"context. Received: two tensors of shapes {first.shape} and {second.shape}"
                )
            return self._checked_batch(first), weight
        if second is None:
            raise ValueError(
                "A batch must be `(context, x)` or `(context, x, sample_weight)`, since the flow "
                f"takes a context. Received: one tensor of shape {first.shape}"
            )
        second = self._checked_batch(second)
        return (self._checked_context(first, second), second), weight

    @property
    def is_conditional(self) -> bool:
        """Whether each row has a context."""
        return bool(self._context_size)

    def numpy_dtype(self, name: str) -> np.dtype:
        """The dtype to which the part "x" or "context" is cast."""
        dtype = self._distribution.dtype if name == "x" else tf.as_dtype(self._compute_dtype)
        return np.dtype(dtype.as_numpy_dtype)

    def loses_digits(self, spec: tf.TensorSpec) -> bool:
        """Whether a cast of a part of a batch may lose digits that matter."""
        dtype = tf.as_dtype(self._compute_dtype)
        is_wide = spec.dtype.is_floating and spec.dtype.size > dtype.size
        # Labels and pixels, which are integers too, have few digits.
        return is_wide or (self.is_conditional and spec.dtype in (tf.int32, tf.int64, tf.uint32))

    def _checked_context(self, context: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        _checked_numbers(context, "context")
        shape = tf.TensorShape([x.shape[0], *_checks.context_shape(self._context_size)])
        if not shape.is_compatible_with(context.shape):
            raise ValueError(
                f"`context` must have a row for each row of `x`, shape {tuple(shape)}. "
                f"Received: context.shape={context.shape} with x.shape={x.shape}"
            )
        return tf.cast(tf.ensure_shape(context, shape), self._compute_dtype)

    def _checked_weight(self, weight: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        _checked_numbers(weight, "sample_weight")
        event_ndims = self._distribution.event_shape.rank
        expected = x.shape[: x.shape.rank - event_ndims] if x.shape.rank else x.shape
        if not expected.is_compatible_with(weight.shape):
            raise ValueError(
                "`sample_weight` must have a number for each row, [N]. Received: "
                f"sample_weight.shape={weight.shape} with x.shape={x.shape}"
            )
        return tf.cast(weight, self._compute_dtype)

    def _checked_batch(self, x: tf.Tensor) -> tf.Tensor:
        event_ndims = self._distribution.event_shape.rank
        if x.shape.rank is not None and x.shape.rank == event_ndims:
            raise ValueError(
                "A dataset must give batches. Call its method `batch`. "
                f"Received: an element of shape {x.shape}, which is one event"
            )
        event_shape = self._distribution.event_shape
        if not x.shape.is_compatible_with([None, *event_shape]):
            raise ValueError(
                f"A batch must have shape [N, {_checks.listed(event_shape)}]. "
                f"Received: x.shape={x.shape}"
            )
        # After batches of several shapes, TensorFlow traces a step that takes any shape.
        x = tf.ensure_shape(x, [None, *event_shape])
        dtype = self._distribution.dtype
        if not dtype.is_floating:
            return x
        if not x.dtype.is_floating and not hasattr(self._distribution, "check_values"):
            raise TypeError(
                "A batch must be floating point, since the flow is a density and has no "
                "dequantization (`tfp_flows.distributions.Dequantized`). "
                f"Received: dtype={x.dtype.name}"
            )
        return tf.cast(x, dtype)

    def signature(self) -> Any:
        """The `tf.TensorSpec` of x, or those of `(c, x)`, of any number of rows."""
        event_shape = self._distribution.event_shape
        x = tf.TensorSpec([None, *event_shape], self._distribution.dtype, "x")
        if not self._context_size:
            return x
        shape = _checks.context_shape(self._context_size)
        return tf.TensorSpec([None, *shape], self._compute_dtype, "context"), x


def _checked_numbers(tensor: tf.Tensor, name: str) -> None:
    if not (tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool):
        raise TypeError(f"`{name}` must be numbers. Received: dtype={tensor.dtype.name}")
