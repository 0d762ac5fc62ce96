"""Pickles of flows, bijectors and distributions, with the same data as a `.keras` file.

Without this, `pickle` would save the attributes of private classes, and it could not load TFP's
transformed distributions. `joblib`, `cloudpickle` and `multiprocessing` use these pickles, too.
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
    """Rebuilds what was pickled. Pickles hold the name of this function.

    Args:
      version: the version of the format.
      config: the data that `encode` has written.
      states: for each network a list with the value of each variable, and whether it is trainable.
      classes: a `dict` of the user's classes that are not registered with Keras, by name.
    """
    check_version(version)
    with custom_object_scope(classes):
        root = decode(config)
    for layer, state in zip(_layers(root), states, strict=True):
        for variable, (value, is_trainable) in zip(layer.variables, state, strict=True):
            variable.assign(value)
            variable.trainable = is_trainable
    return root


restore.__module__ = "tfp_flows.saving"  # the public place, which remains if this file moves


def _reduce_ex(self: Any, protocol: int) -> str | tuple[Any, ...]:
    """Returns a call of `restore`, as the `__reduce_ex__` of flows.

    Raises:
      ValueError: if a part cannot be saved, with the place of the part.
    """
    classes: dict[str, type] = {}
    try:
        config = encode(self, self.name, classes)
    except ValueError:
        if not isinstance(self, bijectors.FlowBijector):
            raise
        # A bijector that holds a function. `pickle` saves the name of the function.
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


def _copy(self: Any) -> Any:
    """Returns a copy with the same variables, which `__reduce_ex__` would not share."""
    return self.copy()


def _layers(root: Any) -> list[keras.Layer]:
    return [node for node in walk(root) if isinstance(node, keras.Layer)]


# The methods are set from here, since the modules of these classes cannot import this one.
for _cls in (bijectors.FlowBijector, *map(distributions.__dict__.get, distributions.__all__)):
    if isinstance(_cls, type) and issubclass(_cls, CLASSES):
        # Mypy does not allow assignments to methods.
        _cls.__reduce_ex__, _cls.__copy__ = _reduce_ex, _copy  # type: ignore
