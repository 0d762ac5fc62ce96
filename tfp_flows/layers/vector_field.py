"""The network of a continuous flow, which gives a velocity at a time and a place."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class VectorField(keras.layers.Layer):
    """$dz/dt = f(t, z, c)$

    The velocity field of a continuous flow, an `MLP` of z, t and c.

    It is called as `field(t, z)` or `field(t, z, context=c)`, with `z` of shape `[N, D]`, `c` of
    shape `[N, C]`, and `t` a scalar, or `[N, 1]` for one time per row. The last kernel and bias
    start at zero, so that nothing moves at the start. Choose a smooth activation: the steps of an
    adaptive solver shrink at every kink, and the density depends on derivatives of f.

    Source: Grathwohl et al. (2019), FFJORD, arXiv:1810.01367, where this network is called
    "concat".

    Args:
        event_size: the number of coordinates, D.
        hidden_units: the widths of the hidden layers.
        activation: any smooth Keras activation, as a string or an object.
        context_size: C, or 0 if no context is taken.
        kernel_initializer: the initializer of the hidden kernels.
        seed: a non-negative integer that makes initial weights reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built or called, if the last dimension
            of `z` or of `context` is not the expected one, or a context is missing or not taken.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> field = tfpf.layers.VectorField(2, hidden_units=(8,), context_size=3)
        >>> field(0.5, tf.ones([1, 2]), context=tf.ones([1, 3])).numpy()  # nothing moves yet
        array([[0., 0.]], dtype=float32)

    See also: `tfpf.bijectors.Continuous`, `tfpf.flows.ffjord`.
    """

    def __init__(
        self,
        event_size: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str | Callable[..., tf.Tensor] = "tanh",
        context_size: int = 0,
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.event_size = _checks.integer_at_least(event_size, 1, "event_size")
        self.network = MLP(
            self.event_size,
            hidden_units,
            activation,
            context_size=context_size,
            kernel_initializer=kernel_initializer,
            seed=seed,
            dtype=self.dtype_policy,
            name="network",
        )

    @property
    def context_size(self) -> int:
        """C, the size of the context, or 0 if no context is taken."""
        return self.network.context_size

    def __call__(
        self, t: ArrayLike, z: ArrayLike, context: ArrayLike | None = None, **kwargs: Any
    ) -> tf.Tensor:
        """Returns the velocity `[N, D]`."""
        # Checked here, since Keras appends all arguments to errors within `call`.
        self._check_size(np.shape(z))
        t = tf.convert_to_tensor(t, dtype_hint=self.compute_dtype)  # Keras refuses numbers
        return super().__call__(t, z, context=context, **kwargs)

    def build(
        self,
        z_shape: tuple[int | None, ...] | None = None,
        context_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        """Creates the weights; the sizes are known already."""
        if z_shape is not None:
            self._check_size(tuple(z_shape))
        if context_shape is None and self.context_size:
            context_shape = (None, self.context_size)
        self.network.build((None, self.event_size + 1), context_shape)
        self.built = True

    def call(self, t: tf.Tensor, z: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        """Returns what `__call__` documents, for tensors of checked shapes."""
        t = tf.broadcast_to(tf.cast(t, z.dtype), [tf.shape(z)[0], 1])
        t = tf.ensure_shape(t, [z.shape[0], 1])
        return self.network(tf.concat([z, t], axis=-1), context=context)

    def _check_size(self, z_shape: tuple[int | None, ...]) -> None:
        if len(z_shape) != 2 or z_shape[-1] != self.event_size:
            raise ValueError(
                f"VectorField {self.name!r} takes `z` of shape [N, {self.event_size}]. "
                f"Received: z.shape={tuple(z_shape)}"
            )

    def compute_output_shape(
        self,
        t_shape: tuple[int | None, ...],
        z_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[int | None, ...]:
        """Returns `[N, D]`."""
        return tuple(z_shape)

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the size that the weights depend on."""
        return {"event_size": self.event_size} if self.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer again."""
        self.build()

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        network = self.network.get_config()
        kept = ("hidden_units", "activation", "context_size", "kernel_initializer", "seed")
        return {
            **super().get_config(),
            "event_size": self.event_size,
            **{name: network[name] for name in kept},
        }
