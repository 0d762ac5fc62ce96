"""Keeps rows of weight zero from having an effect, whatever density they have."""

import typing
from typing import Any

import numpy as np
import tensorflow as tf


class CheckedBatch(typing.NamedTuple):
    """A batch of checked arrays, in which rows of weight zero are copies of others.

    Attributes:
      rows: `(x,)` or `(context, x)`.
      weight: `[N]`.
      index: `[N]`, the places of these rows in the arrays.
    """

    rows: tuple
    weight: tf.Tensor
    index: tf.Tensor


def counted_index(weight: np.ndarray) -> np.ndarray:
    """The row to take for each row: itself, or another one if its weight is zero.

    Rows of positive weight are taken in turn, so that statistics of a batch see different rows.

    Args:
      weight: an array `[N]`, with at least one number above zero.
    """
    counted = np.flatnonzero(weight > 0)
    index = np.arange(len(weight))
    idle = weight <= 0
    index[idle] = counted[index[idle] % len(counted)]
    return index


def counted_rows(
    inputs: tf.Tensor | tuple[tf.Tensor, ...], weight: tf.Tensor
) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """The batch with its rows of weight zero replaced by those of positive weight, in turn.

    A loss leaves out the density of a row of weight zero. But if that density were not finite, the
    gradient would be zero times infinity. A device without a row of positive weight gets a row of
    another device.

    Args:
      inputs: a tensor `[N, ...]`, or a tuple of them.
      weight: a `Tensor` `[N]`.
    """
    counts = weight > 0
    if is_one_of_several():
        inputs = _with_lent_row(inputs, counts)
    position = tf.range(tf.size(weight))
    # Stable sorting puts the rows of positive weight first, in their order.
    order = tf.argsort(tf.cast(~counts, tf.int32), stable=True)
    num_counted = tf.maximum(tf.reduce_sum(tf.cast(counts, tf.int32)), 1)
    index = tf.where(counts, position, tf.gather(order, position % num_counted))
    return tf.nest.map_structure(lambda tensor: tf.gather(tensor, index), inputs)


def _with_lent_row(inputs: Any, counts: tf.Tensor) -> Any:
    """The inputs of a device, or copies of another device's row if none here has weight."""
    context = tf.distribute.get_replica_context()
    has_any = tf.reduce_any(counts)
    own = tf.one_hot(context.replica_id_in_sync_group, context.num_replicas_in_sync)
    lends = context.all_reduce(tf.distribute.ReduceOp.SUM, own * tf.cast(has_any, own.dtype))
    is_lender = has_any & tf.equal(tf.argmax(lends), tf.argmax(own))
    first = tf.argmax(tf.concat([tf.cast(counts, tf.int32), [1]], axis=0))

    def lent(tensor: tf.Tensor) -> tf.Tensor:
        zero = tf.zeros(tf.concat([[1], tf.shape(tensor)[1:]], axis=0), tensor.dtype)
        row = tf.gather(tf.concat([tensor, zero], axis=0), first)
        # Sums between devices are in floating point; float64 keeps whole numbers exact.
        dtype = tensor.dtype if tensor.dtype.is_floating else tf.float64
        row = tf.cast(tf.where(is_lender, row, tf.zeros_like(row)), dtype)
        row = tf.cast(context.all_reduce(tf.distribute.ReduceOp.SUM, row), tensor.dtype)
        return tf.where(has_any, tensor, row)

    return tf.nest.map_structure(lent, inputs)


def is_one_of_several() -> Any:
    """Whether other devices also take a part of this batch."""
    return tf.distribute.get_replica_context().num_replicas_in_sync > 1


class Found:
    """Says, after a step, whether its batch was in order, and which row was not.

    Args:
      x: the rows `[N, ...]`.
      values: their densities `[N]`.
      weight: `[N]`, or `None`.
      index: the places of the rows in the data if they come from a `CheckedBatch`, else `None`.
    """

    _weight: typing.Any  # a tensor, or `None`

    def __init__(
        self, x: tf.Tensor, values: tf.Tensor, weight: tf.Tensor | None, index: tf.Tensor | None
    ) -> None:
        self._x, self._values, self._weight, self.index = x, values, weight, index
        self._is_unknown = weight is not None and index is None

    def has_good_weights(self) -> tf.Tensor:
        """A boolean `Tensor`: whether every weight is finite and not negative."""
        return tf.reduce_all(self._good_weights()) if self._is_unknown else tf.constant(True)

    def on_all_devices(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Whether weights are good on all devices, and whether a row has weight on any device."""
        is_good, has_weight = self.has_good_weights(), self.has_weight()
        if not is_one_of_several():
            return is_good, has_weight
        # Weights are bad if they are bad on one device. `1.0 -` in place of `~`: an element of a
        # stack that is negated twice has the wrong value in graphs of TensorFlow 2.21.
        flags = tf.stack([1.0 - tf.cast(is_good, tf.float32), tf.cast(has_weight, tf.float32)])
        context = tf.distribute.get_replica_context()
        is_bad, has_weight = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.SUM, flags) > 0)
        return ~is_bad, has_weight

    def has_weight(self) -> tf.Tensor:
        """A boolean `Tensor`: whether a row of this device has a positive weight."""
        return tf.constant(True) if self._weight is None else tf.reduce_sum(self._weight) > 0

    def place(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Row and column (in a flattened event) of the first fault of the batch; -1 if none."""
        x = tf.reshape(self._x, [tf.shape(self._x)[0], -1])
        finite = tf.math.is_finite(x) if x.dtype.is_floating else tf.ones_like(x, tf.bool)
        lost = _first_false(tf.reshape(finite, [-1]))
        width = tf.maximum(tf.shape(x)[1], 1)
        of_x = lost // width, lost % width
        row = _first_false(tf.reshape(tf.math.is_finite(self._values), [-1]))
        place = tf.where(lost >= 0, tf.stack(of_x), tf.stack([row, -1]))
        if self._is_unknown:
            row = _first_false(self._good_weights())
            place = tf.where(row >= 0, tf.stack([row, -1]), place)
        row, column = tf.unstack(place)
        if self.index is not None:
            row = tf.where(row >= 0, tf.gather(self.index, tf.maximum(row, 0)), -1)
        return row, column

    def _good_weights(self) -> tf.Tensor:
        return (self._weight >= 0) & tf.math.is_finite(self._weight)


def _first_false(flags: tf.Tensor) -> tf.Tensor:
    first = tf.argmin(tf.cast(flags, tf.int32), output_type=tf.int32)
    return tf.where(tf.reduce_all(flags), -1, first)
