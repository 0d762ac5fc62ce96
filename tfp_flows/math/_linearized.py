"""A function at a point, and products with its Jacobian there."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import forwardprop_util


class Linearized:
    r"""g(z), $v \mapsto J^\top v$ and $w \mapsto J w$, with $J = dg/dz$, from one evaluation of g.

    Gradient functions use it for products with J. They cannot open a tape of their own: in forward
    mode TensorFlow runs them where tapes record nothing, and the gradient would be zero.

    Args:
      function: callable, g, from and to the shape of z; or to a pair, g(z) and other outputs.
      z: float `Tensor`, taken as a constant.
    """

    def __init__(self, function: Callable[..., Any], z: tf.Tensor) -> None:
        self._z = z = tf.stop_gradient(z)
        # Persistent, to allow any number of products.
        with tf.GradientTape(persistent=True) as self._tape:
            self._tape.watch(z)
            self.value = function(z)
        outputs = tf.nest.flatten(self.value)
        self._output = outputs[0]
        is_forward_mode = forwardprop_util.pack_tangents(outputs).tangents
        self._along = self._make_along() if is_forward_mode else None

    def transposed(self, v: tf.Tensor, output: tf.Tensor | None = None) -> tf.Tensor:
        r"""Returns $J^\top v$, or the same product for another output."""
        output = self._output if output is None else output
        zero = tf.UnconnectedGradients.ZERO
        product = self._tape.gradient(output, self._z, v, unconnected_gradients=zero)
        return tf.ensure_shape(product, self._z.shape)

    def along(self) -> Callable[[tf.Tensor], tf.Tensor]:
        r"""Returns the function $w \mapsto J w$."""
        return self._along or self._make_along()

    def _make_along(self) -> Callable[[tf.Tensor], tf.Tensor]:
        # J^T v is linear in v: its own transposed product is J w, whatever v is.
        with tf.GradientTape(persistent=True) as tape:
            v = tf.zeros_like(self._z)
            tape.watch(v)
            product = self.transposed(v)

        def along(w: tf.Tensor) -> tf.Tensor:
            zero = tf.UnconnectedGradients.ZERO
            return tf.ensure_shape(
                tape.gradient(product, v, w, unconnected_gradients=zero), v.shape
            )

        return along
