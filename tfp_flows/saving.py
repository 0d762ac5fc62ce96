"""Writing a TFP object down as plain data, and making it again.

What is written is what `parameters` holds: the arguments of constructors. Values of variables
and networks are not part of it; Keras keeps them with the weights of a model. Reading makes
instances of classes of TFP, Keras and this package, of those that the user has registered with
Keras, and of those in `custom_objects`. Nothing else is imported or run.
"""

import base64
import contextlib
import inspect

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import bijectors, distributions
from tfp_flows.tree import is_node

FORMAT_VERSION = 1

_NAMESPACES = {
    "tfp_flows.bijectors": bijectors,
    "tfp_flows.distributions": distributions,
    "tfp.distributions": tfp.distributions,
    "tfp.bijectors": tfp.bijectors,
    "tf.linalg": tf.linalg,
}
_CLASSES = tfp.distributions.Distribution | tfp.bijectors.Bijector | tf.linalg.LinearOperator


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
                        "shape": value.shape.as_list(),
                        "dtype": value.dtype.base_dtype.name,
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
                "object": _class_name(type(value), path),
                "index": index,
                "parameters": parameters,
            }
        if isinstance(value, keras.KerasTensor | keras.Variable):
            raise ValueError(_refusal(path, value))
        if isinstance(value, keras.Layer):
            index, known = number(value)
            if known:
                return {"again": index}
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
            return {"class": _class_name(value, path)}
        if callable(value) and is_registered(value):
            return {"function": keras.saving.get_registered_name(value)}
        raise ValueError(_refusal(path, value))

    return visit(root, name)


def decode(config):
    """Makes again what `encode` has written, with new variables.

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
                tf.zeros(spec["shape"], spec["dtype"]),
                trainable=spec["trainable"],
                name=spec["name"],
            )
            return made[spec["index"]]
        if "object" in value:
            cls = _find_class(value["object"])
            if not issubclass(cls, _CLASSES):
                raise ValueError(_unknown(value["object"]))
            parameters = {key: visit(item) for key, item in value["parameters"].items()}
            made[value["index"]] = cls(**parameters)
            return made[value["index"]]
        if "layer" in value:
            layer = keras.saving.deserialize_keras_object(value["layer"], safe_mode=True)
            made[value["index"]] = layer
            return layer
        if "array" in value:
            array = _decode_array(value["array"])
            return tf.constant(array) if value["tensor"] else array
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
            return _find_class(value["class"])
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


def _class_name(cls, path):
    # TFP makes `_Chain` where `tfb.Chain` was asked for: the public class is a subclass.
    for name, namespace in _NAMESPACES.items():
        public = getattr(namespace, cls.__name__.lstrip("_"), None)
        if isinstance(public, type) and issubclass(public, cls):
            return f"{name}.{public.__name__}"
    if cls.__module__.partition(".")[0] in ("tensorflow", "tensorflow_probability", "tf_keras"):
        raise ValueError(_refusal(path, cls))
    return f"registered:{keras.saving.get_registered_name(cls)}"


def _find_class(name):
    namespace, _, short = name.rpartition(".")
    if namespace in _NAMESPACES:
        cls = getattr(_NAMESPACES[namespace], short, None)
        public_classes = _CLASSES
    elif name.startswith("registered:"):
        cls = find_registered(name.removeprefix("registered:"))
        public_classes = object
    else:
        raise ValueError(_unknown(name))
    if not isinstance(cls, type) or not issubclass(cls, public_classes):
        raise ValueError(_unknown(name))
    return cls


def custom_object_scope(custom_objects):
    """Makes the user's classes known while a file is read."""
    if not custom_objects:
        # Keras's scope replaces the one around it, which `load_model` has opened.
        return contextlib.nullcontext()
    return keras.saving.custom_object_scope(custom_objects)


def find_registered(name):
    """The class or function registered with Keras under the name; refuses any other."""
    custom = keras.saving.get_custom_objects()
    found = keras.saving.get_registered_object(name, custom_objects=custom)
    if found is None:
        raise ValueError(_unknown(name))
    return found


def is_registered(function):
    """Whether Keras would find the function by its name when a file is loaded."""
    if not hasattr(function, "__name__"):  # a partial or an instance has none, and Keras asks
        return False
    name = keras.saving.get_registered_name(function)
    return keras.saving.get_registered_object(name) is function


def _is_tracked_sequence(value):
    # `tf.Module` wraps the lists and tuples that are assigned to its attributes.
    return isinstance(value, list) or hasattr(value, "__wrapped__") and isinstance(value, tuple)


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


def _unknown(name):
    return (
        f"The saved flow names {name!r}, which is not a class of TFP, Keras or tfp_flows: "
        "pass it in `custom_objects`, or register it by "
        "`keras.saving.register_keras_serializable` (a class needs a `get_config` for that). "
        f"Received: {name!r}"
    )
