"""A convolutional network of residual blocks, with an optional context."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import _checks, _widths
from tfp_flows.layers._derived_seed import derived_seed
from tfp_flows.layers._philox_dropout import PhiloxDropout
from tfp_flows.layers._shaped_network import ShapedNetwork


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvNet(ShapedNetwork):
    r"""$h_0 = W * x + V c$, $h_k = h_{k-1} + \sigma(V_k c + v_k) F_k(h_{k-1})$

    A conditioner of images: a convolutional network of residual blocks, gated by a context.

    The output is $W' * a(h_K) + b'$. Each block has
    $F(h) = W_2 * \text{dropout}(a(W_1 * a(h) + b_1)) + b_2$. Here * is a convolution that pads
    images with zeros and so keeps their size.

    Shapes: `x` is `[N, H, W, C_in]`, and the output is `[N, H, W, output_channels]`. The last
    kernel and bias start at zero. So the output starts at zero, which every transformer reads as
    (close to) the identity. $W_2$ starts in [-0.001, 0.001], so that each block starts close to the
    identity at any depth.

    A context is a vector, `[N, C]`, which shifts and gates whole channels, as above. With
    `context_shape` it is an image, which is given flat, `[N, H' W' C']`, so that a flow is bound to
    it as to a vector. The image is joined to the channels of x, and there are no gates. H' and W'
    must be multiples of H and W by the same factor. If the factor is above 1, pixels of the context
    become channels.

    Source: the network of Dinh, Sohl-Dickstein and Bengio (2017), RealNVP, arXiv:1605.08803, sec.
    3.7, without its normalization. The pre-activation block is that of He et al. (2016),
    arXiv:1603.05027.

    Args:
        output_channels: the number of raw parameters in each pixel, `C_out * P`.
        hidden_channels: one width for each block, all equal.
        kernel_size: width and height of the kernels, an odd number.
        activation: any Keras activation, as a string or an object.
        context_size: C, or 0 if no context is taken. For images it follows from `context_shape`.
        context_shape: `(H', W', C')`, or `None` for a vector.
        dropout: the fraction of hidden numbers dropped within a block in training, in [0, 1).
        seed: a non-negative integer that makes initial weights and dropout reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built, if `x` is not `[N, H, W, C_in]` of
            known size, or `context_shape` does not fit; when called, if a context is missing or not
            taken.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.ConvNet(4, hidden_channels=(8, 8), context_size=3)
        >>> network(tf.ones([2, 6, 6, 1]), context=tf.ones([2, 3])).shape
        TensorShape([2, 6, 6, 4])

    See also: `tfpf.layers.GatedConvNet`, `tfpf.bijectors.Coupling`, `tfpf.flows.glow`.
    """

    _X_AXES = ("H", "W", "C_in")

    def __init__(
        self,
        output_channels: int,
        hidden_channels: Sequence[int] = (32, 32),
        kernel_size: int = 3,
        activation: str | Callable[..., tf.Tensor] = "relu",
        context_size: int | tuple[int, ...] = 0,
        context_shape: Sequence[int] | None = None,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        context_shape = _checked_context_shape(context_shape)
        size = int(np.prod(context_shape)) if context_shape else context_size
        super().__init__(_checks.flat_context_size(size), seed, **kwargs)
        self.context_shape = context_shape
        self.output_channels = _checks.integer_at_least(output_channels, 1, "output_channels")
        self.hidden_channels = _widths.block_widths(hidden_channels, "hidden_channels")
        self.kernel_size = _checks.odd(kernel_size, "kernel_size")
        self.activation = keras.activations.get(activation)
        if context_size not in (0, self.context_size):
            raise ValueError(
                f"`context_size` must be that of `context_shape`, {self.context_size}. "
                f"Received: context_size={context_size}, context_shape={context_shape}"
            )
        self.dropout = _checks.rate(dropout, "dropout")

    def call(
        self, x: tf.Tensor, context: tf.Tensor | None = None, training: bool | None = None
    ) -> tf.Tensor:
        """Returns the raw parameters, for tensors of checked shapes."""
        x = tf.cast(x, self.compute_dtype)
        if self.context_shape:
            image = tf.reshape(tf.cast(context, self.compute_dtype), [-1, *self.context_shape])
            if self._context_factor > 1:
                image = tf.nn.space_to_depth(image, self._context_factor)
            x, context = tf.concat([x, image], axis=-1), None
        return self._raw_parameters(x, context, training)

    def _build_layers(self) -> None:
        self._context_factor = self._factor()
        joined = self.context_shape[-1] * self._context_factor**2 if self.context_shape else 0
        self._build_convolutions(self._x_shape[-1] + joined)

    def _build_convolutions(self, num_channels: int) -> None:
        width = self.hidden_channels[0]
        small = keras.initializers.RandomUniform(-1e-3, 1e-3)
        self._input = self._new_conv("input", num_channels, width)
        # Flat lists: Keras does not save layers within nested ones.
        self._conv_1, self._conv_2, self._dropout, self._gate = [], [], [], []
        for k in range(len(self.hidden_channels)):
            self._conv_1.append(self._new_conv(f"conv_{k}_1", width, width))
            self._conv_2.append(self._new_conv(f"conv_{k}_2", width, width, initializer=small))
            if self.dropout:
                self._dropout.append(self._new_dropout(f"dropout_{k}"))
            if self._takes_vector():
                self._gate.append(self._new_dense(f"gate_{k}", self.context_size, width))
        if self._takes_vector():
            self._shift = self._new_dense("shift", self.context_size, width)
        self._output = self._new_conv("output", width, self.output_channels, initializer="zeros")

    def _raw_parameters(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        h = self._input(x)
        if context is not None:
            h += self._shift(context)[:, tf.newaxis, tf.newaxis]
        for k in range(len(self.hidden_channels)):
            f = self.activation(self._conv_1[k](self.activation(h)))
            if self.dropout:
                f = self._dropout[k](f, training=training)
            f = self._conv_2[k](f)
            if context is not None:
                f *= tf.sigmoid(self._gate[k](context))[:, tf.newaxis, tf.newaxis]
            h += f
        return self._output(self.activation(h))

    def _takes_vector(self) -> bool:
        return bool(self.context_size) and not self.context_shape

    def _new_conv(
        self,
        name: str,
        input_size: int,
        output_size: int,
        kernel_size: int | None = None,
        initializer: str | keras.initializers.Initializer | None = None,
    ) -> keras.Layer:
        conv = keras.layers.Conv2D(
            output_size,
            self.kernel_size if kernel_size is None else kernel_size,
            padding="same",
            kernel_initializer=self._seeded(initializer, name),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=name,
        )
        conv.build((None, None, None, input_size))
        return conv

    def _new_dense(self, name: str, input_size: Any, output_size: int) -> keras.Layer:
        dense = keras.layers.Dense(
            output_size,
            kernel_initializer=self._seeded(None, name),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build((None, input_size))
        return dense

    def _new_dropout(self, name: str) -> keras.Layer:
        seed = derived_seed(self.seed, name)
        return PhiloxDropout(self.dropout, seed=seed, dtype=self.dtype_policy, name=name)

    def _seeded(self, initializer: Any, name: str) -> str | keras.initializers.Initializer:
        """Returns the initializer, by default He's, with a different seed for each kernel."""
        if initializer == "zeros":
            return initializer
        config = initializer.get_config() if initializer else {}
        cls = type(initializer) if initializer else keras.initializers.HeNormal
        return cls.from_config({**config, "seed": derived_seed(self.seed, name)})

    def _factor(self) -> int:
        """Returns the factor by which the image of the context is higher and wider than x."""
        if not self.context_shape:
            return 1
        factors = {
            divmod(c, n) for c, n in zip(self.context_shape[:2], self._x_shape[:2], strict=True)
        }
        factor, rest = factors.pop()
        if factors or rest or factor < 1:
            raise ValueError(
                f"`context_shape` of {type(self).__name__} {self.name!r} must be a multiple of the "
                f"height and width of `x`, {self._x_shape[:2]}, by the same factor. "
                f"Received: context_shape={self.context_shape}"
            )
        return factor

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        """Returns `[N, H, W, output_channels]`."""
        return (*x_shape[:-1], self.output_channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "output_channels": self.output_channels,
            "hidden_channels": self.hidden_channels,
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "context_size": self.context_size,
            "context_shape": self.context_shape,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def _checked_context_shape(shape: Sequence[int] | None) -> tuple[int, ...] | None:
    if shape is None:
        return None
    sizes = tuple(_checks.integer_at_least(size, 1, "context_shape") for size in shape)
    if len(sizes) != 3:
        raise ValueError(f"`context_shape` must be (H, W, C). Received: context_shape={shape}")
    return sizes
