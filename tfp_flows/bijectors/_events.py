"""The axes of events, the conversion of points to tensors, and the log-det of each event."""

from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks


def min_event_ndims(bijector: tfb.Bijector, is_forward: bool) -> tuple[Any, Any]:
    """Returns the number of axes of one event before a map and after it, or structures of them."""
    ndims = bijector.forward_min_event_ndims, bijector.inverse_min_event_ndims
    return ndims if is_forward else ndims[::-1]


def as_tensor(x: Any, dtype: tf.DType | None, name: str) -> tf.Tensor:
    """Converts a point to a tensor of the bijector's dtype, and refuses one of another dtype."""
    _checks.not_symbolic(x, "x")
    if dtype is not None and tf.is_tensor(x) and x.dtype != dtype:
        raise TypeError(
            f"`{name}` takes tensors of dtype {dtype.name}. "
            f"Received: a tensor of dtype {x.dtype.name}"
        )
    return tf.convert_to_tensor(x, dtype=dtype)


def for_each_event(log_det: tf.Tensor, y: tf.Tensor, event_ndims: int) -> tf.Tensor:
    """Returns the log-det of each event. TFP returns a scalar if all events have the same one."""
    log_det = tf.convert_to_tensor(log_det, dtype=y.dtype)
    known = y.shape.rank is not None and y.shape[: y.shape.rank - event_ndims]
    if known and known.is_fully_defined() and log_det.shape == known:
        return log_det
    return tf.broadcast_to(log_det, ps.shape(y)[: ps.rank(y) - event_ndims])
