"""Block networks beside plain numpy, their slopes by autodiff, and their inverse."""

import numpy as np
import tensorflow as tf

from tfp_flows.math.linalg._block_matrix import block_matrix
from tfp_flows.math.solvers._block_network import block_network, solve_block_network

D = 3
RNG = np.random.default_rng(0)
RAW = [RNG.normal(size=shape) for shape in ((4 * D, D), (2 * D, 4 * D), (D, 2 * D))]
GAINS = [RNG.normal(size=len(raw)) for raw in RAW]
BIASES = [RNG.normal(size=len(raw)) for raw in RAW]
C = RNG.normal(size=D)
Y, FIRST, LAST = (RNG.normal(size=[5, n]) for n in (D, 4 * D, D))


def layers():
    return [
        (*block_matrix(tf.constant(raw), tf.constant(gains), D), tf.constant(bias))
        for raw, gains, bias in zip(RAW, GAINS, BIASES, strict=True)
    ]


def test_value_is_that_of_the_formula():
    w = [matrix.numpy() for matrix, _, _ in layers()]
    h = np.tanh(Y @ w[0].T + BIASES[0] + FIRST)
    h = np.tanh(h @ w[1].T + BIASES[1])
    expected = np.exp(C) * Y + h @ w[2].T + BIASES[2] + LAST
    x, _ = block_network(layers(), C, tf.constant(Y), FIRST, LAST)
    np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_slopes_are_the_diagonal_of_a_triangular_jacobian():
    y = tf.constant(Y)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        x, log_slopes = block_network(layers(), C, y, FIRST, LAST)
    jacobian = tape.batch_jacobian(x, y, experimental_use_pfor=False).numpy()
    np.testing.assert_allclose(np.triu(jacobian, 1), 0.0, atol=1e-14)
    diagonal = np.diagonal(jacobian, axis1=1, axis2=2)
    np.testing.assert_allclose(log_slopes, np.log(diagonal), rtol=1e-11)


def test_inverse():
    """Of targets of one, and of a million; the contract compiles it."""
    target = np.concatenate([Y, 1e6 * Y])
    first, last = np.concatenate([FIRST, FIRST]), np.concatenate([LAST, LAST])
    constants = map(tf.constant, (target, first, last))
    y = solve_block_network(layers(), tf.constant(C), *constants)
    x, _ = block_network(layers(), C, y, first, last)
    np.testing.assert_allclose(x, target, rtol=1e-12, atol=1e-12)


def test_inverse_near_the_end_of_the_dtype_and_beyond():
    """There tanh is flat, and y = exp(-c) x."""
    target = np.array([[1e303, -1e304, 1e306], [-np.inf, np.inf, 1e307]])
    y = solve_block_network(layers(), tf.constant(C), tf.constant(target), FIRST[:2], LAST[:2])
    np.testing.assert_allclose(y, np.exp(-C) * target, rtol=1e-12)
