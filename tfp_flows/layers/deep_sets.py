"""A network of sets, whose output does not depend on the order of the points."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.layers._derived_seed import derived_seed
from tfp_flows.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class DeepSets(keras.layers.Layer):
    r"""$h = \rho(\text{pool}_m \, \phi(\text{asinh}(x_m)))$

    A network of sets, made of two multilayer perceptrons $\phi$ and $\rho$.

    The output does not depend on the order of the points (except for the rounding of a mean). asinh
    is close to the identity for points near the origin, and keeps $\phi$ finite for points far
    away. The last kernel and bias start at zero, so the output starts at zero.

    Shapes: `x` is `[..., M, D]`, with any number M of points, and the output is
    `[..., output_size]`.

    Source: Zaheer et al. (2017), Deep Sets, arXiv:1703.06114; with `pooling="max"` Qi et al.
    (2017), PointNet, arXiv:1612.00593, without its transformations of the input.

    Args:
        output_size: the size of the output for each set.
        point_units: the widths of $\phi$. The last one is the width of the features that are
          pooled.
        set_units: the widths of the hidden layers of $\rho$.
        activation: any Keras activation, as a string or an object.
        pooling: "mean" or "max".
        seed: a non-negative integer that makes initial weights reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built or called, if `x` is not
            `[..., M, D]` with at least one point and the D that the layer was built for.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.DeepSets(3, point_units=(8, 8), set_units=(8,))
        >>> network(tf.ones([5, 10, 2])).shape, network(tf.ones([5, 7, 2])).shape
        (TensorShape([5, 3]), TensorShape([5, 3]))

    See also: `tfpf.distributions.LatentSet`.
    """

    def __init__(
        self,
        output_size: int,
        point_units: Sequence[int] = (128, 128),
        set_units: Sequence[int] = (128,),
        activation: str | Callable[..., tf.Tensor] = "relu",
        pooling: str = "mean",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.point_units = _widths(point_units, 1, "point_units")
        self.set_units = _widths(set_units, 0, "set_units")
        self.pooling = _checks.one_of(pooling, ("mean", "max"), "pooling")
        self.seed = None if seed is None else _checks.integer_at_least(seed, 0, "seed")
        self.point_network = MLP(
            self.point_units[-1],
            self.point_units[:-1],
            activation,
            output_initializer="glorot_normal",
            seed=derived_seed(self.seed, "point_network"),
            dtype=self.dtype_policy,
            name="point_network",
        )
        self.set_network = MLP(
            output_size,
            self.set_units,
            activation,
            seed=derived_seed(self.seed, "set_network"),
            dtype=self.dtype_policy,
            name="set_network",
        )
        self._point_size: Any = None  # D, known once built

    @property
    def output_size(self) -> int:
        """The size of the output for each set."""
        return self.set_network.output_size

    def __call__(self, x: ArrayLike, **kwargs: Any) -> tf.Tensor:
        """Returns `[..., output_size]`."""
        # Checked here, since Keras appends all arguments to errors within `call`.
        self._check_shape(np.shape(x))
        return super().__call__(x, **kwargs)

    def build(self, x_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for `x` of shape `[..., M, D]`; M may be `None`."""
        self._check_shape(x_shape)
        self._point_size = x_shape[-1]
        self.point_network.build((None, self._point_size))
        self.set_network.build((None, self.point_units[-1]))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Returns what `__call__` documents, for tensors of checked shapes."""
        features = self.point_network(tf.asinh(x))
        pool = tf.reduce_mean if self.pooling == "mean" else tf.reduce_max
        return self.set_network(pool(features, axis=-2))

    def _check_shape(self, x_shape: tuple[int | None, ...]) -> None:
        x_shape = tuple(x_shape)
        size = "D" if self._point_size is None else self._point_size
        known = (None, self._point_size) if self._point_size else ()
        if len(x_shape) < 2 or x_shape[-2] == 0 or (known and x_shape[-1] not in known):
            raise ValueError(
                f"DeepSets {self.name!r} takes `x` of shape [..., M, {size}], with at least one "
                f"point. Received: x.shape={x_shape}"
            )

    def compute_output_shape(self, x_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns `[..., output_size]`."""
        return (*x_shape[:-2], self.output_size)

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the size that the weights depend on."""
        return {"point_size": self._point_size} if self.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer from `get_build_config()`."""
        self.build((None, None, config["point_size"]))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "output_size": self.output_size,
            "point_units": self.point_units,
            "set_units": self.set_units,
            "activation": keras.activations.serialize(self.set_network.activation),
            "pooling": self.pooling,
            "seed": self.seed,
        }


def _widths(units: Sequence[int], least: int, name: str) -> tuple[int, ...]:
    """Returns a tuple of at least `least` widths."""
    if isinstance(units, str) or not hasattr(units, "__iter__") or len(tuple(units)) < least:
        raise TypeError(
            f"`{name}` must be a tuple of at least {least} integers. Received: {name}={units!r}"
        )
    return tuple(_checks.integer_at_least(width, 1, name) for width in units)
