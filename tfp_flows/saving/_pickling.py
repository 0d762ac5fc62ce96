"""Pickles of flows, bijectors and distributions, which hold what a `.keras` file holds.

`pickle` would write down the attributes of private classes, and TFP's transformed distributions it
could not read again. `joblib`, `cloudpickle` and `multiprocessing` go the same way.
"""

from typing import Any

import keras
import numpy as np

from tfp_flows import bijectors, distributions
from tfp_flows._tree import walk
from tfp_flows.saving._decode import FORMAT_VERSION, check_version, decode
from tfp_flows.saving._encode import encode
from tfp_flows.saving._names import CLASSES, custom_object_scope


def restore(
    version: int, config: Any, states: list[list[tuple[np.ndarray, bool]]], classes: dict[str, type]
) -> Any:
    """Makes again what was pickled. Its name stands in pickles.

    Args:
      version: of the format.
      config: what `encode` has written.
      states: for each network a list of the value of each variable and whether it is trainable.
      classes: a `dict` of classes of the user that are not registered with Keras, by name.
    """
    check_version(version)
    with custom_object_scope(classes):
        root = decode(config)
    for layer, state in zip(_layers(root), states, strict=True):
        for variable, (value, is_trainable) in zip(layer.variables, state, strict=True):
            variable.assign(value)
            variable.trainable = is_trainable
    return root


restore.__module__ = "tfp_flows.saving"  # where it stays, whatever becomes of this file


def _reduce_ex(self, protocol: int) -> str | tuple[Any, ...]:
    """`__reduce_ex__`: a call of `restore`.

    Raises:
      ValueError: if something in it cannot be saved, with its place.
    """
    classes: dict[str, type] = {}
    try:
        config = encode(self, self.name, classes)
    except ValueError:
        if not isinstance(self, bijectors.FlowBijector):
            raise
        # One with a function, which `pickle` finds by its name.
        return object.__reduce_ex__(self, protocol)
    layers = _layers(self)
    for part in (part for layer in layers for part in layer._flatten_layers()):
        classes[keras.saving.get_registered_name(type(part))] = type(part)
    known = keras.saving.get_registered_object
    classes = {
        name: cls
        for name, cls in classes.items()
        if known(name) is not cls and not cls.__module__.startswith(("keras.", "tfp_flows."))
    }
    states = [[(v.numpy(), v.trainable) for v in layer.variables] for layer in layers]
    return restore, (FORMAT_VERSION, config, states, classes)


def _copy(self) -> Any:
    """`__copy__`, which would be by `__reduce_ex__`: with the same variables."""
    return self.copy()


def _layers(root: Any) -> list[keras.Layer]:
    return [node for node in walk(root) if isinstance(node, keras.Layer)]


# The classes stand below this part of the package, and cannot import it.
for _cls in (bijectors.FlowBijector, *map(distributions.__dict__.get, distributions.__all__)):
    if isinstance(_cls, type) and issubclass(_cls, CLASSES):
        # Mypy holds methods for what nobody assigns.
        _cls.__reduce_ex__, _cls.__copy__ = _reduce_ex, _copy  # type: ignore
