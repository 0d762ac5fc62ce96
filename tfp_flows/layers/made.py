"""A masked autoregressive network."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import _checks, _widths
from tfp_flows.layers import _incremental
from tfp_flows.layers._degrees import is_word, resolved_degrees, resolved_order
from tfp_flows.layers._derived_seed import derived_seed
from tfp_flows.layers._elementwise import check_elementwise
from tfp_flows.layers._masked_dense import MaskedDense
from tfp_flows.layers._rows_last_dense import columns
from tfp_flows.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class MADE(MLP):
    r"""$h_i = f_i(x_{<i}, c)$

    A masked network, which computes autoregressive parameters of all coordinates in one pass.

    It is called as `made(x)` or `made(x, context=c)` with `x` `[..., D]` and `c` `[..., C]`, and
    returns `[..., D * P]`, where number j belongs to coordinate j // P. It is an `MLP` (or, with
    `residual=True`, has the blocks of `ResidualMLP`) with kernels W * M, where M are constant masks
    of zeros and ones. Masked entries have no effect and no gradient, but a regularizer sees them.
    The last kernel and bias start at zero.

    Let p(j) in 1 .. D be the position of coordinate j in the order. A hidden unit of degree m sees
    the inputs with $p(j) \le m$, the hidden units of degrees up to m and the whole context. Output
    i sees hidden units of degrees below p(i) (eqs. 12 and 13 of the paper). Degrees start at 1, or
    with a context at 0, and end at D - 1. Units of degree 0 see only the context. With fewer units
    than degrees, a layer has evenly spaced degrees (0 among them if there is a context) and cannot
    represent every dependence.

    Source: Germain et al. (2015), arXiv:1502.03509; blocks: Durkan et al. (2019), arXiv:1906.04032.

    Args:
        event_size: the number of coordinates, D.
        params_size: P, the number of raw parameters of each coordinate.
        hidden_units: the widths of the hidden layers, or of the residual blocks.
        activation: a Keras activation that acts on each unit by itself, as a string or an object.
        order: `None` for the natural order, `"reverse"`, `"random"`, or a permutation of range(D),
            whose k-th entry is the coordinate that is generated k-th.
        context_size: C, or 0 if no context is taken. If it is, `build` takes both shapes.
        residual: whether to use residual blocks; the widths must then be equal.
        dropout: the fraction of hidden units dropped in training, in [0, 1).
        hidden_degrees: `"equal"` (equally many units of each degree), `"random"` (uniform, with at
            least one of the lowest), or the sorted degrees of each hidden layer.
        kernel_initializer: the initializer of the hidden kernels.
        output_initializer: the initializer of the last kernel.
        kernel_regularizer: a penalty on every kernel.
        seed: a non-negative integer that makes all that is random reproducible.
        output_bias_scale: a factor on the last bias, all that the first coordinate has, see `MLP`.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Attributes:
        event_size: D. Likewise `params_size` is P.
        order: the order, as a tuple of integers.
        degrees: the degrees of the units of each hidden layer or block, as integer arrays.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, `activation` mixes units, `order` is not a
            permutation, or the degrees do not fit; when built or called, as `MLP`.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> made = tfpf.layers.MADE(3, params_size=1, output_initializer="he_normal", seed=0)
        >>> equal = made(tf.constant([[1.0, 2.0, 3.0]])) == made(tf.constant([[1.0, 5.0, 3.0]]))
        >>> equal.numpy()  # only the last output sees the second coordinate
        array([[ True, True, False]])
        >>> conditional = tfpf.layers.MADE(3, params_size=1, context_size=2)
        >>> conditional.build((None, 3), (None, 2))

    See also: `tfpf.bijectors.Autoregressive`, `tfpf.flows.maf`.
    """

    def __init__(
        self,
        event_size: int,
        params_size: int,
        hidden_units: Sequence[int] = (128, 128),
        activation: str | Callable[..., tf.Tensor] = "relu",
        order: str | Sequence[int] | None = None,
        context_size: int = 0,
        residual: bool = False,
        dropout: float = 0.0,
        hidden_degrees: str | Sequence[Sequence[int]] = "equal",
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        output_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        seed: int | None = None,
        output_bias_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        params_size = _checks.integer_at_least(params_size, 1, "params_size")
        if not isinstance(residual, bool):
            raise TypeError(f"`residual` must be a bool. Received: residual={residual!r}")
        super().__init__(
            event_size * params_size,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            dropout=dropout,
            kernel_initializer=kernel_initializer,
            output_initializer=output_initializer,
            kernel_regularizer=kernel_regularizer,
            seed=seed,
            output_bias_scale=output_bias_scale,
            **kwargs,
        )
        if residual:
            _widths.block_widths(self.hidden_units, "hidden_units")
        check_elementwise(self.activation, self.variable_dtype, self.name)
        self.event_size = self._x_size = event_size
        self.params_size, self.residual = params_size, residual
        # Without a seed: from Python's generator, which `keras.utils.set_random_seed` seeds.
        root = random.randrange(2**31) if self.seed is None else self.seed
        self.order = resolved_order(order, event_size, derived_seed(root, "order"))
        # For D = 1 without a context there are units of degree 0, too. They see nothing.
        lowest = 0 if self.context_size or event_size == 1 else 1
        self.degrees = resolved_degrees(
            hidden_degrees,
            self.hidden_units,
            lowest,
            event_size - 1,
            residual,
            derived_seed(root, "degrees"),
        )
        # Random degrees are saved as they were drawn.
        self.hidden_degrees: Any = "equal" if is_word(hidden_degrees, "equal") else self.degrees

    def _build_layers(self) -> None:
        seen, *_, positions = self.unit_degrees()
        wanted = positions - 1
        small = keras.initializers.RandomUniform(-1e-3, 1e-3)
        self._dense, self._dense_2, self._gate, self._dropout = [], [], [], []
        first = self._first_biases()  # all that one coordinate without a context has
        if self.residual:
            self._input = self._new_masked("input", seen, self.degrees[0], **first)
            seen, first = self.degrees[0], {}
        for k, degrees in enumerate(self.degrees):
            self._dense.append(self._new_masked(f"dense_{k}", seen, degrees, **first))
            seen, first = degrees, {}
            if self.residual:
                second = self._new_masked(f"dense_{k}_2", seen, seen, initializer=small)
                self._dense_2.append(second)
                if self.context_size:
                    self._gate.append(self._new_dense(f"gate_{k}", self.context_size, len(degrees)))
            if self.dropout:
                self._dropout.append(self._new_dropout(f"dropout_{k}"))
        last = {"initializer": self.output_initializer, "bias_scale": self.output_bias_scale}
        self._output = self._new_masked("output", seen, wanted, **last)

    def _new_masked(self, name: str, seen: Any, degrees: Any, **kwargs: Any) -> keras.Layer:
        kwargs |= {"layer": MaskedDense, "mask": seen[:, np.newaxis] <= degrees}
        return self._new_dense(name, len(seen), len(degrees), **kwargs)

    def _raw_parameters(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        layers = self.masked_layers()
        gates = [] if context is None else self.gates(context)
        h = self.through(lambda s, v: layers[s](v), self._joined(x, context), gates, training)
        return tf.transpose(h)

    def through(
        self,
        product: Callable[[int, tf.Tensor], tf.Tensor],
        v: tf.Tensor,
        gates: list[tf.Tensor],
        training: bool | None = False,
    ) -> tf.Tensor:
        """Runs the network on `v` `[size, N]`, where `product(s, v)` is the s-th masked layer.

        To compute only some of the units, a caller gives the products and gates of these.
        """
        count = len(self._dense)
        if not self.residual:
            for k in range(count):
                v = self._dropped(k, self._activated(product(k, v)), training)
            return product(count, v)
        h = product(0, v)
        for k in range(count):
            f = self._activated(product(2 * k + 1, self._activated(h)))
            f = product(2 * k + 2, self._dropped(k, f, training))
            h = h + (f * gates[k] if gates else f)
        return product(2 * count + 1, h)

    def masked_layers(self) -> list[keras.Layer]:
        """Returns the masked layers, in the order in which the network applies them."""
        if not self.residual:
            return [*self._dense, self._output]
        blocks = [layer for pair in zip(self._dense, self._dense_2, strict=True) for layer in pair]
        return [self._input, *blocks, self._output]

    def gates(self, context: tf.Tensor | None) -> list[tf.Tensor]:
        """Returns the gates of the residual blocks, `[units, N]` each; none without a context."""
        if not self._gate:
            return []
        c = columns(context)
        return [tf.sigmoid(gate(c)) for gate in self._gate]

    def unit_degrees(self) -> list[np.ndarray]:
        """Returns the degrees of inputs and hidden layers, and the positions of the outputs."""
        position = np.argsort(self.order) + 1
        inputs = np.concatenate([position, np.zeros(self.context_size, dtype=int)])  # context: 0
        hidden = list(self.degrees)
        if self.residual:
            hidden = [self.degrees[0]] * (2 * len(hidden) + 1)
        return [inputs, *hidden, np.repeat(position, self.params_size)]

    def generate(
        self, transform: Callable[..., Any], x: tf.Tensor, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        r"""Solves $y_i = \text{transform}(h_i(y_{<i}), x_i)$ for y, at about the cost of one h(y).

        `Autoregressive` uses it to sample. Dropout is off.

        Args:
            transform: maps `[N, 1, P]` and `[N, 1]` to y and log |dy/dx|, both `[N, 1]`.
            x: a float `Tensor` `[N, D]`.
            context: a float `Tensor` `[N, C]`, or `None`.

        Returns:
            `(y, log |det dy/dx|)`, of shapes `[N, D]` and `[N]`.
        """
        return _incremental.generate(self, transform, x, context)

    def _dropped(self, k: int, h: tf.Tensor, training: bool | None) -> tf.Tensor:
        return self._dropout[k](h, training=training) if self.dropout else h

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, with the order and random degrees resolved."""
        config, drawn = super().get_config(), [m.tolist() for m in self.degrees]
        del config["output_size"], config["layer_norm"]
        return config | {
            "event_size": self.event_size,
            "params_size": self.params_size,
            "order": self.order,
            "residual": self.residual,
            "hidden_degrees": "equal" if is_word(self.hidden_degrees, "equal") else drawn,
        }
