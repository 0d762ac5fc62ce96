"""Checks of arguments, so that all parts refuse bad input in the same words."""

import inspect
import numbers
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike
from tensorflow_probability.python.internal import dtype_util, tensor_util


def common_dtype(*values: Any) -> tf.DType:
    """The float dtype that the values share; float32 if none of them has a dtype."""
    dtype = dtype_util.common_dtype(values, dtype_hint=tf.float32)
    if not dtype.is_floating:
        raise TypeError(f"Parameters must be floating point. Received: dtype={dtype.name}")
    return dtype


def as_tensor(value: Any, dtype: DTypeLike | tf.DType, name: str) -> tf.Tensor:
    """Converts a parameter, keeping a `tf.Variable` alive so that its gradient is seen."""
    return tensor_util.convert_nonref_to_tensor(value, dtype=dtype, name=name)


def not_symbolic(value: Any, name: str) -> Any:
    """Refuses a symbolic input of a functional model, of Keras 3 or of `tf_keras`."""
    # By name, since importing `tf_keras` takes a second.
    if any(cls.__name__ == "KerasTensor" for cls in type(value).__mro__):
        raise TypeError(
            f"`{name}` must be numbers. In a functional model of Keras 3 use the layer "
            "`tfp_flows.DistributionLayer(distribution)`, which is called with `x` or "
            f"`(context, x)`. Received: {name}={value!r}"
        )
    return value


def integer_at_least(value: Any, minimum: int, name: str) -> int:
    """Refuses a value that is not an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Integral, np.integer)):
        raise TypeError(
            f"`{name}` must be an integer of at least {minimum}. Received: {name}={value!r}"
        )
    if value < minimum:
        raise ValueError(
            f"`{name}` must be an integer of at least {minimum}. Received: {name}={value!r}"
        )
    return int(value)


def odd(value: Any, name: str) -> int:
    """Refuses a value that is not an odd integer of at least one."""
    value = integer_at_least(value, 1, name)
    if value % 2 == 0:
        raise ValueError(f"`{name}` must be odd. Received: {name}={value}")
    return value


def _number(value: Any, name: str, wanted: str, is_wanted: Callable[[Any], bool]) -> float:
    message = f"`{name}` must be {wanted}. Received: {name}={value!r}"
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.number)):
        raise TypeError(message)
    if not is_wanted(value):
        raise ValueError(message)
    return float(value)


def finite_number(value: Any, name: str) -> float:
    """Refuses a value that is not a finite number."""
    return _number(value, name, "a finite number", np.isfinite)


def positive_number(value: Any, name: str) -> float:
    """Refuses a value that is not a finite number above zero."""
    return _number(value, name, "a positive number", lambda x: 0 < x < float("inf"))


def fraction(value: Any, name: str) -> float:
    """Refuses a value that is not a number strictly between zero and one."""
    return _number(value, name, "a number in (0, 1)", lambda x: 0 < x < 1)


def rate(value: Any, name: str) -> float:
    """Refuses a value that is not at least zero and below one."""
    return _number(value, name, "a number in [0, 1)", lambda x: 0 <= x < 1)


def one_of(value: Any, options: Sequence[Any], name: str) -> Any:
    """Refuses a value that is not one of the options."""
    if value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value!r}")
    return value


def last_axis(tensor: tf.Tensor, size: int, name: str) -> None:
    """Refuses a tensor whose last axis is known to have another size."""
    if tensor.shape.rank == 0 or tensor.shape[-1] not in (None, size):
        raise ValueError(
            f"`{name}` must have {size} numbers on its last axis. "
            f"Received: {name}.shape={tuple(tensor.shape)}"
        )


def permutation(value: Any, size: int, name: str) -> tuple[int, ...]:
    """Refuses a value that is not a permutation of `range(size)`; returns a tuple of ints."""
    values = np.asarray(value)
    if values.ndim != 1 or sorted(values.tolist()) != list(range(size)) or size == 0:
        raise ValueError(
            f"`{name}` must be a permutation of range({size or 'D'}). Received: {name}={value!r}"
        )
    return tuple(int(item) for item in values)


def event_size(tensor: tf.Tensor, size: int, name: str) -> None:
    """Refuses a tensor whose last axis is not an event of the `size` that the part acts on."""
    if tensor.shape.rank == 0 or tensor.shape[-1] not in (None, size):
        raise ValueError(
            f"`{name}` acts on events of {size} dimensions. "
            f"Received: a tensor of shape {tuple(tensor.shape)}"
        )


def has_event_shape(tensor: tf.Tensor, event_shape: tf.TensorShape) -> bool:
    """Whether the last axes of a tensor have the sizes of an event; unknown sizes pass."""
    num_others = max((tensor.shape.rank or 0) - len(event_shape), 0)
    return (tf.TensorShape([None] * num_others) + event_shape).is_compatible_with(tensor.shape)


def event(tensor: tf.Tensor, event_shape: tf.TensorShape, name: str) -> None:
    """Refuses a tensor whose last axes are known to differ from those of an event."""
    if not has_event_shape(tensor, event_shape):
        raise ValueError(
            f"`{name}` must have shape [..., {listed(event_shape)}]. "
            f"Received: {name}.shape={tuple(tensor.shape)}"
        )


def context_size(value: Any) -> int | tuple[int, ...]:
    """Refuses a value that is not C, 0 for no context, or a tuple of the sizes of several axes."""
    if not isinstance(value, tuple | list):
        return integer_at_least(value, 0, "context_size")
    if len(value) < 2:
        raise ValueError(
            "`context_size` must be an integer, or for contexts of several axes a tuple of their "
            f"sizes. Received: context_size={value!r}"
        )
    return tuple(integer_at_least(size, 1, "context_size") for size in value)


def flat_context_size(value: Any, minimum: int = 0) -> int:
    """Refuses a value that is not C, for parts whose contexts have one axis."""
    if isinstance(value, tuple | list):
        raise TypeError(
            f"`context_size` must be an integer of at least {minimum}: here contexts are vectors. "
            "Flatten them, `context.reshape([N, -1])`, and give the product of the sizes. Contexts "
            "of several axes are for recipes of series, such as `wavenet`. "
            f"Received: context_size={value!r}"
        )
    return integer_at_least(value, minimum, "context_size")


def context_shape(size: int | tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one context of a `context_size`: `(C,)`, or the sizes of its axes."""
    return size if isinstance(size, tuple) else (size,)


