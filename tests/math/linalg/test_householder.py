"""Products of reflections, against the same written out, one after the other."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.linalg.householder import (
    householder_columns,
    householder_product,
    paired_vectors,
)

RNG = np.random.default_rng(0)


def dense(vectors):
    product = np.eye(vectors.shape[1])
    for v in vectors:
        product = product @ (np.eye(len(v)) - 2 * np.outer(v, v) / (v @ v))
    return product


@pytest.mark.parametrize("num_vectors", [1, 2, 4, 9])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4)])
def test_agrees_with_reflections_one_by_one(num_vectors, shape):
    vectors = RNG.normal(size=[num_vectors, 4])
    x = RNG.normal(size=shape)
    q = dense(vectors)
    np.testing.assert_allclose(householder_product(vectors, x), x @ q.T, atol=1e-12)
    np.testing.assert_allclose(householder_product(vectors, x, transpose=True), x @ q, atol=1e-12)


def test_stays_orthogonal_for_many_and_for_equal_vectors():
    x = np.eye(16)
    for vectors in (
        RNG.normal(size=[64, 16]),
        np.repeat(RNG.normal(size=[1, 16]), 32, axis=0),
        1.0 + 1e-9 * RNG.normal(size=[32, 16]),
    ):
        q = householder_product(vectors, x).numpy()
        np.testing.assert_allclose(q @ q.T, np.eye(16), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1e-30, 1e30])
def test_lengths_do_not_matter(length, dtype):
    """The square of 1e30, and of 1e-30, is no float32."""
    vectors = RNG.normal(size=[3, 4])
    x = tf.eye(4, dtype=dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(
        householder_product(tf.constant(length * vectors, dtype), x),
        dense(vectors).T,
        atol=tolerance,
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_a_zero_vector_is_no_reflection_and_has_no_gradient(compiled):
    """Without the guard the value is 0 / 0; 1e-42 is what XLA takes for zero."""

    def value_and_gradient(vectors):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            q = householder_product(vectors, tf.eye(4))
            loss = tf.reduce_sum(q * tf.reshape(tf.range(16.0), [4, 4]))
        return q, tape.gradient(loss, vectors)

    if compiled:
        value_and_gradient = tf.function(value_and_gradient, jit_compile=True, autograph=False)
    for tiny in (0.0, 1e-42):
        vectors = RNG.normal(size=[3, 4]).astype("float32")
        vectors[1] = tiny
        q, gradient = value_and_gradient(tf.constant(vectors))
        np.testing.assert_allclose(q, dense(vectors[[0, 2]]).T, atol=1e-6)
        np.testing.assert_array_equal(gradient[1], np.zeros(4))
        assert np.isfinite(gradient).all() and np.abs(gradient[0]).max() > 0.1


@pytest.mark.parametrize("num_vectors", [1, 2, 5, 6])
def test_pairs_undo_each_other(num_vectors):
    vectors = paired_vectors(num_vectors, 4, seed=3)
    assert vectors.shape == (num_vectors, 4)
    sign = np.diag([-1.0 if num_vectors % 2 else 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(householder_product(vectors, np.eye(4)), sign, atol=1e-12)
    np.testing.assert_array_equal(vectors, paired_vectors(num_vectors, 4, seed=3))


def test_columns_are_those_of_the_product():
    vectors = np.random.default_rng(0).normal(size=[2, 3, 4])
    columns = householder_columns(tf.constant(vectors), 2)
    assert columns.shape == [2, 4, 2]
    for found, of_one in zip(columns, vectors, strict=True):
        rows = householder_product(tf.constant(of_one), tf.eye(4, dtype=tf.float64))
        np.testing.assert_allclose(found, tf.transpose(rows)[:, :2], atol=1e-14)
