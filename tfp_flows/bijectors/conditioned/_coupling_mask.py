"""The mask of a coupling: which part A of an event stays unchanged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.math.linalg._permute import permute


class AxisMask:
    """A part A of the last axis: coordinates of a vector, or channels of an image or a time series.

    The parts are smaller tensors, so that nothing is computed for A.
    """

    def __init__(self, mask: Sequence[bool]) -> None:
        self.size, self.num_a = len(mask), sum(mask)
        self._is_first = all(mask[: self.num_a])
        self._is_last = all(mask[-self.num_a :])
        self._order = np.argsort(np.logical_not(mask), kind="stable")
        self._back = np.argsort(self._order)

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(x_A, x_B)`."""
        # XLA fuses slices better than a permutation.
        if self._is_last:
            return x[..., -self.num_a :], x[..., : -self.num_a]
        if not self._is_first:
            x = permute(x, self._order)
        return x[..., : self.num_a], x[..., self.num_a :]

    def join(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """Puts the parts back in place."""
        if self._is_last:
            return tf.concat([b, a], axis=-1)
        x = tf.concat([a, b], axis=-1)
        return x if self._is_first else permute(x, self._back)

    def of_b(self, values: tf.Tensor, trailing_axes: int = 0) -> tf.Tensor:
        """Returns the values for B, given values for each element of x_B; here all of them."""
        del trailing_axes
        return values


class PixelMask:
    """A part A of the pixels of an image, or of the steps of a time series.

    Both parts have the shape of the image, with zeros in place of the other part. So convolutions
    keep the positions, but the results for A are not used.
    """

    def __init__(self, mask: Any, name: str) -> None:
        self._mask, self._name = np.array(mask), name

    def split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(x_A, x_B)`, both of the shape of x."""
        expected = [None if size == 1 else size for size in self._mask.shape]
        if not x.shape[-len(expected) :].is_compatible_with(expected):
            kind = "images" if len(expected) == 3 else "series"
            raise ValueError(
                f"`{self._name}` has a mask for {kind} of shape {self._mask.shape}. "
                f"Received: a tensor of shape {x.shape}"
            )
        return tf.where(self._mask, x, tf.zeros_like(x)), self.of_b(x)

    def join(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """Puts the parts back in place."""
        return tf.where(self._mask, a, b)

    def of_b(self, values: tf.Tensor, trailing_axes: int = 0) -> tf.Tensor:
        """Returns the values for B, given values for each element of x_B: zeros in place of A."""
        mask = self._mask.reshape(self._mask.shape + (1,) * trailing_axes)
        return tf.where(mask, tf.zeros_like(values), values)


def checked_mask(mask: Any) -> tuple[Any, int]:
    """Returns the mask of a `Coupling`, a word or nested tuples of booleans, and its rank.

    Raises:
      ValueError: if it is neither, or one of the two parts is empty.
    """
    if mask is None:
        mask = "halves"
    if isinstance(mask, str):
        if mask not in _WORDS:
            raise ValueError(
                "`mask` must be booleans or one of "
                f"{', '.join(map(repr, _WORDS))}. Received: mask={mask!r}"
            )
        return mask, _WORDS[mask][0]
    values = np.asarray(mask)
    if values.ndim not in (1, 2, 3) or not np.isin(values, (0, 1)).all():
        raise ValueError(
            "`mask` must be booleans of shape [D], [H, W, C] for images or [T, C] for time series, "
            f"where an axis of size 1 is repeated. Received: mask={mask!r}"
        )
    values = values.astype(bool)
    if values.all() or not values.any():
        raise ValueError(
            "`mask` must leave at least one coordinate on either side, so an event needs at "
            f"least two. Received: mask={mask!r}"
        )
    return _nested_tuples(values), values.ndim


def parts(mask: Any, event_shape: Any, seed: int | None, name: str) -> AxisMask | PixelMask:
    """Returns the `AxisMask` or `PixelMask` of a checked mask, for events of this shape."""
    if isinstance(mask, str):
        _, words = _WORDS[mask]
        # Check again: now the size is known, and it may be too small to split.
        mask, _ = checked_mask(words(event_shape, seed))
    if set(np.shape(mask)[:-1]) <= {1}:
        return AxisMask(_nested_tuples(np.ravel(mask)))
    return PixelMask(mask, name)


def _nested_tuples(values: np.ndarray) -> Any:
    return tuple(_nested_tuples(v) for v in values) if values.ndim else bool(values)


def _halves(shape: Sequence[int], seed: int | None) -> list[bool]:
    del seed
    size = shape[-1]
    return [i < size - size // 2 for i in range(size)]


def _alternate(shape: Sequence[int], seed: int | None) -> list[bool]:
    del seed
    return [i % 2 == 0 for i in range(shape[-1])]


def _random(shape: Sequence[int], seed: int | None) -> np.ndarray:
    return np.random.default_rng(seed or 0).permutation(_halves(shape, None))


def _channels(shape: Sequence[int], seed: int | None) -> list[list[list[bool]]]:
    return [[_halves(shape, seed)]]


def _checkerboard(shape: Sequence[int], seed: int | None) -> np.ndarray:
    del seed
    i, j = np.indices(shape[-3:-1])
    return ((i + j) % 2 == 0)[..., np.newaxis]


def _checkerboard_odd(shape: Sequence[int], seed: int | None) -> np.ndarray:
    return ~_checkerboard(shape, seed)


# For each word: the number of axes of an event, and the mask for an event shape.
_WORDS = {
    "halves": (1, _halves),
    "alternate": (1, _alternate),
    "random": (1, _random),
    "channels": (3, _channels),
    "checkerboard": (3, _checkerboard),
    "checkerboard_odd": (3, _checkerboard_odd),
}