def context(tensor: tf.Tensor, size: int | tuple[int, ...], name: str) -> None:
    """Refuses a context that does not fit the `context_size` of the part called `name`."""
    shape = context_shape(size)
    if tensor.shape.rank is None:
        return
    if tensor.shape.rank < len(shape) or not tensor.shape[-len(shape) :].is_compatible_with(shape):
        raise ValueError(
            f"`context` must have shape [..., {listed(shape)}] for the part {name!r}. "
            f"Received: context of shape {tuple(tensor.shape)}"
        )


def listed(shape: Iterable[Any]) -> str:
    """The sizes of a shape as text for a message."""
    return ", ".join(map(str, shape))


def static_shape(tensor: tf.Tensor, shape: Sequence[int | None], name: str) -> None:
    """Refuses a parameter that is known to have another shape."""
    if not tensor.shape.is_compatible_with(shape):
        raise ValueError(
            f"`{name}` must have shape {tuple(shape)}. Received: {name}.shape={tuple(tensor.shape)}"
        )


def plain(value: Any, name: str) -> Any:
    """Refuses masked arrays, whose gaps numpy fills, and sparse arrays, which it misreads."""
    if np.ma.is_masked(value):
        raise ValueError(
            f"`{name}` must have no gaps. Received: {name} with {np.ma.count_masked(value)} masked "
            "elements"
        )
    if isinstance(value, tf.SparseTensor) or (hasattr(value, "nnz") and hasattr(value, "toarray")):
        raise TypeError(
            f"`{name}` must be dense: call `{name}.toarray()`. Received: {type(value).__name__} of "
            f"shape {tuple(value.shape)}"
        )
    return value


def warn(message: str) -> None:
    """Issues a `UserWarning` at the user's line that called this package."""
    warnings.warn(message, UserWarning, stacklevel=_level_of_user())


def _level_of_user() -> int:
    """The `stacklevel` of the code that called this package."""
    level, frame = 1, inspect.currentframe().f_back  # type: ignore[union-attr]  # CPython has it
    while frame is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] not in ("tfp_flows", "keras"):
            return level
        level, frame = level + 1, frame.f_back
    return level
