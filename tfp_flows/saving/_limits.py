"""What a file may ask for: so deep, so large, and errors that say that the file is at fault."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

# Of objects, lists and `dict`s within each other. Flows have some ten; Python's stack ends at a
# thousand calls, of which each level takes a few.
MAX_DEPTH = 100


def check_depth(depth: int, what: str) -> None:
    """Refuses what is nested deeper than a file may be."""
    if depth > MAX_DEPTH:
        raise ValueError(
            f"{what} must be nested at most {MAX_DEPTH} levels deep. Received: {depth} levels"
        )


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns what goes wrong within into a `ValueError` that says what was being made."""
    try:
        yield
    except Exception as error:
        if type(error) is ValueError:
            raise
        raise ValueError(
            f"{what} cannot be made from what the file says. "
            f"Received: {type(error).__name__}: {error}"
        ) from error


def check_sizes(config: Any) -> None:
    """Refuses a number, among plain data, that as a size would exceed the memory.

    Seeds, and the numbers by which Keras knows objects, may be as large as they like.
    """
    largest = _memory() // 16  # a value, its gradient, and the two moments of an optimizer
    for key, value in _numbers(config):
        is_size = "seed" not in str(key) and key != "shared_object_id"
        if is_size and abs(value) > largest:
            raise ValueError(
                f"The sizes in a saved flow must fit into memory. Received: {key}={value}"
            )


def _numbers(config: Any, key: Any = None) -> Iterator[tuple[Any, int]]:
    if isinstance(config, dict):
        # What numbers mean in a class of the user's is not known here.
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
    """Refuses variables that together exceed the memory, before the one that does is made."""
    left = _memory()

    def checked(next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
        nonlocal left
        left -= _size(**kwargs)
        if left < 0:
            raise ValueError(
                "The variables of a saved flow must fit into memory, of which there are "
                f"{_memory():.1e} bytes. Received: a variable, {kwargs.get('name')!r}, for which "
                f"{-left:.1e} are missing"
            )
        return next_creator(**kwargs)

    with tf.variable_creator_scope(checked):
        yield


def _size(initial_value: Any = None, dtype: Any = None, **_: Any) -> int:
    """Bytes of a variable, as far as they are known without its value."""
    if callable(initial_value):
        # As operations that are not run, which know the shape of their result.
        with tf.Graph().as_default():
            initial_value = initial_value()
    shape = getattr(initial_value, "shape", ())
    dtype = tf.as_dtype(dtype or getattr(initial_value, "dtype", tf.float32))
    return math.prod(shape) * dtype.size


def _memory() -> int:
    """Bytes of this machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # a system that does not say
        return 2**40
