"""WaveNet: gated, dilated convolutions over time, with an upsampled context."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks, _widths
from tfp_flows.layers import _dilated_queues
from tfp_flows.layers._derived_seed import derived_seed
from tfp_flows.layers._shaped_network import ShapedNetwork


@keras.saving.register_keras_serializable(package="tfp_flows")
class WaveNet(ShapedNetwork):
    r"""$z_0 = W * x$, $z_k = z_{k-1} + R_k * g_k$, $h = W' * a(\sum_k S_k * g_k) + b'$

    A conditioner of series: gated, dilated convolutions over time.

    The gates are $g_k = \tanh(p) \sigma(q)$ with $[p, q] = F_k * z_{k-1} + V_k * c$. The taps of
    the convolution $F_k$ are $d_k$ steps apart. All other convolutions are of single steps. `x` is
    `[N, T, C_in]`, and h is `[N, T, output_channels]`. The last kernel and bias start at zero, so
    that h = 0, which every transformer reads as (close to) the identity.

    By default $F_k$ looks as far back as ahead, as in WaveGlow. With `causal`, $h_t$ depends only
    on the $(w - 1) (d_1 + \cdots + d_K) + 1$ steps of x before t. Such a network is a
    conditioner for an `Autoregressive` of series, which samples by `generate`: in T steps, each of
    which computes one step of every convolution.

    A context with two axes, `[N, frames, channels]`, such as a spectrogram, is upsampled to T steps
    by a learned transposed convolution: each step sees its frame and its two neighbors. `frames`
    must divide T. The context may be seen by all steps, also in causal networks. A vector `[N, C]`
    is the same for all steps.

    Source: van den Oord et al. (2016), WaveNet, arXiv:1609.03499; as a conditioner of couplings
    Prenger, Valle and Catanzaro (2019), WaveGlow, arXiv:1811.00002, which has no activation a and
    upsamples once for all networks; generation Le Paine et al. (2016), arXiv:1611.09482.

    Args:
        output_channels: the number of raw parameters in each step, `C_out * P`.
        hidden_channels: one width for each of the K gated convolutions, all equal.
        kernel_size: w, the number of taps, which is odd unless `causal`.
        dilations: $d_1$ to $d_K$, or `None` for 1, 2, 4, ..., $2^{K-1}$.
        causal: whether $h_t$ depends only on x before t.
        activation: a, any Keras activation, as a string or an object.
        context_size: C, or `(frames, channels)`, or 0 if no context is taken.
        seed: a non-negative integer that makes initial weights reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built, if `x` is not `[N, T, C_in]` of
            known size, or the frames do not divide T; when called, if a context is missing or not
            taken.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.WaveNet(2, (4, 4), causal=True, context_size=(4, 3))
        >>> network(tf.ones([5, 16, 1]), context=tf.ones([5, 4, 3])).shape
        TensorShape([5, 16, 2])

    See also: `tfpf.flows.wavenet`, `tfpf.flows.waveglow`.
    """

    _X_AXES = ("T", "C_in")

    def __init__(
        self,
        output_channels: int,
        hidden_channels: Sequence[int] = (32, 32, 32, 32),
        kernel_size: int = 3,
        dilations: Sequence[int] | None = None,
        causal: bool = False,
        activation: str | Callable[..., tf.Tensor] = "relu",
        context_size: int | tuple[int, ...] = 0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(context_size, seed, **kwargs)
        if isinstance(self.context_size, tuple) and len(self.context_size) != 2:
            raise ValueError(
                "`context_size` must be C or (frames, channels). "
                f"Received: context_size={context_size}"
            )
        self.output_channels = _checks.integer_at_least(output_channels, 1, "output_channels")
        self.hidden_channels = _widths.block_widths(hidden_channels, "hidden_channels")
        self.causal = bool(causal)
        self.kernel_size = _checks.integer_at_least(kernel_size, 1, "kernel_size")
        if not self.causal:
            _checks.odd(kernel_size, "kernel_size")
        count = len(self.hidden_channels)
        if dilations is None:
            dilations = tuple(2**k for k in range(count))
        self.dilations = _widths.widths(dilations, "dilations")
        if len(self.dilations) != count:
            raise ValueError(
                "`dilations` must have as many entries as `hidden_channels`. "
                f"Received: dilations={dilations}, hidden_channels={hidden_channels}"
            )
        self.activation = keras.activations.get(activation)

    def _build_layers(self) -> None:
        steps, num_channels = self._x_shape
        width, count = self.hidden_channels[0], len(self.hidden_channels)
        self._input = self._new_dense("input", num_channels, width)
        self._context: Any = self._new_context(steps, width) if self.context_size else None
        self._gates, self._shifts, self._mixes = [], [], []
        for k in range(count):
            self._gates.append(self._new_dense(f"gates_{k}", self.kernel_size * width, 2 * width))
            if self.context_size:
                self._shifts.append(self._new_dense(f"shift_{k}", width, 2 * width))
            # The last one only adds to the sum, since no block follows.
            size = 2 * width if k + 1 < count else width
            self._mixes.append(self._new_dense(f"mix_{k}", width, size))
        self._output = self._new_dense("output", width, self.output_channels, "zeros")

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the raw parameters, for tensors of checked shapes."""
        x = tf.cast(x, self.compute_dtype)
        shifts = self.shifts(context)
        first = 1 - self.kernel_size if self.causal else -(self.kernel_size // 2)
        z, total = self.first(_taps(x, [-1]) if self.causal else x), 0.0
        for k, dilation in enumerate(self.dilations):
            taps = _taps(z, [j * dilation for j in range(first, first + self.kernel_size)])
            z, total = self.block(k, z, taps, shifts[k], total)
        return self.last(total)

    def generate(
        self,
        transform: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        x: tf.Tensor,
        context: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        r"""Solves $y_t = \text{transform}(h_t(y_{<t}), x_t)$ for y, in T steps of a causal network.

        `Autoregressive` uses it to sample. Queues keep the past that convolutions still need, so
        that the cost of a step does not depend on how far back they look.

        Args:
            transform: a callable; it maps `[N, C, P]` and `[N, C]` to y and log |dy/dx|, both
                `[N, C]`.
            x: a float `Tensor` `[N, T, C]`.
            context: a float `Tensor` `[N, C]` or `[N, frames, channels]`, or `None`.

        Returns:
            `(y, log |det dy/dx|)`, of shapes `[N, T, C]` and `[N]`.
        """
        if not self.causal:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} must be `causal` to generate series. "
                f"Received: causal={self.causal}"
            )
        self._check_shapes(x.shape, None if context is None else context.shape)
        return _dilated_queues.generate(self, transform, x, context)

    def first(self, x: tf.Tensor) -> tf.Tensor:
        """Returns $z_0$, for inputs with any number of axes before the last."""
        return self._input(x)

    def last(self, total: tf.Tensor) -> tf.Tensor:
        """Returns h, given the sum of all gated convolutions."""
        return self._output(self.activation(total))

    def block(
        self, k: int, z: tf.Tensor, taps: tf.Tensor, shift: tf.Tensor | None, total: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns z and the sum after the k-th gated convolution, whose inputs are `taps`."""
        gates = self._gates[k](taps)
        if shift is not None:
            gates += shift
        p, q = tf.split(gates, 2, axis=-1)
        mixed = self._mixes[k](tf.tanh(p) * tf.sigmoid(q))
        if k + 1 == len(self._mixes):
            return z, total + mixed
        residual, skipped = tf.split(mixed, 2, axis=-1)
        return z + residual, total + skipped

    def shifts(self, context: tf.Tensor | None) -> list[tf.Tensor | None]:
        """Returns $V_k * c$ for each k: `[N, T, 2 width]`, `[N, 1, 2 width]` or `None`."""
        if context is None:
            return [None] * len(self.dilations)
        context = tf.cast(context, self.compute_dtype)
        if isinstance(self.context_size, tuple):
            # A transposed convolution: one of frames, whose channels hold T / frames steps each.
            context = self._context(_taps(context, [-1, 0, 1]))
            context = tf.reshape(context, [-1, self._x_shape[0], self.hidden_channels[0]])
        else:
            context = self._context(context)[:, tf.newaxis]
        return [shift(context) for shift in self._shifts]

    def _new_context(self, steps: int, width: int) -> keras.Layer:
        if not isinstance(self.context_size, tuple):
            return self._new_dense("context", self.context_size, width)
        frames, channels = self.context_size
        if steps % frames:
            raise ValueError(
                f"`context_size` of {type(self).__name__} {self.name!r} must be (frames, channels) "
                f"with a number of frames that divides the number of steps, {steps}. "
                f"Received: context_size={self.context_size}"
            )
        return self._new_dense("context", 3 * channels, steps // frames * width)

    def _new_dense(
        self,
        name: str,
        input_size: int,
        output_size: int,
        initializer: str | keras.initializers.Initializer | None = None,
    ) -> keras.Layer:
        seed = derived_seed(self.seed, name)
        dense = keras.layers.Dense(
            output_size,
            kernel_initializer=initializer or keras.initializers.GlorotUniform(seed),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build((None, input_size))
        return dense

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        """Returns `[N, T, output_channels]`."""
        return (*x_shape[:-1], self.output_channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "output_channels": self.output_channels,
            "hidden_channels": self.hidden_channels,
            "kernel_size": self.kernel_size,
            "dilations": self.dilations,
            "causal": self.causal,
            "activation": keras.activations.serialize(self.activation),
            "context_size": self.context_size,
            "seed": self.seed,
        }


def _taps(z: tf.Tensor, offsets: Iterable[int]) -> tf.Tensor:
    """Returns z at the steps t + offset side by side, `[N, T, taps * C]`, padded with zeros."""
    steps = z.shape[1]
    before, after = max(0, -min(offsets)), max(0, max(offsets))
    padded = tf.pad(z, [[0, 0], [before, after], [0, 0]])
    at = [padded[:, before + offset : before + offset + steps] for offset in offsets]
    return tf.concat(at, axis=-1)
