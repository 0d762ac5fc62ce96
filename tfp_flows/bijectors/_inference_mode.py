"""Running Keras layers in inference mode without a trace on what comes after."""

import contextlib
import threading
from collections.abc import Iterator

import keras
import tensorflow as tf


@contextlib.contextmanager
def inference_mode() -> Iterator[None]:
    """Gives Keras its training mode back at the end.

    A layer that is called with `training=False` within the call of a model turns training off
    for all layers that the model calls later, not only for those within it. The mode is that of
    the thread, as in Keras: another one may train meanwhile.
    """
    nothing = tf.zeros([])
    _MODE(nothing)
    was_training = _SEEN.training
    try:
        yield
    finally:
        if was_training:
            _MODE(nothing, training=True)


class _Mode(keras.layers.Layer):
    """Sees the mode, or sets it, as any layer that is called."""

    def __init__(self) -> None:
        super().__init__(name="mode", dtype="float32", autocast=False)
        self.built = True

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        _SEEN.training = training
        return x


_MODE = _Mode()
# Not an attribute of the layer, which all threads share.
_SEEN = threading.local()
