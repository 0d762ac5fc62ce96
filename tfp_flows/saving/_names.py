"""The names of classes and functions that a file may hold, and the objects they stand for.

A file may name public classes of TFP and of this package, classes and functions that the user has
registered with Keras, and those in `custom_objects`. Nothing else is imported or run.
"""

import contextlib
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import bijectors, distributions

_NAMESPACES = {
    "tfp_flows.bijectors": bijectors,
    "tfp_flows.distributions": distributions,
    "tfp.distributions": tfp.distributions,
    "tfp.bijectors": tfp.bijectors,
    "tf.linalg": tf.linalg,
}
CLASSES = tfp.distributions.Distribution | tfp.bijectors.Bijector | tf.linalg.LinearOperator


def class_name(cls: type) -> str | None:
    """Returns the name of a class in a file, or `None` if a file may not name it."""
    # `tfb.Chain` may create a `_Chain`, of which the public class is a subclass.
    for name, namespace in _NAMESPACES.items():
        public = getattr(namespace, cls.__name__.lstrip("_"), None)
        if isinstance(public, type) and issubclass(public, cls):
            return f"{name}.{public.__name__}"
    if cls.__module__.partition(".")[0] in ("tensorflow", "tensorflow_probability", "tf_keras"):
        return None
    return f"registered:{keras.saving.get_registered_name(cls)}"


def find_class(name: str) -> type:
    """Returns the class that a name in a file stands for.

    Raises:
      ValueError: if it is not the name of a class that a file may name.
    """
    namespace, _, short = name.rpartition(".")
    if namespace in _NAMESPACES:
        cls = getattr(_NAMESPACES[namespace], short, None)
        public_classes = CLASSES
    elif name.startswith("registered:"):
        cls = find_registered(name.removeprefix("registered:"))
        public_classes = object
    else:
        raise ValueError(unknown(name))
    if not isinstance(cls, type) or not issubclass(cls, public_classes):
        raise ValueError(unknown(name))
    return cls


def custom_object_scope(
    custom_objects: dict[str, Any] | None,
) -> contextlib.AbstractContextManager[Any]:
    """Makes the classes of the user known while a file is read."""
    if not custom_objects:
        # An empty scope of Keras would replace the scope around it, which `load_model` has opened.
        return contextlib.nullcontext()
    return keras.saving.custom_object_scope(custom_objects)


def find_registered(name: str) -> Any:
    """Returns the class or function registered with Keras under the name; refuses any other."""
    custom = keras.saving.get_custom_objects()
    found = keras.saving.get_registered_object(name, custom_objects=custom)
    if found is None:
        raise ValueError(unknown(name))
    return found


def is_registered(function: Any) -> bool:
    """Returns whether Keras would find the function by its name when a file is loaded."""
    if not hasattr(function, "__name__"):  # a partial or an instance, for which Keras would fail
        return False
    name = keras.saving.get_registered_name(function)
    return keras.saving.get_registered_object(name) is function


def unknown(name: str) -> str:
    """Returns the error message that refuses a name."""
    return (
        f"The saved flow names {name!r}, which is not a class of TFP, Keras or tfp_flows. "
        "Pass it in `custom_objects`, or register it with "
        "`keras.saving.register_keras_serializable` (a class needs a `get_config` for that). "
        "If it is registered, import the module that defines it before loading. "
        f"Received: {name!r}"
    )
