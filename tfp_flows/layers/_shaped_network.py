"""The base of networks over images or series of one size, with an optional context."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks


class ShapedNetwork(keras.layers.Layer):
    """A network h(x; c) with fixed shapes of `x` and `context`, except for the number of rows.

    A subclass lists in `_X_AXES` the names of the axes of x after the first. It creates its weights
    in `_build_layers`, where `_x_shape` is known.

    Args:
        context_size: C, or a tuple of the sizes of several axes, or 0 if no context is taken.
        seed: a non-negative integer that makes initial weights reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.
    """

    def __init__(
        self, context_size: int | tuple[int, ...] = 0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.context_size = _checks.context_size(context_size)
        self.seed = None if seed is None else _checks.integer_at_least(seed, 0, "seed")
        self._x_shape: Any = None  # a tuple of sizes, once built

    def __call__(self, x: ArrayLike, context: ArrayLike | None = None, **kwargs: Any) -> tf.Tensor:
        """Returns h, of the shape that the subclass documents."""
        # Checked here, since Keras appends all arguments to errors within `call`.
        self._check_shapes(np.shape(x), None if context is None else np.shape(context))
        return super().__call__(x, context=context, **kwargs)

    def build(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> None:
        """Creates the weights for `x` and `context` of the given shapes."""
        self._check_shapes(x_shape, context_shape)
        self._x_shape = tuple(x_shape)[1:]
        self._build_layers()
        self.built = True

    def _check_shapes(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None
    ) -> None:
        this = f"{type(self).__name__} {self.name!r}"
        x_shape = tuple(x_shape)
        expected = "known sizes" if self._x_shape is None else str(self._x_shape)
        has_axes = len(x_shape) == 1 + len(self._X_AXES) and None not in x_shape[1:]
        if not has_axes or self._x_shape not in (None, x_shape[1:]):
            raise ValueError(
                f"{this} takes `x` of shape [N, {', '.join(self._X_AXES)}] with {expected}. "
                f"Received: x.shape={x_shape}"
            )
        shape = _checks.context_shape(self.context_size) if self.context_size else None
        given = None if context_shape is None else tuple(context_shape)
        if (given and given[1:]) != shape:
            takes = (
                f"a `context` of shape [N, {_checks.listed(shape)}]" if shape else "no `context`"
            )
            raise ValueError(f"{this} takes {takes}. Received: context.shape={given}")

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shape that the weights depend on."""
        return {"x_shape": self._x_shape} if self.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer from `get_build_config()`."""
        shape = (None, *_checks.context_shape(self.context_size)) if self.context_size else None
        self.build((None, *config["x_shape"]), shape)
