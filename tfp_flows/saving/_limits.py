"""Limits on the depth and the sizes of a saved flow, and errors that name the file as the cause."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

# The deepest nesting of objects, lists and `dict`s. Flows need about ten levels. Each level takes a
# few calls, and Python's stack holds a thousand.
MAX_DEPTH = 100


def check_depth(depth: int, what: str) -> None:
    """Refuses data that are nested too deep."""
    if depth > MAX_DEPTH:
        raise ValueError(
            f"{what} must be nested at most {MAX_DEPTH} levels deep. Received: {depth} levels"
        )


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns any error within into a `ValueError` that says what was being made."""
    try:
        yield
    except Exception as error:
        if type(error) is ValueError:
            raise
        raise ValueError(
            f"{what} cannot be made from the data in the file. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def check_sizes(config: Any) -> None:
    """Refuses plain data with a number that would be too large for the memory if it were a size.

    Seeds, and the numbers by which Keras identifies objects, may be of any size.
    """
    # 16 bytes: a float32 value, its gradient, and the two moments of an optimizer.
    largest = _memory() // 16
    for key, value in _numbers(config):
        is_size = "seed" not in str(key) and key != "shared_object_id"
        if is_size and abs(value) > largest:
            raise ValueError(
                f"The sizes in a saved flow must fit into memory. Received: {key}={value}"
            )


def _numbers(config: Any, key: Any = None) -> Iterator[tuple[Any, int]]:
    if isinstance(config, dict):
        # In classes of the user, the meaning of numbers is not known here.
        if str(config.get("registered_name") or "tfp_flows>").startswith("tfp_flows>"):
            for each, value in config.items():
                yield from _numbers(value, each)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _numbers(value, key)
    elif isinstance(config, int):
        yield key, config


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """Refuses variables that together exceed the memory, before the last of them is made."""
    left = _memory()

    def checked(next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
        nonlocal left
        left -= _size(**kwargs)
        if left < 0:
            raise ValueError(
                f"The variables of a saved flow must fit into the {_memory():.1e} bytes of memory. "
                f"Received: a variable {kwargs.get('name')!r}, for which {-left:.1e} bytes are "
                "missing"
            )
        return next_creator(**kwargs)

    with tf.variable_creator_scope(checked):
        yield


def _size(initial_value: Any = None, dtype: Any = None, **_: Any) -> int:
    """Returns the bytes of a variable, as far as they are known without its value."""
    if callable(initial_value):
        # In a graph the operations are not run, but the shape of their result is known.
        with tf.Graph().as_default():
            initial_value = initial_value()
    shape = getattr(initial_value, "shape", ())
    dtype = tf.as_dtype(dtype or getattr(initial_value, "dtype", tf.float32))
    return math.prod(shape) * dtype.size


def _memory() -> int:
    """Returns the size of this machine's memory in bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # the system does not say
        return 2**40
