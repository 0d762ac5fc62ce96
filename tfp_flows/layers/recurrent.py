"""A recurrent autoregressive network."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.layers._degrees import resolved_order
from tfp_flows.layers._derived_seed import derived_seed
from tfp_flows.layers.mlp import MLP
from tfp_flows.math._elementwise import clip_network_input
from tfp_flows.math.linalg._permute import permute

_CELLS = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}


@keras.saving.register_keras_serializable(package="tfp_flows")
class Recurrent(MLP):
    r"""$s_k = \text{cell}([y_{k-1}, c], s_{k-1})$, $h_k = V_k s_k + b_k$

    A recurrent autoregressive network, in which coordinates share the weights of a cell.

    Here k counts the coordinates in their order. It is a conditioner of `Autoregressive`, like
    `MADE`, and is called as `recurrent(y)` or `recurrent(y, context=c)`. `y` is `[..., D]`, `c` is
    `[..., C]`, and the output is `[..., D * P]`, where number j belongs to coordinate j // P. The
    numbers of a coordinate depend on the coordinates before it in the order and on the context. The
    state $s_0$ and $y_0$ are zero. V and b start at zero, and the biases of the cells at random.

    The number of the cell's weights does not grow with D (that of V does), and a step of a sample
    needs the last state only. Densities and samples are both sequential, by D steps of the cell.
    For a density `MADE` takes a single pass.

    Source: recurrent conditioners of Papamakarios et al. (2021), arXiv:1912.02762, sec. 3.1.2;
    Oliva et al. (2018), Transformation autoregressive networks, arXiv:1801.09819.

    Args:
        event_size: the number of coordinates, D.
        params_size: P, the number of raw parameters of each coordinate.
        hidden_units: the sizes of the states of the stacked cells.
        cell: `"gru"` or `"lstm"`.
        order: as for `MADE`: `None`, `"reverse"`, `"random"`, or a permutation of range(D).
        context_size: C, or 0 if no context is taken.
        kernel_initializer: the initializer of the cells' kernels.
        output_initializer: the initializer of V.
        kernel_regularizer: a penalty on the cells' kernels and V.
        seed: a non-negative integer that makes the initial weights and a random order
            reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Attributes:
        event_size: D, the number of coordinates.
        params_size: P, the number of raw parameters of each.
        order: the order, as a tuple of integers.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range or `order` is not a permutation; when built or
            called, as `MLP`.

    Example:
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.Recurrent(event_size=3, params_size=2, hidden_units=(4,))
        >>> network.build((None, 3))
        >>> bijector = tfpf.bijectors.Autoregressive(network, tfpf.bijectors.Affine)
        >>> bijector.inverse([[1.0, 2.0, 3.0]]).numpy()  # the identity at the start
        array([[1., 2., 3.]], dtype=float32)

    See also: `tfpf.layers.MADE`, `tfpf.flows.recurrent`.
    """

    def __init__(
        self,
        event_size: int,
        params_size: int,
        hidden_units: Sequence[int] = (64,),
        cell: str = "gru",
        order: str | Sequence[int] | None = None,
        context_size: int = 0,
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        output_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        params_size = _checks.integer_at_least(params_size, 1, "params_size")
        super().__init__(
            event_size * params_size,
            hidden_units=hidden_units,
            context_size=context_size,
            kernel_initializer=kernel_initializer,
            output_initializer=output_initializer,
            kernel_regularizer=kernel_regularizer,
            seed=seed,
            **kwargs,
        )
        if not self.hidden_units:
            raise ValueError(
                "`hidden_units` must give the size of at least one cell. "
                f"Received: hidden_units={hidden_units!r}"
            )
        self.event_size = self._x_size = event_size
        self.params_size = params_size
        self.cell = _checks.one_of(cell, tuple(_CELLS), "cell")
        # Without a seed: from Python's generator, which `keras.utils.set_random_seed` seeds.
        root = random.randrange(2**31) if self.seed is None else self.seed
        self.order = resolved_order(order, event_size, derived_seed(root, "order"))

    def _build_layers(self) -> None:
        orthogonal = keras.initializers.Orthogonal()
        # A cell sees one coordinate. Without biases all of its units would be odd functions of it,
        # and with the small kernels of Keras's default these would be close to linear.
        biases = keras.initializers.RandomNormal(stddev=1.0)
        cells = [
            _CELLS[self.cell](
                units,
                kernel_initializer=self._reseeded(self.kernel_initializer, f"kernel_{i}"),
                recurrent_initializer=self._reseeded(orthogonal, f"recurrent_kernel_{i}"),
                bias_initializer=self._reseeded(biases, f"bias_{i}"),
                kernel_regularizer=self.kernel_regularizer,
                seed=derived_seed(self.seed, f"cell_{i}"),
                dtype=self.dtype_policy,
                name=f"{self.cell}_{i}",
            )
            for i, units in enumerate(self.hidden_units)
        ]
        self._cell = keras.layers.StackedRNNCells(cells, dtype=self.dtype_policy, name="cells")
        self._cell.build((None, 1 + self.context_size))
        self._kernel = self.add_weight(
            shape=(self.event_size, self.hidden_units[-1], self.params_size),
            initializer=self._reseeded(self.output_initializer, "output"),
            regularizer=self.kernel_regularizer,
            name="output_kernel",
        )
        self._bias = self.add_weight(
            shape=(self.event_size, self.params_size), initializer="zeros", name="output_bias"
        )

    def _raw_parameters(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        del training
        y = permute(x, self.order)
        h = self._run(lambda k, h_k: (y[:, k], h_k), self.compute_dtype, x, context)
        return tf.reshape(h, [tf.shape(x)[0], self.output_size])

    def generate(
        self,
        transform: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        x: tf.Tensor,
        context: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        r"""Solves $y_i = \text{transform}(h_i(y_{<i}), x_i)$ for y, by D steps of the cell.

        `Autoregressive` uses it to sample. Calls of the layer would need D calls of D steps for one
        sample, since a call takes a whole y.

        Args:
            transform: a callable; it maps `[N, 1, P]` and `[N, 1]` to y and log |dy/dx|, both
                `[N, 1]`.
            x: a float `Tensor` `[N, D]`.
            context: a float `Tensor` `[N, C]`, or `None`.

        Returns:
            `(y, log |det dy/dx|)`, of shapes `[N, D]` and `[N]`.
        """
        x_in_order = permute(x, self.order)

        def next_y(k: tf.Tensor, h_k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            h_k, x_k = tf.cast(h_k, x.dtype)[:, tf.newaxis], x_in_order[:, k, tf.newaxis]
            y_k, log_det_k = transform(h_k, x_k)
            return clip_network_input(y_k[:, 0], self), tf.concat([y_k, log_det_k], axis=-1)

        y, log_det = tf.unstack(self._run(next_y, x.dtype, x, context), axis=-1)
        return y, tf.reduce_sum(log_det, axis=-1)

    def _run(
        self,
        next_y: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        dtype: DTypeLike | tf.DType,
        x: tf.Tensor,
        context: tf.Tensor | None,
    ) -> tf.Tensor:
        """Returns the second outputs of `next_y(k, h_k)`, `[N, D, ...]`; `dtype` is theirs."""
        kernel, bias = (
            tf.cast(weight, self.compute_dtype) for weight in (self._kernel, self._bias)
        )
        coordinates = tf.constant(self.order)
        context = [] if context is None else [tf.cast(context, self.compute_dtype)]

        def step(
            k: tf.Tensor, y_k: tf.Tensor, state: list[tf.Tensor], outputs: tf.TensorArray
        ) -> tuple[Any, ...]:
            y_k = tf.cast(y_k, self.compute_dtype)[:, tf.newaxis]
            state = tf.nest.pack_sequence_as(start, state)
            s_k, state = self._cell(tf.concat([y_k, *context], axis=-1), state)
            h_k = tf.matmul(s_k, kernel[coordinates[k]]) + bias[coordinates[k]]
            y_k, output = next_y(k, h_k)
            y_k = tf.cast(y_k, x.dtype)
            return k + 1, y_k, tf.nest.flatten(state), outputs.write(k, output)

        start = self._cell.get_initial_state(batch_size=tf.shape(x)[0])
        outputs = tf.TensorArray(dtype, size=self.event_size)
        *_, outputs = tf.while_loop(
            lambda k, *_: k < self.event_size,
            step,
            (0, tf.zeros_like(x[:, 0]), tf.nest.flatten(start), outputs),
            maximum_iterations=self.event_size,
        )
        outputs = permute(outputs.stack(), np.argsort(self.order), axis=0)
        return tf.transpose(outputs, [1, 0, 2])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, with the order resolved."""
        config = super().get_config()
        for name in ("output_size", "activation", "dropout", "layer_norm", "output_bias_scale"):
            del config[name]
        return {
            **config,
            "event_size": self.event_size,
            "params_size": self.params_size,
            "cell": self.cell,
            "order": self.order,
        }
