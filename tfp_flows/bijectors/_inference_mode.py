"""Runs Keras layers in inference mode, and restores the mode afterwards."""

import contextlib
import threading
from collections.abc import Iterator

import keras
import tensorflow as tf


@contextlib.contextmanager
def inference_mode() -> Iterator[None]:
    """Restores Keras's training mode at the end of the block.

    If a layer is called with `training=False` within the call of a model, Keras turns training off
    for all layers that the model calls later, not only for those within the layer. As in Keras, the
    mode belongs to the thread, and another thread may train meanwhile.
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
    """A layer that reads the current mode, or sets it, when it is called."""

    def __init__(self) -> None:
        super().__init__(name="mode", dtype="float32", autocast=False)
        self.built = True

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        _SEEN.training = training
        return x


_MODE = _Mode()
# All threads share the layer, so the mode is not one of its attributes.
_SEEN = threading.local()
