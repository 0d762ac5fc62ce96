"""A convolutional network with a bound on its Lipschitz constant."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks, _widths
from tfp_flows.layers._derived_seed import derived_seed
from tfp_flows.layers._lipschitz_activations import RMS_RATIO, lipschitz_activation
from tfp_flows.layers._lipschitz_kernel import NORMS, lipschitz_kernel, typical_gain
from tfp_flows.layers._shaped_network import ShapedNetwork


@keras.saving.register_keras_serializable(package="tfp_flows")
class LipschitzConvNet(ShapedNetwork):
    r"""$g(x) = U_L * a(\cdots a(U_1 * x + V c + b_1) \cdots) + b_L$

    A convolutional network of images with a Lipschitz constant of at most k.

    The kernels are scaled, $U = W \min(1, k^{1/L} / |W|)$. |W| is an upper bound of the norm of the
    convolution, which pads images with zeros and so keeps their size. It is not the norm of a
    reshaped kernel. The bound needs no state and is the same in training and inference, see
    `tfpf.math.convolution_norm_bound`. Its cost grows with H W and with the cube of the smaller
    number of channels of a kernel, but not with N. So keep kernels between two wide layers at
    1 x 1, as the papers do. The last kernel and bias start at zero, so that g = 0.

    Use it for `Residual` bijectors of images. Shapes: `x` is `[N, H, W, channels]`, and so is g.

    Source: Behrmann et al. (2019), arXiv:1811.00995; Chen et al. (2019), arXiv:1906.02735.

    Args:
        hidden_channels: the numbers of channels of the hidden layers.
        kernel_sizes: width and height of each kernel, one number more than there are hidden layers.
        activation: as for `LipschitzMLP`. Here "full_sort" sorts channels.
        coefficient: k, in (0, 1).
        norm: 2, 1 or "inf", the norm of x and g for which k is the bound. The last two are cheap.
        context_size: C, or 0 if no context is taken. A context `[N, C]` shifts whole channels.
        seed: a non-negative integer that makes initial weights reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built, if `x` is not `[N, H, W, channels]`
            of known size; when called, if a context is missing or not taken.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.LipschitzConvNet(hidden_channels=(4,), kernel_sizes=(3, 3))
        >>> network(tf.ones([2, 4, 4, 1])).shape, network.coefficient
        (TensorShape([2, 4, 4, 1]), 0.9)

    See also: `tfpf.bijectors.Residual`, `tfpf.layers.LipschitzMLP`.
    """

    _X_AXES = ("H", "W", "channels")

    def __init__(
        self,
        hidden_channels: Sequence[int] = (64, 64),
        kernel_sizes: Sequence[int] = (3, 1, 3),
        activation: str = "lip_swish",
        coefficient: float = 0.9,
        norm: int | str = 2,
        context_size: int = 0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(_checks.flat_context_size(context_size), seed, **kwargs)
        lipschitz_activation(activation)  # refuses an unknown name now
        self.hidden_channels = _widths.widths(hidden_channels, "hidden_channels")
        self.kernel_sizes = _widths.widths(kernel_sizes, "kernel_sizes")
        if len(self.kernel_sizes) != len(self.hidden_channels) + 1:
            raise ValueError(
                "`kernel_sizes` must have one number more than `hidden_channels`. "
                f"Received: kernel_sizes={kernel_sizes!r}, hidden_channels={hidden_channels!r}"
            )
        self.activation = activation
        self.coefficient = _checks.fraction(coefficient, "coefficient")
        self.norm = _checks.one_of(norm, NORMS, "norm")

    def _build_layers(self) -> None:
        channels = (self._x_shape[-1], *self.hidden_channels, self._x_shape[-1])
        self._kernels, self._biases, self._activations = [], [], []
        rms = 1.0
        for i, size in enumerate(self.kernel_sizes):
            is_last = i == len(self.kernel_sizes) - 1
            seed = derived_seed(self.seed, f"kernel_{i}")
            self._kernels.append(
                self.add_weight(
                    shape=(size, size, *channels[i : i + 2]),
                    initializer="zeros" if is_last else keras.initializers.HeNormal(seed),
                    name=f"kernel_{i}",
                )
            )
            self._biases.append(
                self.add_weight(
                    shape=channels[i + 1 : i + 2], initializer="zeros", name=f"bias_{i}"
                )
            )
            if not is_last:
                # Of images whose numbers are about one in size, see `LipSwish`.
                num_in, num_out = (size**2 * channels[j] for j in (i, i + 1))
                rms *= self._largest_norm * typical_gain(num_in, num_out, self.norm)
                if i == 0 and self.context_size:
                    rms = math.hypot(rms, math.sqrt(2.0))  # the context's kernel is not scaled
                name, dtype = f"activation_{i}", self.dtype_policy
                self._activations.append(lipschitz_activation(self.activation, name, dtype, rms))
                rms *= RMS_RATIO
        if self.context_size:
            seed = derived_seed(self.seed, "context_kernel")
            self._context_kernel = self.add_weight(
                shape=(self.context_size, channels[1]),
                initializer=keras.initializers.HeNormal(seed),
                name="context_kernel",
            )

    @property
    def _largest_norm(self) -> float:
        """Of each kernel."""
        return self.coefficient ** (1.0 / len(self.kernel_sizes))

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        """Returns g, `[N, H, W, channels]`, for tensors of checked shapes."""
        return self.prepared()(x, context)

    def prepared(self) -> Callable[..., tf.Tensor]:
        """Returns g as a function of x and c. Kernels are scaled once for any number of calls."""
        each = self._largest_norm
        image = self._x_shape[:2]
        kernels = [
            lipschitz_kernel(tf.convert_to_tensor(kernel), each, self.norm, image)
            for kernel in self._kernels
        ]

        def g(x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
            dtype = self.compute_dtype
            h = tf.cast(x, dtype)
            for i, (kernel, bias) in enumerate(zip(kernels, self._biases, strict=True)):
                h = tf.nn.conv2d(h, tf.cast(kernel, dtype), 1, "SAME") + tf.cast(bias, dtype)
                if i == 0 and context is not None:
                    weight = tf.cast(self._context_kernel, dtype)
                    h += tf.matmul(tf.cast(context, dtype), weight)[:, tf.newaxis, tf.newaxis]
                if i < len(self._activations):
                    h = self._activations[i](h)
            return h

        return g

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], context_shape: tuple[int | None, ...] | None = None
    ) -> tuple[int | None, ...]:
        """Returns the shape of `x`."""
        return x_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = "hidden_channels kernel_sizes activation coefficient norm context_size seed"
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}
