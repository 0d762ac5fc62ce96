"""Block-triangular matrices, and products in the log domain, beside plain numpy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from tfp_flows.math.linalg._block_matrix import block_matrix, log_matvec, log_tanh_slope


def test_block_matrix_agrees_with_the_formula():
    rng = np.random.default_rng(0)
    raw, log_gains = rng.normal(size=[6, 9]), rng.normal(size=6)
    matrix, log_blocks = block_matrix(tf.constant(raw), tf.constant(log_gains), 3)
    blocks = np.kron(np.tril(np.ones([3, 3]), -1), np.ones([2, 3]))
    diagonal = np.kron(np.eye(3), np.ones([2, 3]))
    v = raw * blocks + np.exp(raw) * diagonal
    expected = np.exp(log_gains)[:, None] * v / np.linalg.norm(v, axis=1, keepdims=True)
    np.testing.assert_allclose(matrix, expected, rtol=1e-13)
    for i in range(3):
        block = expected[2 * i : 2 * i + 2, 3 * i : 3 * i + 3]
        np.testing.assert_allclose(log_blocks[i], np.log(block), rtol=1e-12)


@pytest.mark.parametrize("scale", [50.0, 500.0])
@pytest.mark.parametrize("signs", ["random", "negative", "positive"])
def test_saturated_weights_are_finite(scale, signs):
    sign = {
        "random": np.sign(np.random.default_rng(0).normal(size=[6, 9])),
        "negative": -np.ones([6, 9]),
        "positive": np.ones([6, 9]),
    }
    raw = tf.constant(scale * sign[signs], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(raw)
        matrix, log_blocks = block_matrix(raw, tf.zeros([6]), 3)
        loss = tf.reduce_sum(tf.sin(matrix)) + tf.reduce_sum(log_blocks)
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1.0, rtol=1e-5)
    assert np.isfinite(log_blocks).all() and np.isfinite(tape.gradient(loss, raw)).all()


def test_log_matvec_is_logsumexp():
    rng = np.random.default_rng(0)
    a, v = 20.0 * rng.normal(size=[3, 2, 4]), 200.0 * rng.normal(size=[5, 3, 4])
    expected = logsumexp(a + v[:, :, np.newaxis, :], axis=-1)
    np.testing.assert_allclose(log_matvec(tf.constant(a), tf.constant(v)), expected, rtol=1e-12)


def test_log_matvec_of_an_underflow_is_finite():
    a, v = tf.constant([[[0.0, -500.0]]]), tf.constant([[[-500.0, 0.0]]])
    with tf.GradientTape() as tape:
        tape.watch([a, v])
        out = log_matvec(a, v)
    assert np.isfinite(out).all()
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(out, [a, v]))


def test_log_tanh_slope():
    z = np.linspace(-5.0, 5.0, 21)
    np.testing.assert_allclose(log_tanh_slope(tf.constant(z)), np.log1p(-(np.tanh(z) ** 2)), 1e-8)
    far = tf.constant([-300.0, 300.0, 1e30, -1e30])
    expected = 2.0 * (np.log(2.0) - np.array([300.0, 300.0, 1000.0, 1000.0]))
    np.testing.assert_allclose(log_tanh_slope(far), expected, rtol=1e-6)
