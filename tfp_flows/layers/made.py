"""A masked autoregressive network."""

import random

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import checks
from tfp_flows.layers import incremental
from tfp_flows.layers.mlp import MLP, derived_seed, rows_last_product
from tfp_flows.layers.residual_mlp import check_block_widths


@keras.saving.register_keras_serializable(package="tfp_flows")
class MADE(MLP):
    """h_i = f_i(x_j for all j that come before i in the order, c), i = 1 .. D, in one pass.

    An `MLP` (or, with `residual=True`, the blocks of `ResidualMLP`) whose kernels W are replaced
    by W * M, with constant masks M of zeros and ones. With p(j) in 1 .. D the position of
    coordinate j in the order, a hidden unit of degree m sees the inputs with p(j) <= m, the
    hidden units of degree <= m and the whole context; output i sees hidden units of degree
    m < p(i) (eqs. 12 and 13 of the paper). Called as `made(x)` or `made(x, context=c)` with `x`
    of shape `[..., D]` and `c` of shape `[..., C]`, it returns `[..., D * P]`, where number j
    belongs to coordinate j // P. The last kernel and bias start at zero.

    The masks hold whatever numbers the kernels are given. Masked entries of a kernel remain part
    of the trainable variable, but have no effect and no gradient (a regulariser still sees them).

    Degrees lie in 1 .. D-1, or in 0 .. D-1 with a context: units of degree 0 see nothing but the
    context, so that the first coordinate, too, can be any function of it. Hidden units are
    sorted by degree. A layer of fewer units than degrees cannot represent every dependence; its
    units are spaced evenly, the first one of degree 0 if there is a context.

    Source: Germain et al. (2015), MADE, arXiv:1502.03509; residual blocks: Durkan et al. (2019),
    arXiv:1906.04032.

    Args:
        event_size: D.
        params_size: P, the number of raw parameters of each coordinate.
        hidden_units: the widths of the hidden layers, or one width for each residual block.
        activation: any Keras activation, as a string or an object.
        order: the order of the coordinates: `None` (as they come), `"reverse"`, `"random"`, or a
            permutation of range(D) whose k-th entry is the coordinate generated k-th.
        context_size: C, or 0 if no context is taken.
        residual: whether to use residual blocks; the widths must then be equal.
        dropout: the fraction of hidden units dropped while training, in [0, 1).
        hidden_degrees: `"equal"` (equally many units of each degree), `"random"` (uniform, the
            lowest always present), or for each hidden layer its sorted degrees.
        kernel_initializer: of the hidden kernels.
        output_initializer: of the last kernel.
        kernel_regularizer: a penalty on every kernel.
        seed: a non-negative integer that makes the initial weights, dropout and whatever is
            random of the order and the degrees reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Attributes:
        event_size: D.
        params_size: P.
        order: the order, as a tuple of integers.
        degrees: the degrees of the units of each hidden layer (with `residual=True` of each
            block: all the same), as a tuple of integer arrays.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, `order` is not a permutation, or the degrees
            do not fit; when built or called, as `MLP`.
    """

    def __init__(
        self,
        event_size,
        params_size,
        hidden_units=(128, 128),
        activation="relu",
        order=None,
        context_size=0,
        residual=False,
        dropout=0.0,
        hidden_degrees="equal",
        kernel_initializer="he_normal",
        output_initializer="zeros",
        kernel_regularizer=None,
        seed=None,
        **kwargs,
    ):
        event_size = checks.integer_at_least(event_size, 1, "event_size")
        params_size = checks.integer_at_least(params_size, 1, "params_size")
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
            **kwargs,
        )
        if residual:
            check_block_widths(self.hidden_units)
        self.event_size = self._x_size = event_size
        self.params_size = params_size
        self.residual = residual
        # Without a seed, Python's generator, which `keras.utils.set_random_seed` sets.
        root = random.randrange(2**31) if self.seed is None else self.seed
        self.order = resolved_order(order, event_size, derived_seed(root, "order"))
        self.degrees = self._resolved_degrees(hidden_degrees, derived_seed(root, "degrees"))
        # What is random is saved as it came out.
        self.hidden_degrees = "equal" if _is(hidden_degrees, "equal") else self.degrees

    def _resolved_degrees(self, hidden_degrees, seed):
        highest = self.event_size - 1
        # For D = 1 without a context, the units of degree 0 see nothing.
        lowest = 0 if self.context_size or highest == 0 else 1
        if _is(hidden_degrees, "equal"):
            return tuple(_equal_degrees(n, lowest, highest) for n in self.hidden_units)
        if _is(hidden_degrees, "random"):
            draws = np.random.default_rng(seed)
            degrees = [draws.integers(lowest, highest + 1, size=n) for n in self.hidden_units]
            for layer in degrees:
                layer[0] = lowest
                layer.sort()
            return tuple(degrees[:1] * len(degrees) if self.residual else degrees)
        received = f"Received: hidden_degrees={hidden_degrees!r}"
        if isinstance(hidden_degrees, str) or not hasattr(hidden_degrees, "__iter__"):
            raise ValueError(
                "`hidden_degrees` must be 'equal', 'random' or a sequence of degrees for each "
                f"hidden layer. {received}"
            )
        degrees = tuple(
            np.array(
                [checks.integer_at_least(m, lowest, "hidden_degrees") for m in layer], dtype=int
            )
            for layer in hidden_degrees
        )
        if tuple(map(len, degrees)) != self.hidden_units or any(
            layer[-1] > highest or np.any(np.diff(layer) < 0) for layer in degrees
        ):
            raise ValueError(
                "`hidden_degrees` must hold a degree for each of "
                f"hidden_units={self.hidden_units}, sorted, within {lowest} .. {highest}. "
                f"{received}"
            )
        if self.residual and any(np.any(layer != degrees[0]) for layer in degrees):
            raise ValueError(f"`hidden_degrees` of residual blocks must all be equal. {received}")
        return degrees

    def _build_layers(self):
        seen, *_, positions = self.unit_degrees()
        wanted = positions - 1
        small = keras.initializers.RandomUniform(-1e-3, 1e-3)
        self._dense, self._dense_2, self._gate, self._dropout = [], [], [], []
        if self.residual:
            self._input = self._new_masked("input", seen, self.degrees[0])
            seen = self.degrees[0]
        for k, degrees in enumerate(self.degrees):
            self._dense.append(self._new_masked(f"dense_{k}", seen, degrees))
            seen = degrees
            if self.residual:
                self._dense_2.append(self._new_masked(f"dense_{k}_2", seen, seen, small))
                if self.context_size:
                    self._gate.append(self._new_dense(f"gate_{k}", self.context_size, len(degrees)))
            if self.dropout:
                self._dropout.append(self._new_dropout(f"dropout_{k}"))
        # Of an affine map with two numbers the rows stay first: a density took 1.1 times as long.
        layer = MaskedRowsLastDense if self.params_size > 2 else MaskedDense
        self._output = self._new_masked("output", seen, wanted, self.output_initializer, layer)

    def _new_masked(self, name, input_degrees, degrees, initializer=None, layer=None):
        mask = input_degrees[:, np.newaxis] <= degrees
        size = len(input_degrees)
        layer = layer or MaskedDense
        return self._new_dense(name, size, len(degrees), initializer, layer=layer, mask=mask)

    def _raw_parameters(self, x, context, training):
        layers = self.masked_layers()
        v = x if context is None else tf.concat([x, context], axis=-1)
        gates = [] if context is None else self.gates(context)
        return self.through(lambda s, v: layers[s](v), v, gates, training)

    def through(self, product, v, gates, training=False):
        """Runs the network on `v`, where `product(s, v)` is the s-th of `masked_layers()`.

        Whoever computes some of the units only gives products and gates of these.
        """
        count = len(self._dense)
        if not self.residual:
            for k in range(count):
                v = self._dropped(k, self.activation(product(k, v)), training)
            return product(count, v)
        h = product(0, v)
        for k in range(count):
            f = self.activation(product(2 * k + 1, self.activation(h)))
            f = product(2 * k + 2, self._dropped(k, f, training))
            h = h + (f * gates[k] if gates else f)
        return product(2 * count + 1, h)

    def masked_layers(self):
        """The masked layers, in the order in which the network applies them."""
        if not self.residual:
            return [*self._dense, self._output]
        blocks = [layer for pair in zip(self._dense, self._dense_2, strict=True) for layer in pair]
        return [self._input, *blocks, self._output]

    def gates(self, context):
        """The gates of the residual blocks, `[N, units]` each; none without a context."""
        return [tf.sigmoid(gate(context)) for gate in self._gate]

    def unit_degrees(self):
        """Degrees of the inputs (0 for the context), of each hidden layer, and of the outputs.

        For an output that is the position of its coordinate: it sees degrees below.
        """
        position = np.argsort(self.order) + 1
        inputs = np.concatenate([position, np.zeros(self.context_size, dtype=int)])
        hidden = list(self.degrees)
        if self.residual:
            hidden = [self.degrees[0]] * (2 * len(hidden) + 1)
        return [inputs, *hidden, np.repeat(position, self.params_size)]

    def generate(self, transform, x, context=None):
        """The y that solves y_i = transform(h_i(y_<i), x_i), at about the cost of one h(y).

        `Autoregressive` samples by it; see `tfp_flows.layers.incremental`. Dropout is off.

        Args:
            transform: a callable; it maps `[N, 1, P]` and `[N, 1]` to y and log |dy/dx|, both
                `[N, 1]`.
            x: a float `Tensor` `[N, D]`.
            context: a float `Tensor` `[N, C]`, or `None`.

        Returns:
            `(y, log |det dy/dx|)`, of shapes `[N, D]` and `[N]`.
        """
        return incremental.generate(self, transform, x, context)

    def _dropped(self, k, h, training):
        return self._dropout[k](h, training=training) if self.dropout else h

    def get_config(self):
        """Returns the constructor's arguments, with the order and random degrees resolved."""
        config = super().get_config()
        del config["output_size"], config["layer_norm"]
        degrees = self.hidden_degrees
        return {
            **config,
            "event_size": self.event_size,
            "params_size": self.params_size,
            "order": self.order,
            "residual": self.residual,
            "hidden_degrees": degrees if _is(degrees, "equal") else [m.tolist() for m in degrees],
        }


