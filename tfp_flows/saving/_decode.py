"""Rebuilds a TFP object from the plain data that `encode` has written.

Reading creates instances only of the classes that `tfp_flows.saving` knows. A file may be
truncated, written by another program, or malicious. Whatever it holds, the result is an object or
a `ValueError`.
"""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.bijectors.transformers._raw_parameter import RawParameter
from tfp_flows.saving._arrays import decode_array
from tfp_flows.saving._limits import check_depth, check_sizes, reading, within_memory
from tfp_flows.saving._names import CLASSES, find_class, find_registered, unknown

FORMAT_VERSION = 1


def decode(config: Any) -> Any:
    """Rebuilds what `encode` has written, with new variables of the same values.

    Raises:
      ValueError: if the data cannot be read, or name a class that may not be loaded.
    """
    with within_memory(), reading("The saved flow"):
        return _Reader().value(config, 0)


class _Reader:
    """Reads an entry of each kind, and keeps the objects it has made by their numbers."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._kinds = {
            "again": self._again,
            "variable": self._variable,
            "object": self._object,
            "layer": self._layer,
            "raw": self._raw,
            "array": self._array,
            "dict": self._dict,
            "tuple": self._tuple,
            "list": self._list,
            "dtype": lambda entry, depth: tf.as_dtype(entry["dtype"]),
            "shape": lambda entry, depth: tf.TensorShape(entry["shape"]),
            "class": lambda entry, depth: find_class(entry["class"]),
            "function": lambda entry, depth: find_registered(entry["function"]),
        }

    def value(self, entry: Any, depth: int) -> Any:
        """Returns the object of an entry; `depth` is the number of entries around it."""
        check_depth(depth, "The saved flow")
        if entry is None or isinstance(entry, bool | int | float | str):
            return entry
        if not isinstance(entry, dict):
            raise ValueError(f"The saved flow must hold plain values. Received: {entry!r}")
        for kind, read in self._kinds.items():
            if kind in entry:
                with reading(f"An entry {kind!r} of the saved flow"):
                    return read(entry, depth + 1)
        raise ValueError(f"The saved flow holds an unknown entry. Received: {sorted(entry)}")

    def _keep(self, entry: dict[str, Any], made: Any) -> Any:
        self._made[entry["index"]] = made
        return made

    def _again(self, entry: dict[str, Any], depth: int) -> Any:
        if entry["again"] not in self._made:
            raise ValueError(
                "The saved flow must refer only to objects that come earlier in the file. "
                f"Received: again={entry['again']!r}"
            )
        return self._made[entry["again"]]

    def _variable(self, entry: dict[str, Any], depth: int) -> tf.Variable:
        spec = entry["variable"]
        value = decode_array(spec["value"])
        return self._keep(spec, tf.Variable(value, trainable=spec["trainable"], name=spec["name"]))

    def _object(self, entry: dict[str, Any], depth: int) -> Any:
        cls = find_class(entry["object"])
        if not issubclass(cls, CLASSES):
            raise ValueError(unknown(entry["object"]))
        parameters = {key: self.value(item, depth) for key, item in entry["parameters"].items()}
        if not entry["object"].startswith("registered:"):
            check_sizes(parameters)
        with reading(f"`{entry['object']}`"):
            return self._keep(entry, cls(**parameters))

    def _layer(self, entry: dict[str, Any], depth: int) -> keras.Layer:
        config = entry["layer"]
        check_sizes(config)
        with reading("A network"):
            layer = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not isinstance(layer, keras.Layer):
            raise ValueError(f"A saved network must be a Keras layer. Received: {layer!r}")
        if not layer.trainable:
            # The constructor did not pass it on. An assignment that changes it reaches all parts.
            layer.trainable = True
            layer.trainable = False
        return self._keep(entry, layer)

    def _raw(self, entry: dict[str, Any], depth: int) -> RawParameter:
        """Reads a parameter that a transformer computes from a variable."""
        spec = entry["raw"]
        transformer = find_class(spec["transformer"])
        if not hasattr(transformer, "new"):
            raise ValueError(unknown(spec["transformer"]))
        params, kwargs = self.value(spec["params"], depth), self.value(spec["kwargs"], depth)
        check_sizes(kwargs)
        return RawParameter(transformer, params, kwargs, spec["parameter"], spec["shape"])

    def _array(self, entry: dict[str, Any], depth: int) -> Any:
        array = decode_array(entry["array"])
        # `[()]` turns an array without axes into a numpy number, and changes nothing else.
        return tf.constant(array) if entry["tensor"] else array[()]

    def _dict(self, entry: dict[str, Any], depth: int) -> dict[Any, Any]:
        return {self.value(key, depth): self.value(item, depth) for key, item in entry["dict"]}

    def _tuple(self, entry: dict[str, Any], depth: int) -> tuple[Any, ...]:
        return tuple(self.value(item, depth) for item in entry["tuple"])

    def _list(self, entry: dict[str, Any], depth: int) -> list[Any]:
        return [self.value(item, depth) for item in entry["list"]]


def check_version(version: Any) -> None:
    """Refuses a file whose format this version of the package cannot read."""
    if version != FORMAT_VERSION:
        raise ValueError(
            f"The file must have format version {FORMAT_VERSION}. A newer `tfp_flows` may be able "
            f"to read it. Received: format_version={version!r}"
        )
