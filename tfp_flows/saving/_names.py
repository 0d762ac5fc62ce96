"""Names of classes and functions in a file: which there may be, and what they stand for.

A file may name public classes of TFP and of this package, what the user has registered with
Keras, and what `custom_objects` holds. Nothing else is imported or run.
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


def class_name(cls) -> str | None:
    """The name that a class has in a file; `None` for one that a file may not name."""
    # TFP makes `_Chain` where `tfb.Chain` was asked for: the public class is a subclass.
    for name, namespace in _NAMESPACES.items():
        public = getattr(namespace, cls.__name__.lstrip("_"), None)
        if isinstance(public, type) and issubclass(public, cls):
            return f"{name}.{public.__name__}"
    if cls.__module__.partition(".")[0] in ("tensorflow", "tensorflow_probability", "tf_keras"):
        return None
    return f"registered:{keras.saving.get_registered_name(cls)}"


def find_class(name: str) -> type:
    """The class of a name in a file.

    Raises:
      ValueError: if it is not a class that a file may name.
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
    """Makes the user's classes known while a file is read."""
    if not custom_objects:
        # Keras's scope replaces the one around it, which `load_model` has opened.
        return contextlib.nullcontext()
    return keras.saving.custom_object_scope(custom_objects)


def find_registered(name: str) -> Any:
    """The class or function registered with Keras under the name; refuses any other."""
    custom = keras.saving.get_custom_objects()
    found = keras.saving.get_registered_object(name, custom_objects=custom)
    if found is None:
        raise ValueError(unknown(name))
    return found


def is_registered(function: Any) -> bool:
    """Whether Keras would find the function by its name when a file is loaded."""
    if not hasattr(function, "__name__"):  # a partial or an instance has none, and Keras asks
        return False
    name = keras.saving.get_registered_name(function)
    return keras.saving.get_registered_object(name) is function


def unknown(name: str) -> str:
    """The message that refuses a name."""
    return (
        f"The saved flow names {name!r}, which is not a class of TFP, Keras or tfp_flows: "
        "pass it in `custom_objects`, or register it by "
        "`keras.saving.register_keras_serializable` (a class needs a `get_config` for that). "
        f"Received: {name!r}"
    )
