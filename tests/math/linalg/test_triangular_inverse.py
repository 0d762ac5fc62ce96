"""Derivatives of triangular inverses, by an iteration that ends after D steps."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.linalg._triangular_inverse import with_triangular_gradient

D = 6


def matrix(strength, seed=0):
    """Lower triangular, far from normal where `strength` is large."""
    rng = np.random.default_rng(seed)
    return tf.constant(np.tril(strength * rng.normal(size=[D, D]), -1) + np.diag(1 + rng.random(D)))


@pytest.mark.parametrize("jit_compile", [None, True], ids=["eager", "xla"])
def test_solves_the_transposed_system(jit_compile):
    y = tf.constant(np.random.default_rng(1).normal(size=[4, D]))
    u = np.random.default_rng(2).normal(size=[4, D]) * np.array([[1.0], [1e-30], [1e30], [0.0]])

    def gradients(a, y):
        with tf.GradientTape() as tape:
            tape.watch([y, a])
            x = with_triangular_gradient(
                lambda x: (tf.linalg.matvec(a, x), tf.linalg.diag_part(a) + tf.zeros_like(x)),
                tf.linalg.triangular_solve(a, y[..., tf.newaxis])[..., 0],
                y,
            )
        return x, *tape.gradient(x, [y, a], u)

    run = (
        gradients
        if jit_compile is None
        else tf.function(gradients, jit_compile=True, autograph=False)
    )
    for strength in (0.0, 0.3, 30.0):
        a = matrix(strength)
        x, of_y, of_a = run(a, y)
        expected = np.linalg.solve(np.transpose(a), u.T).T
        np.testing.assert_allclose(of_y, expected, rtol=1e-9, atol=0)
        np.testing.assert_allclose(of_a, -np.einsum("ni,nj->ij", expected, x), rtol=1e-9)