class MaskedDense(keras.layers.Dense):
    """y = x (W * M) + b, with the constant mask M a boolean array of the kernel's shape."""

    def __init__(self, units, mask, **kwargs):
        super().__init__(units, **kwargs)
        self._mask = mask.astype(np.float32)

    def call(self, inputs):
        """Returns `inputs` times the masked kernel, plus the bias."""
        return tf.matmul(inputs, self.masked_kernel()) + self.bias

    def masked_kernel(self):
        """W * M, in the dtype of computation."""
        kernel = tf.cast(self.kernel, self.compute_dtype)
        return kernel * tf.constant(self._mask, kernel.dtype)


class MaskedRowsLastDense(MaskedDense):
    """y = x (W * M) + b, computed as `RowsLastDense` does."""

    def call(self, inputs):
        """Returns `inputs` times the masked kernel, plus the bias."""
        return rows_last_product(inputs, self.masked_kernel(), self.bias)


def _equal_degrees(num_units, lowest, highest):
    num_degrees = highest - lowest + 1
    if num_units >= num_degrees:
        return lowest + np.arange(num_units) * num_degrees // num_units
    # A unit of degree m cuts the order after position m: even cuts separate most pairs.
    first = [0] if lowest == 0 else []
    num_cuts = num_units - len(first)
    cuts = np.rint(np.arange(1, num_cuts + 1) * (highest + 1) / (num_cuts + 1)).astype(int)
    return np.concatenate([np.array(first, dtype=int), cuts])


def resolved_order(order, event_size, seed):
    """A permutation of range(event_size), as a tuple, of whatever `order` says."""
    received = f"Received: order={order!r}"
    if order is None:
        order = range(event_size)
    elif _is(order, "reverse"):
        order = range(event_size - 1, -1, -1)
    elif _is(order, "random"):
        order = np.random.default_rng(seed).permutation(event_size)
    elif isinstance(order, str) or not hasattr(order, "__iter__"):
        raise ValueError(
            f"`order` must be None, 'reverse', 'random' or a permutation of range({event_size}). "
            f"{received}"
        )
    order = tuple(checks.integer_at_least(j, 0, "order") for j in order)
    if sorted(order) != list(range(event_size)):
        raise ValueError(f"`order` must be a permutation of range({event_size}). {received}")
    return order


def _is(value, name):
    return isinstance(value, str) and value == name
