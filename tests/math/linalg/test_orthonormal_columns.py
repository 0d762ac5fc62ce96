"""Orthonormal columns: beside Gram-Schmidt by hand, derivatives, matrices of a low rank."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.linalg._orthonormal_columns import orthonormal_columns

RNG = np.random.default_rng(0)


def gram_schmidt(matrix):
    columns = []
    for column in matrix.T:
        for q in columns:
            column = column - (q @ column) * q
        columns.append(column / np.linalg.norm(column))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("shape", [(5, 3), (4, 4), (3, 1)], ids=str)
def test_is_gram_schmidt(shape):
    matrices = RNG.normal(size=[2, *shape])
    q = orthonormal_columns(tf.constant(matrices))
    expected = [gram_schmidt(matrix) for matrix in matrices]
    np.testing.assert_allclose(q, expected, atol=1e-13)


def first_derivative(matrix, weight):
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        loss = tf.reduce_sum(weight * tf.sin(orthonormal_columns(matrix)))
    return loss, tape.gradient(loss, matrix)


@pytest.mark.parametrize("shape", [(5, 3), (4, 4), (2, 6, 2)], ids=str)
def test_first_and_second_derivatives_are_those_of_finite_differences(shape):
    matrix, weight, step = (tf.constant(RNG.normal(size=shape)) for _ in range(3))
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        _, gradient = first_derivative(matrix, weight)
    second = tape.gradient(gradient, matrix, output_gradients=step)
    h = 1e-6
    (plus, of_plus), (minus, of_minus) = (
        first_derivative(matrix + sign * h * step, weight) for sign in (1, -1)
    )
    along = tf.reduce_sum(gradient * step)
    np.testing.assert_allclose(along, (plus - minus) / (2 * h), rtol=1e-7, atol=1e-8)
    numeric = (of_plus - of_minus) / (2 * h)
    np.testing.assert_allclose(second, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "jit_compile"), [("float32", None), ("float64", None), ("float32", True)]
)
def test_low_rank_is_orthonormal_with_finite_gradients(dtype, jit_compile):
    matrices = [
        np.zeros([4, 3]),
        np.ones([4, 3]),
        np.eye(4, 3) * [1, 0, 1],
        np.eye(4, 3) * 1e6,
        np.outer(np.arange(4.0), [1e6, 1.0, 1e-6]),
    ]

    def both(matrix):
        with tf.GradientTape() as tape:
            tape.watch(matrix)
            q = orthonormal_columns(matrix)
            loss = tf.reduce_sum(tf.sin(q))
        return q, tape.gradient(loss, matrix)

    both = tf.function(both, jit_compile=True, autograph=False) if jit_compile else both
    q, gradient = both(tf.constant(np.stack(matrices), dtype))
    products = tf.matmul(q, q, transpose_a=True)
    expected = np.broadcast_to(np.eye(3), [5, 3, 3])
    np.testing.assert_allclose(products, expected, atol=20 * np.finfo(dtype).eps)
    assert np.all(np.isfinite(gradient))
