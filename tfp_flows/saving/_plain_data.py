"""Writing a TFP object down as plain data, and making it again.

What is written is what `parameters` holds: the arguments of constructors, and the values of
variables, without which a clone would be no distribution. Weights of networks are not part of it;
Keras keeps them, and variables again, with the weights of a model. Reading makes instances of the
classes that `tfp_flows.saving.names` knows, and of no others.
"""

import base64
import inspect

import keras
import numpy as np
import tensorflow as tf

from tfp_flows._tree import is_node
from tfp_flows.saving._names import (
    CLASSES,
    class_name,
    find_class,
    find_registered,
    is_registered,
    unknown,
)

FORMAT_VERSION = 1


def encode(root, name="distribution"):
    """Returns a TFP object as nested `dict`s and `list`s of plain values.

    Raises:
      ValueError: if something in it cannot be made again from a file (a function, a `tf_keras`
        network), with its place.
    """
    numbers = {}

    def number(value):
        known = id(value) in numbers
        # The value itself is kept, so that its id is not given to another.
        index, _ = numbers.setdefault(id(value), (len(numbers), value))
        return index, known

    def visit(value, path):
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, tf.Variable):
            index, known = number(value)
            return (
                {"again": index}
                if known
                else {
                    "variable": {
                        "index": index,
                        "value": _encode_array(_value(value), path),
                        "trainable": value.trainable,
                        "name": value.name.split(":")[0],
                    }
                }
            )
        if is_node(value):
            index, known = number(value)
            if known:
                return {"again": index}
            parameters = {
                key: visit(item, f"{path}.{key}") for key, item in _arguments(value, path).items()
            }
            return {
                "object": _checked_name(type(value), path),
                "index": index,
                "parameters": parameters,
            }
        if isinstance(value, keras.KerasTensor | keras.Variable):
            raise ValueError(_refusal(path, value))
        if isinstance(value, keras.Layer):
            index, known = number(value)
            if known:
                return {"again": index}
            if _has_a_lambda(value):
                # Keras would write its code down, and refuse to read it.
                raise ValueError(f"{_refusal(path, value)} with a lambda")
            return {"layer": keras.saving.serialize_keras_object(value), "index": index}
        if isinstance(value, np.ndarray | np.generic) or tf.is_tensor(value):
            return {"array": _encode_array(value, path), "tensor": tf.is_tensor(value)}
        if isinstance(value, dict):
            pairs = [[visit(k, path), visit(v, f"{path}[{k!r}]")] for k, v in value.items()]
            return {"dict": pairs}
        if type(value) in (list, tuple) or _is_tracked_sequence(value):
            items = [visit(item, f"{path}[{i}]") for i, item in enumerate(value)]
            return {"tuple" if isinstance(value, tuple) else "list": items}
        if isinstance(value, tf.DType):
            return {"dtype": value.name}
        if isinstance(value, tf.TensorShape):
            return {"shape": value.as_list() if value.rank is not None else None}
        if isinstance(value, type):
            return {"class": _checked_name(value, path)}
        if callable(value) and is_registered(value):
            return {"function": keras.saving.get_registered_name(value)}
        raise ValueError(_refusal(path, value))

    return visit(root, name)


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
                _decode_array(spec["value"]),
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
        if "array" in value:
            array = _decode_array(value["array"])
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


def check_version(version):
    """Refuses a file of a format that this version of the package cannot read."""
    if version != FORMAT_VERSION:
        raise ValueError(
            f"The file must have format version {FORMAT_VERSION}; a newer `tfp_flows` may read "
            f"it. Received: format_version={version!r}"
        )


def _arguments(node, path):
    """The constructor's arguments, without functions that are its defaults."""
    cls = type(node)
    if node.parameters is None:
        raise ValueError(
            f"`{path}` cannot be saved: its class must hand `parameters=dict(locals())` to its "
            f"base. Received: {node!r}"
        )
    signature = inspect.signature(cls.__init__).parameters
    parameters = node.parameters
    return {
        key: value
        for key, value in parameters.items()
        if key in signature
        and key not in ("self", "parameters")
        and not (inspect.isroutine(value) and value is signature[key].default)
    }


def _checked_name(cls, path):
    name = class_name(cls)
    if name is None:
        raise ValueError(_refusal(path, cls))
    return name


def _is_tracked_sequence(value):
    # `tf.Module` wraps the lists and tuples that are assigned to its attributes.
    return isinstance(value, list) or hasattr(value, "__wrapped__") and isinstance(value, tuple)


def _value(variable):
    with tf.init_scope():
        return tf.identity(variable).numpy()


def _has_a_lambda(layer):
    """Whether a function without a name is in it, or in the layers of a model."""
    functions = [
        getattr(part, name, None)
        for part in (layer, *getattr(layer, "layers", ()))
        for name in ("activation", "function")
    ]
    return any(getattr(function, "__name__", None) == "<lambda>" for function in functions)


def _encode_array(value, path):
    if tf.is_tensor(value):
        static = tf.get_static_value(value)
        if static is None:
            raise ValueError(_refusal(path, value))
        value = static
    value = np.asarray(value)
    if value.dtype.kind not in "biufc" and value.dtype.name != "bfloat16":
        raise ValueError(_refusal(path, value))
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
    return {"dtype": value.dtype.name, "shape": list(value.shape), "base64": data}


def _decode_array(config):
    dtype = tf.as_dtype(config["dtype"]).as_numpy_dtype
    array = np.frombuffer(base64.b64decode(config["base64"]), dtype)
    return array.reshape(config["shape"]).copy()


def _refusal(path, value):
    return (
        f"`{path}` cannot be saved: expected plain values, arrays, variables, TFP objects, Keras 3 "
        "layers, or functions registered by `keras.saving.register_keras_serializable`. "
        f"Received: {value!r}"
    )
