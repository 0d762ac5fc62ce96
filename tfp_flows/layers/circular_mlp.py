"""A multilayer perceptron of angles, which it sees as points on the circle."""

import keras
import tensorflow as tf

from tfp_flows.layers._rows_last_dense import columns
from tfp_flows.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="tfp_flows")
class CircularMLP(MLP):
    """h = MLP([cos x, sin x, c]): a function of angles, with the period 2 pi in each of them.

    A conditioner as `MLP` is, with the same arguments, shapes, start and errors; x `[..., D]` are
    angles in radians, any finite numbers. A context is taken as it is. Choose it for the couplings
    of `CircularSpline`.

    Source: Rezende et al. (2020), arXiv:2002.02428, sec. 2.2.

    ```python
    network = tfp_flows.layers.CircularMLP(6, (16,))
    network.build((None, 2))
    network([[0.1, -3.0]])  # [1, 6]
    ```
    """

    @property
    def _input_size(self):
        return 2 * self._x_size + self.context_size

    def _joined(self, x, context):
        if not x.dtype.is_floating:  # Keras casts floats only.
            x = tf.cast(x, self.compute_dtype)
        parts = [tf.cos(x), tf.sin(x)]
        return columns(tf.concat(parts if context is None else [*parts, context], axis=-1))
