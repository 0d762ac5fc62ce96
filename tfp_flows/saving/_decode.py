"""Making a TFP object again from the plain data that `encode` has written.

Reading makes instances of the classes that `tfp_flows.saving` knows, and of no others.
"""

import keras
import tensorflow as tf

from tfp_flows.bijectors.transformers._raw_parameter import RawParameter
from tfp_flows.saving._arrays import decode_array
from tfp_flows.saving._names import CLASSES, find_class, find_registered, unknown

FORMAT_VERSION = 1


def decode(config):
    """Makes again what `encode` has written, with new variables of the same values.

    Raises:
      ValueError: if the data name a class that may not be loaded, or cannot be read.
    """
    made = {}

    def visit(value):
        if not isinstance(value, dict):
            if value is None or isinstance(value, bool | int | float | str):
                return value
            raise ValueError(f"The saved flow must hold plain values. Received: {value!r}")
        if "again" in value:
            return made[value["again"]]
        if "variable" in value:
            spec = value["variable"]
            made[spec["index"]] = tf.Variable(
                decode_array(spec["value"]),
                trainable=spec["trainable"],
                name=spec["name"],
            )
            return made[spec["index"]]
        if "object" in value:
            cls = find_class(value["object"])
            if not issubclass(cls, CLASSES):
                raise ValueError(unknown(value["object"]))
            parameters = {key: visit(item) for key, item in value["parameters"].items()}
            made[value["index"]] = cls(**parameters)
            return made[value["index"]]
        if "layer" in value:
            layer = keras.saving.deserialize_keras_object(value["layer"], safe_mode=True)
            if not layer.trainable:
                # Its constructor kept that word for itself: assigned, a change reaches its parts.
                layer.trainable = True
                layer.trainable = False
            made[value["index"]] = layer
            return layer
        if "raw" in value:
            return _raw(value["raw"], visit)
        if "array" in value:
            array = decode_array(value["array"])
            # `[()]` makes a numpy number again of what has no axes, and changes nothing else.
            return tf.constant(array) if value["tensor"] else array[()]
        if "dict" in value:
            return {visit(key): visit(item) for key, item in value["dict"]}
        if "tuple" in value:
            return tuple(visit(item) for item in value["tuple"])
        if "list" in value:
            return [visit(item) for item in value["list"]]
        if "dtype" in value:
            return tf.as_dtype(value["dtype"])
        if "shape" in value:
            return tf.TensorShape(value["shape"])
        if "class" in value:
            return find_class(value["class"])
        if "function" in value:
            return find_registered(value["function"])
        raise ValueError(f"The saved flow holds an unknown entry. Received: {sorted(value)}")

    return visit(config)


def _raw(spec, visit):
    """A parameter that a transformer computes of a variable."""
    transformer = find_class(spec["transformer"])
    if not hasattr(transformer, "new"):
        raise ValueError(unknown(spec["transformer"]))
    params, kwargs = visit(spec["params"]), visit(spec["kwargs"])
    return RawParameter(transformer, params, kwargs, spec["parameter"], spec["shape"])


def check_version(version):
    """Refuses a file of a format that this version of the package cannot read."""
    if version != FORMAT_VERSION:
        raise ValueError(
            f"The file must have format version {FORMAT_VERSION}; a newer `tfp_flows` may read "
            f"it. Received: format_version={version!r}"
        )
