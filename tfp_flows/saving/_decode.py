"""Making a TFP object again from the plain data that `encode` has written.

Reading makes instances of the classes that `tfp_flows.saving` knows, and of no others. A file may
have been cut off, written by something else, or made to do harm: whatever it holds, the answer is
an object or a `ValueError`.
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
    """Makes again what `encode` has written, with new variables of the same values.

    Raises:
      ValueError: if the data name a class that may not be loaded, or cannot be read.
    """
    with within_memory(), reading("The saved flow"):
        return _Reader().value(config, 0)


class _Reader:
    """Knows each kind of entry by its key, and what was made before by its number."""

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
        """What an entry stands for; `depth` is the number of entries around it."""
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
                "The saved flow refers to something that does not stand before. "
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
            # Its constructor kept that word for itself: assigned, a change reaches its parts.
            layer.trainable = True
            layer.trainable = False
        return self._keep(entry, layer)

    def _raw(self, entry: dict[str, Any], depth: int) -> RawParameter:
        """A parameter that a transformer computes of a variable."""
        spec = entry["raw"]
        transformer = find_class(spec["transformer"])
        if not hasattr(transformer, "new"):
            raise ValueError(unknown(spec["transformer"]))
        params, kwargs = self.value(spec["params"], depth), self.value(spec["kwargs"], depth)
        check_sizes(kwargs)
        return RawParameter(transformer, params, kwargs, spec["parameter"], spec["shape"])

    def _array(self, entry: dict[str, Any], depth: int) -> Any:
        array = decode_array(entry["array"])
        # `[()]` makes a numpy number again of what has no axes, and changes nothing else.
        return tf.constant(array) if entry["tensor"] else array[()]

    def _dict(self, entry: dict[str, Any], depth: int) -> dict[Any, Any]:
        return {self.value(key, depth): self.value(item, depth) for key, item in entry["dict"]}

    def _tuple(self, entry: dict[str, Any], depth: int) -> tuple[Any, ...]:
        return tuple(self.value(item, depth) for item in entry["tuple"])

    def _list(self, entry: dict[str, Any], depth: int) -> list[Any]:
        return [self.value(item, depth) for item in entry["list"]]


def check_version(version: Any) -> None:
    """Refuses a file of a format that this version of the package cannot read."""
    if version != FORMAT_VERSION:
        raise ValueError(
            f"The file must have format version {FORMAT_VERSION}; a newer `tfp_flows` may read "
            f"it. Received: format_version={version!r}"
        )
