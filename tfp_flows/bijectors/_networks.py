"""What TFP objects need for the networks inside of them: checks, variables and a dtype."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def check_network(network: Any, call: str, name: str) -> None:
    """Refuses an object that is not callable, and a layer that has no variables yet.

    Args:
      network: the argument.
      call: how it is called, such as "field(t, z)", for the message.
      name: the name of the argument.
    """
    if not callable(network):
        raise TypeError(f"`{name}` must be callable as {call}. Received: {name}={network!r}")
    if getattr(network, "built", True) is False:
        raise ValueError(
            f"`{name}` must be built before it is given to a TFP object: call its `build`, or the "
            f"layer on a batch of zeros. Received: {name}={network!r}, which has no variables yet"
        )


def check_network_inputs(network: Any, name: str, takes_context: bool) -> None:
    """Checks a network that is called with `x`, and by `network_with_context` with a context.

    A sequential or functional model without an input for the context would ignore it silently, so
    it is refused.
    """
    call = f"{name}(x, context=c)" if takes_context else f"{name}(x)"
    check_network(network, call, name)
    if not _is_ready_made(network):
        return
    wanted = ("x", "the context") if takes_context else ("x",)
    num_inputs = 1 if network.inputs is None else len(network.inputs)
    if num_inputs != len(wanted):
        raise ValueError(
            f"`{name}` must be a layer called as {call}, or a functional model whose inputs are "
            f"{' and '.join(wanted)}. "
            f"Received: {name}={network!r} with {num_inputs} inputs"
        )
    # A sequential model has one input, and no attribute `input`.
    keys = set(network.input) if takes_context and isinstance(network.input, dict) else None
    if keys not in (None, {"x", "context"}):
        raise ValueError(
            f"`{name}` must name its inputs 'x' and 'context' if they are a `dict`. "
            f"Received: {name}={network!r} with the inputs {', '.join(map(repr, sorted(keys)))}"
        )


def network_with_context(network: Any) -> Callable[..., Any]:
    """Returns a callable `(x, context=c)`: the network itself, unless it is a functional model.

    A functional model is called with `[x, c]`, with `[c, x]` if its first input is named "context",
    or with a `dict` of "x" and "context".
    """
    if not _is_ready_made(network):
        return network
    if isinstance(network.input, dict):
        return lambda x, context, **kwargs: network({"x": x, "context": context}, **kwargs)
    if network.inputs[0].name == "context":
        return lambda x, context, **kwargs: network([context, x], **kwargs)
    return lambda x, context, **kwargs: network([x, context], **kwargs)


def _is_ready_made(network: Any) -> bool:
    """Returns whether it is a sequential or functional model, of Keras 3 or of `tf_keras`."""
    # Compared by name, since importing `tf_keras` takes a second.
    is_model = isinstance(network, keras.Model) or any(
        cls.__name__ == "Model" and cls.__module__.startswith("tf_keras.")
        for cls in type(network).__mro__
    )
    return is_model and type(network).call.__module__.startswith(("keras.", "tf_keras."))


def row_shapes(network: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Returns the shapes of an input row and an output row, or `None` if they are not known.

    A network says them by `input_shape`, as functional models of Keras do.
    """
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple) or None in shape[1:]:
        return None
    return shape[1:], tuple(network.compute_output_shape(shape))[1:]


def layer_variables(*parts: Any) -> list[tf.Variable]:
    """Returns the `tf.Variable`s of those parts that are Keras layers.

    A TFP object keeps them as an attribute, since its trackers find a `tf.Variable` but no Keras 3
    layer.
    """
    layers = [part for part in parts if isinstance(part, keras.Layer)]
    return [variable.value for layer in layers for variable in layer.variables]


def dtype_of(network: Any, dtype: tf.DType | str | None = None) -> tf.DType | None:
    """Returns `dtype`, or by default that of a Keras layer's variables; `None` for others."""
    if dtype is None and isinstance(network, keras.Layer):
        dtype = network.variable_dtype
    return None if dtype is None else tf.as_dtype(dtype)
