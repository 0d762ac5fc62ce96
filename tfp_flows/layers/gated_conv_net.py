"""The conditioner of images of Flow++: gated convolutions and self-attention."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.layers.conv_net import ConvNet


@keras.saving.register_keras_serializable(package="tfp_flows")
class GatedConvNet(ConvNet):
    r"""$h' = \text{norm}(h + \text{gate}(F(h)))$, $h'' = \text{norm}(h' + \text{gate}(A(h' + E)))$

    A conditioner of images: blocks of gated convolutions and self-attention.

    The gates are $\text{gate}(f) = p \, \sigma(q)$, where $[p, q] = W * f$ has twice the channels
    of f. $F(h) = \text{dropout}(a([f, -f]))$ with $f = W_1 * a([h, -h]) + V_k c$, so the activation
    sees both signs. The attention A has several heads over all pixels, and learned embeddings E of
    their places. It sees the whole image at once, and its memory grows with the square of H W.
    Norms are over the channels of each pixel.

    Like `ConvNet`, it has the same shapes, contexts and errors, but a context vector only shifts
    and does not gate. The last kernel and bias start at zero.

    Source: Ho, Chen, Srinivas, Duan and Abbeel (2019), Flow++, arXiv:1902.00275, sec. 3.3. The
    gates are those of van den Oord et al. (2016), arXiv:1606.05328.

    All arguments but `num_heads` are those of `ConvNet`. The default activation is different.

    Args:
        num_heads: the number of heads of the attention, a divisor of the width, or 0 for no
            attention.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, or `num_heads` does not divide the width; in
            other cases as `ConvNet`.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.GatedConvNet(4, hidden_channels=(8,), num_heads=2)
        >>> network(tf.ones([2, 4, 4, 1])).shape
        TensorShape([2, 4, 4, 4])

    See also: `tfpf.layers.ConvNet`, `tfpf.flows.flow_plus_plus`.
    """

    def __init__(
        self,
        output_channels: int,
        hidden_channels: Sequence[int] = (32, 32),
        kernel_size: int = 3,
        activation: str | Callable[..., tf.Tensor] = "elu",
        context_size: int | tuple[int, ...] = 0,
        context_shape: Sequence[int] | None = None,
        dropout: float = 0.0,
        num_heads: int = 4,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            output_channels,
            hidden_channels,
            kernel_size,
            activation,
            context_size,
            context_shape,
            dropout,
            seed,
            **kwargs,
        )
        self.num_heads = _checks.integer_at_least(num_heads, 0, "num_heads")
        if self.num_heads and self.hidden_channels[0] % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the width of the blocks. "
                f"Received: num_heads={num_heads}, a width of {self.hidden_channels[0]}"
            )

    def _build_convolutions(self, num_channels: int) -> None:
        width, height_and_width = self.hidden_channels[0], self._x_shape[:2]
        self._input = self._new_conv("input", num_channels, width)
        # Flat lists: Keras does not save layers within nested ones.
        self._conv, self._gated, self._norm, self._shift, self._dropout = [], [], [], [], []
        self._embedding, self._queries, self._attended, self._norm_2 = [], [], [], []
        for k in range(len(self.hidden_channels)):
            self._conv.append(self._new_conv(f"conv_{k}", 2 * width, width))
            self._gated.append(self._new_conv(f"gated_{k}", 2 * width, 2 * width, 1))
            self._norm.append(self._new_norm(f"norm_{k}", width))
            if self._takes_vector():
                self._shift.append(self._new_dense(f"shift_{k}", self.context_size, width))
            if self.dropout:
                self._dropout.append(self._new_dropout(f"dropout_{k}"))
            if self.num_heads:
                initializer = self._seeded(
                    keras.initializers.RandomNormal(stddev=0.01), f"embedding_{k}"
                )
                self._embedding.append(
                    self.add_weight(
                        shape=(*height_and_width, width),
                        initializer=initializer,
                        name=f"embedding_{k}",
                    )
                )
                self._queries.append(self._new_conv(f"queries_{k}", width, 3 * width, 1))
                self._attended.append(self._new_conv(f"attended_{k}", width, 2 * width, 1))
                self._norm_2.append(self._new_norm(f"norm_{k}_2", width))
        self._output = self._new_conv("output", width, self.output_channels, initializer="zeros")

    def _new_norm(self, name: str, width: int) -> keras.Layer:
        norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name=name)
        norm.build((None, *self._x_shape[:2], width))
        return norm

    def _raw_parameters(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        h = self._input(x)
        for k in range(len(self.hidden_channels)):
            f = self._conv[k](self._both_signs(h))
            if context is not None:
                f += self._shift[k](context)[:, tf.newaxis, tf.newaxis]
            f = self._both_signs(f)
            if self.dropout:
                f = self._dropout[k](f, training=training)
            h = self._norm[k](h + _gate(self._gated[k](f)))
            if self.num_heads:
                embedding = tf.cast(self._embedding[k], h.dtype)
                attended = self._attention(self._queries[k](h + embedding))
                h = self._norm_2[k](h + _gate(self._attended[k](attended)))
        return self._output(h)

    def _both_signs(self, h: tf.Tensor) -> tf.Tensor:
        return self.activation(tf.concat([h, -h], axis=-1))

    def _attention(self, queries_keys_values: tf.Tensor) -> tf.Tensor:
        """Returns softmax(Q K^T / sqrt(n)) V over all pixels, for each head of n channels."""
        height, width, channels = queries_keys_values.shape[1:]
        size = channels // 3 // self.num_heads
        # [N, pixels, 3, heads, n] to three of [N, heads, pixels, n].
        split = tf.reshape(queries_keys_values, [-1, height * width, 3, self.num_heads, size])
        queries, keys, values = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]))
        scores = tf.matmul(queries / size**0.5, keys, transpose_b=True)
        attended = tf.matmul(tf.nn.softmax(scores), values)
        return tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [-1, height, width, channels // 3])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_heads": self.num_heads}


def _gate(doubled: tf.Tensor) -> tf.Tensor:
    p, q = tf.split(doubled, 2, axis=-1)
    return p * tf.sigmoid(q)
