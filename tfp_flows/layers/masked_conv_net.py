"""A convolutional network in which each number of an image sees itself and those before it."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import _checks, _widths
from tfp_flows.layers._derived_seed import derived_seed
from tfp_flows.layers._shaped_network import ShapedNetwork
from tfp_flows.math.solvers._masked_network import masked_kernel, masked_network

# The slope of f at the start. The slope of the whole map starts close to one.
_START = 0.02


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskedConvNet(ShapedNetwork):
    r"""$y_i = e^s x_i + f_i(x_{\le i})$

    A masked convolutional network that increases in each number of an image.

    The network is $f(x) = W_L * \tanh(\cdots W_1 * x + b_1 + V c \cdots) + b_L + V' c$, and i goes
    by rows, columns and channels. Each number of an image has $K_l$ units in layer l. They see the
    units of earlier numbers that the kernel reaches, with any weights. They see the units of the
    number itself with weights that are squares, so that $y_i$ increases in $x_i$. So dy/dx is
    triangular, and its diagonal is above exp(s). f is bounded. Kernels have no weights for later
    numbers. The last kernel starts at zero except for the squares, so that y is close to x.

    Use it for `MaskedConvolution`. Shapes: `x` and y are `[N, H, W, C]`.

    Source: Song, Meng and Ermon (2019), MintNet, arXiv:1907.07945, sec. 3. Here tanh takes the
    place of ELU, so that f is bounded. In the paper, products of weights are positive. Squares are
    equally general, since tanh is odd and absorbs the signs of units.

    Args:
        hidden_units: $K_l$ for each hidden layer, the number of units for each number of an image.
            There is at least one hidden layer.
        kernel_size: the width of the kernels, 2 r + 1, an odd number.
        context_size: the size of the context, or 0 if no context is taken. A context `[N, size]`
            shifts whole channels in the first and in the last layer.
        seed: a non-negative integer that makes initial weights reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built, if `x` is not `[N, H, W, C]` of
            known size; when called, if `x` has another shape, or a context is missing or not taken.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.MaskedConvNet(hidden_units=(2,))
        >>> network.build((None, 4, 4, 1))
        >>> convolution = tfpf.bijectors.MaskedConvolution(network)
        >>> convolution.inverse(tf.ones([5, 4, 4, 1])).shape
        TensorShape([5, 4, 4, 1])

    See also: `tfpf.bijectors.MaskedConvolution`.
    """

    _X_AXES = ("H", "W", "C")

    def __init__(
        self,
        hidden_units: Sequence[int] = (8, 8),
        kernel_size: int = 3,
        context_size: int = 0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        # The inverse needs full precision, even if the policy computes in a lower one.
        super().__init__(
            _checks.flat_context_size(context_size),
            seed,
            autocast=False,
            **kwargs,
        )
        self.hidden_units = _widths.at_least_one_layer(hidden_units, "hidden_units")
        self.kernel_size = _checks.odd(kernel_size, "kernel_size")

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """`(H, W, C)`, or `None` before the layer is built."""
        return self._x_shape

    def _build_layers(self) -> None:
        channels, radius = self._x_shape[-1], self.kernel_size // 2
        units = (1, *self.hidden_units, 1)
        self._kernels, self._biases, self._context_kernels = [], [], []
        for i, (k_in, k_out) in enumerate(zip(units[:-1], units[1:], strict=True)):
            is_last = i == len(units) - 2
            shape = (radius + 1, 2 * radius + 1, channels * k_in, channels * k_out)
            start = _kernel(shape, channels, is_last, derived_seed(self.seed, f"kernel_{i}"))
            self._kernels.append(
                self._weight(f"kernel_{i}", shape, lambda shape, dtype, start=start: start)
            )
            # Different biases, so that the units of a number bend at different places.
            seed = derived_seed(self.seed, f"bias_{i}")
            spread = keras.initializers.RandomUniform(-1.0, 1.0, seed)
            start = "zeros" if is_last else spread
            self._biases.append(self._weight(f"bias_{i}", shape[-1:], start))
            if self.context_size and i in (0, len(units) - 2):
                name, shape = f"context_kernel_{i}", (self.context_size, shape[-1])
                start = keras.initializers.HeNormal(derived_seed(self.seed, name))
                start = "zeros" if is_last else start
                self._context_kernels.append(self._weight(name, shape, start))
        start = keras.initializers.Constant(np.log1p(-0.5 * _START))
        self._log_linear = self._weight("log_linear", (channels,), start)

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        """Returns y, `[N, H, W, C]`, for tensors of checked shapes."""
        return masked_network(*self.prepared(context), tf.cast(x, self.variable_dtype))[0]

    def prepared(self, context: tf.Tensor | None = None) -> tuple[list[Any], tf.Tensor]:
        """Returns the layers, for a context `[N, size]`, and s, as `masked_network` takes them."""
        channels, dtype = self._x_shape[-1], self.variable_dtype
        kernels = [masked_kernel(tf.convert_to_tensor(k), channels) for k in self._kernels]
        biases = [tf.convert_to_tensor(b) for b in self._biases]
        if context is not None:
            for i, weight in zip((0, -1), self._context_kernels, strict=True):
                added = tf.matmul(tf.cast(context, dtype), tf.convert_to_tensor(weight))
                biases[i] += added[:, tf.newaxis, tf.newaxis]
        layers = [(*pair, bias) for pair, bias in zip(kernels, biases, strict=True)]
        return layers, tf.convert_to_tensor(self._log_linear)

    def _weight(
        self, name: str, shape: Sequence[Any], initializer: str | keras.initializers.Initializer
    ) -> keras.Variable:
        return self.add_weight(shape=shape, initializer=initializer, name=name, autocast=False)

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        """Returns the shape of `x`."""
        return x_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = "hidden_units kernel_size context_size seed"
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}


def _kernel(shape: tuple[int, ...], channels: int, is_last: bool, seed: int | None) -> np.ndarray:
    """Returns raw weights. Own units start with a slope of one, in the last layer of `_START`."""
    rows, columns, num_in, num_out = shape
    # About half of all places belong to earlier numbers.
    scale = 0.0 if is_last else np.sqrt(2.0 / (rows * columns * num_in))
    raw = scale * np.random.default_rng(seed).normal(size=shape)
    units_in, units_out = num_in // channels, num_out // channels
    own = np.sqrt((_START if is_last else 1.0) / units_in)
    for c in range(channels):
        inputs = slice(c * units_in, (c + 1) * units_in)
        raw[-1, columns // 2, inputs, c * units_out : (c + 1) * units_out] = own
    return raw
