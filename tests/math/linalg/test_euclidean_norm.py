"""The norm of tiny, huge and zero vectors, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.linalg._euclidean_norm import euclidean_norm


@pytest.mark.parametrize("jit_compile", [None, True], ids=["eager", "xla"])
def test_length_and_gradient(jit_compile):
    def norm_and_gradient(v):
        with tf.GradientTape() as tape:
            tape.watch(v)
            norm = euclidean_norm(v)
        return norm, tape.gradient(norm, v)

    run = (
        tf.function(norm_and_gradient, jit_compile=True, autograph=False)
        if jit_compile
        else norm_and_gradient
    )
    v = tf.constant([[3.0, 4.0], [3e30, -4e30], [3e-30, 4e-30], [0.0, -2.0], [0.0, 0.0]])
    norm, gradient = run(v)
    np.testing.assert_allclose(norm, [[5.0], [5e30], [5e-30], [2.0], [0.0]], rtol=1e-6)
    expected = [[0.6, 0.8], [0.6, -0.8], [0.6, 0.8], [0.0, -1.0], [0.0, 0.0]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
