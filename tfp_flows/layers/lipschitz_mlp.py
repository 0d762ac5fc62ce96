"""A multilayer perceptron with a bound on its Lipschitz constant."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.layers._lipschitz_activations import RMS_RATIO, lipschitz_activation
from tfp_flows.layers._lipschitz_kernel import NORMS, lipschitz_kernel, typical_gain
from tfp_flows.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class LipschitzMLP(MLP):
    r"""$g(x) = U_L a(\cdots a(U_1 x + V c + b_1) \cdots) + b_L$

    A multilayer perceptron with a Lipschitz constant of at most k, for `Residual` bijectors.

    The kernels are scaled, $U = W \min(1, k^{1/L} / |W|)$, where |W| is an upper bound of the norm
    of the kernel W, see `tfpf.math.spectral_norm_bound`. The slopes of the activations are at most
    one. So the bound k, with respect to x, holds in every call for any weights. There is no state,
    and training and inference use the same function. The last kernel and bias start at zero, so
    that g = 0. How g depends on c is not bounded.

    It is called as `mlp(x)` or `mlp(x, context=c)`, for `x` of shape `[..., D]` and `c` of shape
    `[..., C]`.

    Source: Behrmann et al. (2019), arXiv:1811.00995; Chen et al. (2019), arXiv:1906.02735.

    Args:
        output_size: the size of g. For a residual bijector it is D.
        hidden_units: the widths of the hidden layers.
        activation: "lip_swish", "tanh", "elu", "sin", "softplus", "sigmoid", "softsign",
            "full_sort", "relu" or "leaky_relu". With the last three, log-determinants have poor
            gradients, since their slopes are piecewise constant.
        coefficient: k, in (0, 1).
        norm: 2, 1 or "inf", the norm of x and g for which k is the bound.
        context_size: C, or 0 if no context is taken.
        kernel_initializer: the initializer of the hidden kernels.
        output_initializer: the initializer of the last kernel.
        kernel_regularizer: a penalty on every kernel W.
        seed: a non-negative integer that makes initial weights reproducible.
        **kwargs: those of `keras.layers.Layer`: `name`, `dtype`, `trainable`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range; when built or called, as `MLP`.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> g = tfpf.layers.LipschitzMLP(
        ...     2, (8,), coefficient=0.5, output_initializer="he_normal", seed=0)
        >>> x, y = tf.constant([[0.0, 0.0]]), tf.constant([[3.0, 4.0]])
        >>> bool(tf.norm(g(x) - g(y)) <= 0.5 * tf.norm(x - y))
        True

    See also: `tfpf.bijectors.Residual`, `tfpf.layers.LipschitzConvNet`.
    """

    def __init__(
        self,
        output_size: int,
        hidden_units: Sequence[int] = (128, 128),
        activation: str = "lip_swish",
        coefficient: float = 0.9,
        norm: int | str = 2,
        context_size: int = 0,
        kernel_initializer: str | keras.initializers.Initializer = "he_normal",
        output_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        lipschitz_activation(activation)  # refuses an unknown name now
        super().__init__(
            output_size,
            hidden_units=hidden_units,
            activation="linear",
            context_size=context_size,
            kernel_initializer=kernel_initializer,
            output_initializer=output_initializer,
            kernel_regularizer=kernel_regularizer,
            seed=seed,
            **kwargs,
        )
        self._activation_name = activation
        self.coefficient = _checks.fraction(coefficient, "coefficient")
        self.norm = _checks.one_of(norm, NORMS, "norm")

    def _build_layers(self) -> None:
        sizes = (*self.hidden_units, self.output_size)
        self._dense, self._activations = [], []
        size, rms = self._x_size, 1.0
        for i, units in enumerate(sizes):
            is_last = i == len(sizes) - 1
            initializer = self.output_initializer if is_last else None
            self._dense.append(
                self._new_dense(f"dense_{i}", size, units, initializer, keras.layers.Dense)
            )
            if not is_last:
                # Of inputs whose coordinates are about one in size, see `LipSwish`.
                rms *= self._largest_norm * typical_gain(size, units, self.norm)
                if i == 0 and self.context_size:
                    rms = math.hypot(rms, math.sqrt(2.0))  # the context's kernel is not scaled
                self._activations.append(
                    lipschitz_activation(
                        self._activation_name, f"activation_{i}", self.dtype_policy, rms
                    )
                )
                rms *= RMS_RATIO
            size = units
        if self.context_size:
            self._context_dense = self._new_dense(
                "context", self.context_size, sizes[0], None, keras.layers.Dense, use_bias=False
            )

    @property
    def _largest_norm(self) -> float:
        """Of each kernel."""
        return self.coefficient ** (1.0 / (len(self.hidden_units) + 1))

    def prepared(self) -> Callable[..., tf.Tensor]:
        """Returns g as a function of x `[N, D]` and c. Kernels are scaled once for all calls."""
        each = self._largest_norm
        kernels = [
            lipschitz_kernel(tf.convert_to_tensor(dense.kernel), each, self.norm)
            for dense in self._dense
        ]

        def g(x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
            # Cast here, since Keras casts only in calls of the layer.
            dtype = self.compute_dtype
            h = tf.cast(x, dtype)
            for i, (dense, kernel) in enumerate(zip(self._dense, kernels, strict=True)):
                h = tf.matmul(h, tf.cast(kernel, dtype)) + tf.cast(dense.bias, dtype)
                if i == 0 and context is not None:
                    weight = tf.cast(self._context_dense.kernel, dtype)
                    h += tf.matmul(tf.cast(context, dtype), weight)
                if i < len(self._activations):
                    h = self._activations[i](h)
            return h

        return g

    def _raw_parameters(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool | None
    ) -> tf.Tensor:
        return self.prepared()(x, context)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        for name in ("dropout", "layer_norm", "output_bias_scale"):
            del config[name]
        config.update(
            activation=self._activation_name, coefficient=self.coefficient, norm=self.norm
        )
        return config
