"""Converts a TFP object to plain data.

The data hold what is in `parameters`: the arguments of constructors, and the values of variables,
without which a clone might not be a valid distribution. Weights of networks are not part of the
data. Keras saves them with the weights of a model, and the variables once more.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows._tree import is_node
from tfp_flows.bijectors.transformers._raw_parameter import RawParameter
from tfp_flows.saving._arrays import encode_array
from tfp_flows.saving._limits import check_depth
from tfp_flows.saving._names import class_name, is_registered


def encode(root: Any, name: str = "distribution", classes: dict[str, type] | None = None) -> Any:
    """Returns a TFP object as nested `dict`s and `list`s of plain values.

    Args:
      root: the TFP object.
      name: the name of the object in error messages.
      classes: a `dict`, or `None`. The user's classes are added to it by their names in the data.

    Raises:
      ValueError: if a part cannot be rebuilt from a file (a function, a `tf_keras` network), with
        the place of the part, or if it is nested deeper than a file may be.
    """
    return _Writer({} if classes is None else classes).plain(root, name)


class _Writer:
    """Writes each object once, numbered, also if it has several owners."""

    def __init__(self, classes: dict[str, type]) -> None:
        self._met: dict[int, tuple[int, Any]] = {}
        self._classes = classes

    def plain(self, value: Any, path: str, depth: int = 0) -> Any:
        """Returns a value as plain data; `path` is its place, for error messages."""
        check_depth(depth, f"`{path[:60]}`")
        below = functools.partial(self.plain, depth=depth + 1)
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, tf.Variable):
            return self._once(value, path, _variable)
        if is_node(value):
            return self._once(value, path, functools.partial(self._object, below=below))
        if isinstance(value, RawParameter):
            return self._raw(value, path, below)
        if isinstance(value, keras.KerasTensor | keras.Variable):
            raise ValueError(_refusal(path, value))
        if isinstance(value, keras.Layer):
            return self._once(value, path, _layer)
        if isinstance(value, np.ndarray | np.generic) or tf.is_tensor(value):
            return {"array": _array(value, path), "tensor": tf.is_tensor(value)}
        if isinstance(value, dict):
            pairs = [[below(k, path), below(v, f"{path}[{k!r}]")] for k, v in value.items()]
            return {"dict": pairs}
        if type(value) in (list, tuple) or _is_tracked_sequence(value):
            items = [below(item, f"{path}[{i}]") for i, item in enumerate(value)]
            return {"tuple" if isinstance(value, tuple) else "list": items}
        if isinstance(value, tf.DType):
            return {"dtype": value.name}
        if isinstance(value, tf.TensorShape):
            return {"shape": value.as_list() if value.rank is not None else None}
        if isinstance(value, type):
            return {"class": self._name(value, path)}
        if callable(value) and is_registered(value):
            return {"function": keras.saving.get_registered_name(value)}
        raise ValueError(_refusal(path, value))

    def _once(
        self, value: Any, path: str, write: Callable[[Any, str, int], dict[str, Any]]
    ) -> dict[str, Any]:
        """Returns `write(value, path, index)` for a new value, and its number for a known one."""
        if id(value) in self._met:
            return {"again": self._met[id(value)][0]}
        index = len(self._met)
        # Keeping a reference to the value ensures that no other object gets its id.
        self._met[id(value)] = index, value
        return write(value, path, index)

    def _object(
        self, value: Any, path: str, index: int, below: Callable[[Any, str], Any]
    ) -> dict[str, Any]:
        arguments = _arguments(value, path)
        parameters = {key: below(item, f"{path}.{key}") for key, item in arguments.items()}
        name = self._name(type(value), path)
        return {"object": name, "index": index, "parameters": parameters}

    def _raw(
        self, value: RawParameter, path: str, below: Callable[[Any, str], Any]
    ) -> dict[str, Any]:
        return {
            "raw": {
                "transformer": self._name(value.transformer, path),
                "params": below(value.params, path),
                "kwargs": below(dict(value.kwargs), path),
                "parameter": value.parameter,
                "shape": value.shape.as_list(),
            }
        }

    def _name(self, cls: type, path: str) -> str:
        name = class_name(cls)
        if name is None:
            raise ValueError(_refusal(path, cls))
        if name.startswith("registered:"):
            self._classes[name.removeprefix("registered:")] = cls
        return name


def _variable(value: tf.Variable, path: str, index: int) -> dict[str, Any]:
    with tf.init_scope():
        array = tf.identity(value).numpy()
    return {
        "variable": {
            "index": index,
            "value": _array(array, path),
            "trainable": value.trainable,
            "name": value.name.split(":")[0],
        }
    }


def _layer(value: keras.Layer, path: str, index: int) -> dict[str, Any]:
    if _has_a_lambda(value):
        # Keras would save the code of the lambda, and refuse to load it.
        raise ValueError(f"{_refusal(path, value)} with a lambda")
    return {"layer": keras.saving.serialize_keras_object(value), "index": index}


def _array(value: Any, path: str) -> dict[str, Any]:
    array = encode_array(value)
    if array is None:
        raise ValueError(_refusal(path, value))
    return array


def _arguments(node: Any, path: str) -> dict[str, Any]:
    """Returns the constructor's arguments, without functions that are default values."""
    cls = type(node)
    if node.parameters is None:
        raise ValueError(
            f"`{path}` cannot be saved: its class must pass `parameters=dict(locals())` to the "
            f"constructor of its base. Received: {node!r}"
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


def _is_tracked_sequence(value: Any) -> bool:
    # `tf.Module` wraps the lists and tuples that are assigned to its attributes.
    return isinstance(value, list) or hasattr(value, "__wrapped__") and isinstance(value, tuple)


def _has_a_lambda(layer: keras.Layer) -> bool:
    """Returns whether the layer, or one of the layers of a model, holds a lambda."""
    functions = [
        getattr(part, name, None)
        for part in (layer, *getattr(layer, "layers", ()))
        for name in ("activation", "function")
    ]
    return any(getattr(function, "__name__", None) == "<lambda>" for function in functions)


def _refusal(path: str, value: Any) -> str:
    return (
        f"`{path}` cannot be saved: expected plain values, arrays, variables, TFP objects, Keras 3 "
        "layers, or functions registered by `keras.saving.register_keras_serializable`. "
        f"Received: {value!r}"
    )
