"""Arrays as plain data: a dtype, a shape, and the bytes in base64."""

import base64
import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike


def encode_array(value: ArrayLike) -> dict[str, Any] | None:
    """Returns an array or a tensor as a `dict`, or `None` if its values cannot be saved."""
    if tf.is_tensor(value):
        value = tf.get_static_value(value)
        if value is None:
            return None
    value = np.asarray(value)
    if value.dtype.kind not in "biufc" and value.dtype.name != "bfloat16":
        return None
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
    return {"dtype": value.dtype.name, "shape": list(value.shape), "base64": data}


def decode_array(config: dict[str, Any]) -> np.ndarray:
    """Returns the array that `encode_array` has written; raises `ValueError` for other data."""
    dtype, shape = tf.as_dtype(config["dtype"]), tuple(config["shape"])
    data = base64.b64decode(config["base64"])
    # Checked here, since numpy would accept a size of -1.
    if len(data) != math.prod(shape) * dtype.size or min(shape, default=0) < 0:
        raise ValueError(
            f"A saved array must hold as many numbers as its shape says. Received: shape={shape}, "
            f"dtype={dtype.name}, {len(data)} bytes"
        )
    return np.frombuffer(data, dtype.as_numpy_dtype).reshape(shape).copy()
