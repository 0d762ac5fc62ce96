"""A network of pre-activation residual blocks, gated by a context."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _widths
from tfp_flows.layers._rows_last_dense import by_rows, columns
from tfp_flows.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class ResidualMLP(MLP):
    r"""$h_0 = W [x, c] + b$, $h_k = h_{k-1} + \sigma(V_k c + v_k) F_k(h_{k-1})$

    A conditioner: a network of residual blocks, gated by a context.

    The output is $W' h_K + b'$. Each block has $F(h) = W_2 \text{dropout}(a(W_1 a(h) + b_1)) + b_2$
    with $a(z) = \text{activation}(\text{norm}(z))$. Without a context there is no gate. Shapes and
    errors are those of `MLP`. Choose this network for more than two or three layers. As in the
    authors' code, $W_2$ starts in [-0.001, 0.001], so that each block starts close to the identity
    at any depth.

    Source: Durkan et al. (2019), Neural Spline Flows, arXiv:1906.04032, appendix B.1. The
    pre-activation block is that of He et al. (2016), arXiv:1603.05027.

    Args:
        output_size: the number of raw parameters, `D_out * P` for `D_out` coordinates of P each.
        hidden_units: one width for each block, all equal: `(128, 128)` gives two blocks of width
            128, with two kernels each.
        activation: any Keras activation, as a string or an object.
        context_size: C, or 0 if no context is taken.
        dropout: the fraction of hidden units dropped within a block in training, in [0, 1).
        layer_norm: whether each hidden layer is normalized before its activation.
        kernel_initializer: the initializer of the first kernel, of each $W_1$ and of each V.
        output_initializer: the initializer of the last kernel.
        kernel_regularizer: a penalty on every kernel.
        seed: a non-negative integer that makes initial weights and dropout reproducible.
        output_bias_scale: see `MLP`.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range or the widths differ; when built or called, as
            `MLP`.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.ResidualMLP(6, hidden_units=(8, 8), context_size=3)
        >>> network(tf.ones([5, 2]), context=tf.ones([5, 3])).shape
        TensorShape([5, 6])

    See also: `tfpf.layers.MLP`, `tfpf.flows.neural_spline`.
    """

    def __init__(
        self,
        output_size: int,
        hidden_units: Sequence[int] = (128, 128),
        activation: str | Callable[..., tf.Tensor] = "relu",
        context_size: int = 0,
        dropout: float = 0.0,
        layer_norm: bool = False,
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        output_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        seed: int | None = None,
        output_bias_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            output_size,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            dropout=dropout,
            layer_norm=layer_norm,
            kernel_initializer=kernel_initializer,
            output_initializer=output_initializer,
            kernel_regularizer=kernel_regularizer,
            seed=seed,
            output_bias_scale=output_bias_scale,
            **kwargs,
        )
        _widths.block_widths(self.hidden_units, "hidden_units")

    def _build_layers(self) -> None:
        units = self.hidden_units[0]
        small = keras.initializers.RandomUniform(-1e-3, 1e-3)
        num_inputs = self._x_size + self.context_size
        self._input = self._new_dense("input", num_inputs, units, **self._first_biases())
        # Flat lists: Keras does not save layers within nested ones.
        self._norm_1, self._dense_1, self._norm_2, self._dense_2 = [], [], [], []
        self._dropout, self._gate = [], []
        for k in range(len(self.hidden_units)):
            self._dense_1.append(self._new_dense(f"dense_{k}_1", units, units))
            self._dense_2.append(self._new_dense(f"dense_{k}_2", units, units, initializer=small))
            if self.layer_norm:
                self._norm_1.append(self._new_norm(f"norm_{k}_1", units))
                self._norm_2.append(self._new_norm(f"norm_{k}_2", units))
            if self.dropout:
                self._dropout.append(self._new_dropout(f"dropout_{k}"))
            if self.context_size:
                self._gate.append(self._new_dense(f"gate_{k}", self.context_size, units))
        self._output = self._new_output(units)

    def _raw_parameters(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        h = self._input(self._joined(x, context))
        gate_input = None if context is None else columns(context)
        for k in range(len(self.hidden_units)):
            f = by_rows(self._norm_1[k], h) if self.layer_norm else h
            f = self._dense_1[k](self._activated(f))
            f = by_rows(self._norm_2[k], f) if self.layer_norm else f
            f = self._activated(f)
            if self.dropout:
                f = self._dropout[k](f, training=training)
            f = self._dense_2[k](f)
            if context is not None:
                f = f * tf.sigmoid(self._gate[k](gate_input))
            h = h + f
        return tf.transpose(self._output(h))
