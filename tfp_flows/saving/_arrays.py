"""Arrays as plain data: a dtype, a shape, and the bytes in base64."""

import base64

import numpy as np
import tensorflow as tf


def encode_array(value):
    """Returns an array or a tensor as a `dict`, or `None` if it has no values that can be kept."""
    if tf.is_tensor(value):
        value = tf.get_static_value(value)
        if value is None:
            return None
    value = np.asarray(value)
    if value.dtype.kind not in "biufc" and value.dtype.name != "bfloat16":
        return None
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
    return {"dtype": value.dtype.name, "shape": list(value.shape), "base64": data}


def decode_array(config):
    """Makes again what `encode_array` has written."""
    dtype = tf.as_dtype(config["dtype"]).as_numpy_dtype
    array = np.frombuffer(base64.b64decode(config["base64"]), dtype)
    return array.reshape(config["shape"]).copy()
