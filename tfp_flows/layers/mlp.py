"""A multilayer perceptron of an input and an optional context."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks, _widths
from tfp_flows.layers._derived_seed import derived_seed, reseeded
from tfp_flows.layers._elementwise import is_known_elementwise
from tfp_flows.layers._flat_shapes import check_shapes
from tfp_flows.layers._philox_dropout import PhiloxDropout
from tfp_flows.layers._rows_last_dense import RowsLastDense, by_rows, columns


@keras.saving.register_keras_serializable(package="tfp_flows")
class MLP(keras.layers.Layer):
    r"""$h = W_L a(\cdots a(W_1 [x, c] + b_1) \cdots) + s b_L$

    A conditioner: a multilayer perceptron of an input and an optional context.

    Call it as `mlp(x)` or `mlp(x, context=c)`: `x` is `[..., D]`, `c` is `[..., C]`, h is
    `[..., output_size]`. A norm may come before the activation a, and dropout follows it. h starts
    at zero, as do the last kernel and bias: transformers read this as (close to) the identity.

    Args:
        output_size: the number of raw parameters, `D_out * P` for `D_out` coordinates of P each.
        hidden_units: the widths of the hidden layers; `()` gives a linear map.
        activation: any Keras activation, as a string or an object.
        context_size: C, or 0 if no context is taken.
        dropout: the fraction of hidden units dropped in training, in [0, 1).
        layer_norm: whether each hidden layer is normalized before its activation.
        kernel_initializer: that of each hidden kernel. $b_1$ starts with standard normal numbers.
        output_initializer: the initializer of the last kernel.
        kernel_regularizer: a penalty on every kernel.
        seed: a non-negative integer that makes initial weights and dropout reproducible.
        output_bias_scale: s, a positive number. Adam moves each bias by about its learning rate in
            a step, so it moves h by s times that. Where raw numbers are multiplied by a small
            `raw_scale` (see `Coupling`), the inverse of that lets biases learn at the full rate.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built or called, if the last dimension
            of `x` or of `context` is not the expected one, or a context is missing or not taken.

    Example:
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.MLP(output_size=2, hidden_units=(16,))
        >>> network.build((None, 1))
        >>> tfpf.bijectors.Coupling(network).forward([[1.0, 2.0]]).numpy()  # the identity
        array([[1., 2.]], dtype=float32)

    See also: `tfpf.layers.ResidualMLP`, `tfpf.bijectors.Coupling`.
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
        super().__init__(**kwargs)
        if not isinstance(layer_norm, bool):
            raise TypeError(f"`layer_norm` must be a bool. Received: layer_norm={layer_norm!r}")
        self.output_size = _checks.integer_at_least(output_size, 1, "output_size")
        self.hidden_units = _widths.widths(hidden_units, "hidden_units")
        self.activation = keras.activations.get(activation)
        self._is_elementwise = is_known_elementwise(self.activation)
        self.context_size = _checks.flat_context_size(context_size)
        self.dropout = _checks.rate(dropout, "dropout")
        self.layer_norm = layer_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.seed = None if seed is None else _checks.integer_at_least(seed, 0, "seed")
        self.output_bias_scale = _checks.positive_number(output_bias_scale, "output_bias_scale")
        self._x_size: Any = None  # D, known once built

    def __call__(self, x: ArrayLike, context: ArrayLike | None = None, **kwargs: Any) -> tf.Tensor:
        """Returns the raw parameters `[..., output_size]`."""
        # Checked here, since Keras appends all arguments to errors within `call`.
        self._check_shapes(np.shape(x), None if context is None else np.shape(context))
        return super().__call__(x, context=context, **kwargs)

    def build(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> None:
        """Creates the weights for `x` of shape `[..., D]` and `context` of shape `[..., C]`."""
        self._check_shapes(x_shape, context_shape)
        self._x_size = x_shape[-1]
        self._build_layers()

    def call(
        self, x: tf.Tensor, context: tf.Tensor | None = None, training: bool | None = None
    ) -> tf.Tensor:
        """Returns what `__call__` documents, for tensors of checked shapes."""
        if len(x.shape) == 2:
            return self._raw_parameters(x, context, training)
        batch_shape = tf.shape(x)[:-1]
        x = tf.reshape(x, [-1, self._x_size])
        c = None if context is None else tf.reshape(context, [-1, self.context_size])
        h = self._raw_parameters(x, c, training)
        return tf.reshape(h, tf.concat([batch_shape, [self.output_size]], axis=0))

    @property
    def _input_size(self) -> int:
        """The number of rows that `_joined` returns."""
        return self._x_size + self.context_size

    def _build_layers(self) -> None:
        self._dense, self._norm, self._dropout = [], [], []
        size = self._input_size
        for i, units in enumerate(self.hidden_units):
            first = {} if i else self._first_biases()
            self._dense.append(self._new_dense(f"dense_{i}", size, units, **first))
            if self.layer_norm:
                self._norm.append(self._new_norm(f"norm_{i}", units))
            if self.dropout:
                self._dropout.append(self._new_dropout(f"dropout_{i}"))
            size = units
        self._output = self._new_output(size)

    def _raw_parameters(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        h = self._joined(x, context)
        for i, dense in enumerate(self._dense):
            h = dense(h)
            if self.layer_norm:
                h = by_rows(self._norm[i], h)
            h = self._activated(h)
            if self.dropout:
                h = self._dropout[i](h, training=training)
        return tf.transpose(self._output(h))

    def _joined(self, x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        if not x.dtype.is_floating:  # Keras casts only floats.
            x = tf.cast(x, self.compute_dtype)
        # One product of the joined input is faster, with its gradient, than the sum of two.
        return columns(x if context is None else tf.concat([x, context], axis=-1))

    def _activated(self, h: tf.Tensor) -> tf.Tensor:
        return self.activation(h) if self._is_elementwise else by_rows(self.activation, h)

    def _new_dense(
        self,
        name: str,
        input_size: int,
        units: int,
        initializer: str | keras.initializers.Initializer | None = None,
        layer: type[RowsLastDense] = RowsLastDense,
        **kwargs: Any,
    ) -> RowsLastDense:
        initializer = self.kernel_initializer if initializer is None else initializer
        dense = layer(
            units,
            kernel_initializer=self._reseeded(initializer, name),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )
        dense.build((None, input_size))
        return dense

    def _new_output(self, input_size: int) -> RowsLastDense:
        return self._new_dense(
            "output",
            input_size,
            self.output_size,
            self.output_initializer,
            bias_scale=self.output_bias_scale,
        )

    def _first_biases(self) -> dict[str, Any]:
        # From zero all units would bend at zero, and of few inputs only the sizes would be seen.
        normal = keras.initializers.RandomNormal(stddev=1.0)
        return {"bias_initializer": self._reseeded(normal, "first_bias")}

    def _new_norm(self, name: str, units: int) -> keras.Layer:
        norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name=name)
        norm.build((None, units))
        return norm

    def _new_dropout(self, name: str) -> keras.Layer:
        seed = derived_seed(self.seed, name)
        return PhiloxDropout(self.dropout, seed=seed, dtype=self.dtype_policy, name=name)

    def _reseeded(self, initializer: Any, name: str) -> str | keras.initializers.Initializer:
        return reseeded(initializer, self.seed, name)

    def _check_shapes(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None
    ) -> None:
        this = f"{type(self).__name__} {self.name!r}"
        check_shapes(this, self._x_size, self.context_size, x_shape, context_shape)

    @property
    def input_shape(self) -> tuple[None, int] | None:
        """`(None, D)`, or `None` before the layer is built."""
        return (None, self._x_size) if self.built else None

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        """Returns `[..., output_size]`."""
        return (*x_shape[:-1], self.output_size)

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the sizes that the weights depend on."""
        return {"x_size": self._x_size} if self.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer from `get_build_config()`."""
        self.build((None, config["x_size"]), (None, c) if (c := self.context_size) else None)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "output_size": self.output_size,
            "hidden_units": self.hidden_units,
            "activation": keras.activations.serialize(self.activation),
            "context_size": self.context_size,
            "dropout": self.dropout,
            "layer_norm": self.layer_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "seed": self.seed,
            "output_bias_scale": self.output_bias_scale,
        }
