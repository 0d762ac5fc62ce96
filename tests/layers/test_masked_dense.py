"""The dense layer with a mask: what is masked is zero, in values and in gradients."""

import numpy as np
import tensorflow as tf

from tfp_flows.layers._masked_dense import MaskedDense


def test_masked_weights_are_zero_with_a_gradient_of_zero_also_where_it_would_overflow():
    mask = np.array([[True, False], [True, True]])
    layer = MaskedDense(2, mask, kernel_initializer="ones")
    layer.build((None, 2))
    x = tf.constant([[1e30], [2.0]])  # batch axis last
    with tf.GradientTape() as tape:
        y = layer(x)
        loss = 1e30 * tf.reduce_sum(y)
    np.testing.assert_array_equal(y, [[np.float32(1e30) + 2], [2.0]])
    gradient = tape.gradient(loss, layer.kernel.value)
    np.testing.assert_allclose(gradient, [[np.inf, 0.0], [2e30, 2e30]])
