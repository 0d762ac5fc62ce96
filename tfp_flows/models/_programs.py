"""The functions that XLA has compiled for a model."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Programs:
    """Functions by key that XLA compiles once for each shape. Keras does not track this class."""

    def __init__(self) -> None:
        self._by_key: dict[Any, Callable[..., Any]] = {}

    def of(self, key: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        """The program of that key. If there is none yet, it is made of this function."""
        if key not in self._by_key:
            self._by_key[key] = tf.function(function, jit_compile=True, autograph=False)
        return self._by_key[key]

    def forget(self, key: Any) -> None:
        """Drops the program of that key, so that the next function is compiled."""
        self._by_key.pop(key, None)
