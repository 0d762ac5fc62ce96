"""What XLA has compiled for a model."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Programs:
    """Functions that XLA compiles, once for each shape; not a container that Keras would track."""

    def __init__(self) -> None:
        self._by_key: dict[Any, Callable[..., Any]] = {}

    def of(self, key: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        """The program of that key: of this function, if it is the first."""
        if key not in self._by_key:
            self._by_key[key] = tf.function(function, jit_compile=True, autograph=False)
        return self._by_key[key]

    def forget(self, key: Any) -> None:
        """Lets the next function of that key be compiled."""
        self._by_key.pop(key, None)
