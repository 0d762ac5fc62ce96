"""A multilayer perceptron of angles, which it takes as points on a circle."""

import keras
import tensorflow as tf

from tfp_flows.layers._rows_last_dense import columns
from tfp_flows.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class CircularMLP(MLP):
    r"""$h = \text{MLP}([\cos x, \sin x, c])$

    A network of angles, with the period $2 \pi$ in each of them.

    A conditioner like `MLP`, with the same arguments, shapes, start and errors. `x`, `[..., D]`,
    holds angles in radians, any finite numbers. A context is used as it is. Choose this network
    for couplings with `CircularSpline`.

    Source: Rezende et al. (2020), arXiv:2002.02428, sec. 2.2.

    Example:
        >>> import numpy as np
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> network = tfpf.layers.CircularMLP(4, (8,), output_initializer="glorot_normal", seed=0)
        >>> x = tf.constant([[0.1, -3.0]])
        >>> np.allclose(network(x), network(x + 2.0 * np.pi), atol=1e-4)
        True

    See also: `tfpf.layers.MLP`, `tfpf.bijectors.CircularSpline`.
    """

    @property
    def _input_size(self) -> int:
        return 2 * self._x_size + self.context_size

    def _joined(self, x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        if not x.dtype.is_floating:  # Keras casts only floats.
            x = tf.cast(x, self.compute_dtype)
        parts = [tf.cos(x), tf.sin(x)]
        return columns(tf.concat(parts if context is None else [*parts, context], axis=-1))
