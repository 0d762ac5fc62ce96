"""The units of a masked layer in the order in which they are computed."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


class Slots:
    """The slots of the units of a layer: first those of degree 0, then `width` for each degree.

    A slot without a unit holds zeros.
    """

    def __init__(self, degrees: np.ndarray, num_degrees: int) -> None:
        free = np.flatnonzero(degrees == 0)
        by_degree = [np.flatnonzero(degrees == m) for m in range(1, num_degrees + 1)]
        self.num_free = len(free)
        self.width = max(1, *map(len, by_degree))
        none = len(degrees)
        self._unit_of = np.full(self.num_free + num_degrees * self.width, none)
        self._unit_of[: self.num_free] = free
        for m, units in enumerate(by_degree):
            first = self.num_free + m * self.width
            self._unit_of[first : first + len(units)] = units
        self._slot_of = np.empty(none, int)
        filled = np.flatnonzero(self._unit_of < none)
        self._slot_of[self._unit_of[filled]] = filled

    def spread(self, t: tf.Tensor, axis: int) -> tf.Tensor:
        """Returns the entries of the units along the axis of `t`, each in its slot."""
        return _selected(t, self._unit_of, self._slot_of, axis)


def _selected(t: tf.Tensor, index: np.ndarray, inverse: np.ndarray, axis: int) -> tf.Tensor:
    """Gathers entries, or zeros for indices out of range. The gradient gathers, too: no scatter."""

    @tf.custom_gradient
    def select(t: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        padded = tf.concat([t, tf.zeros_like(tf.gather(t, [0], axis=axis))], axis=axis)
        selected = tf.gather(padded, index, axis=axis)
        return selected, lambda cotangent: _selected(cotangent, inverse, index, axis)

    return select(t)
