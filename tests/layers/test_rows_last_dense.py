"""Tests of the dense layer that keeps rows last, against x W + b."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers._rows_last_dense import RowsLastDense, columns

RNG = np.random.default_rng(1)
X, DIRECTION = RNG.normal(size=[5, 3]), RNG.normal(size=[5, 4])


def made():
    dense = RowsLastDense(4, dtype="float64")
    dense.build((None, 3))
    dense.set_weights([RNG.normal(size=[3, 4]), RNG.normal(size=[4])])
    return dense


def by_columns(dense, x):
    return tf.transpose(dense(columns(x)))


def by_transposes(dense, x):
    return tf.transpose(dense(tf.transpose(x)))


def plain(dense, x):
    return tf.matmul(x, dense.kernel) + dense.bias


def with_derivatives(function, dense, x):
    """Value, first derivatives, and the second ones of one direction of each."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = function(dense, x)
            loss = tf.reduce_sum(DIRECTION * tf.sin(y))
        first = inner.gradient(loss, [x, dense.kernel.value, dense.bias.value])
        total = sum(tf.reduce_sum(tf.sin(g)) for g in first)
    return [y, *first, *outer.gradient(total, [x, dense.kernel.value, dense.bias.value])]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("function", [by_columns, by_transposes])
def test_value_and_derivatives_are_those_of_rows(function, jit_compile):
    dense, x = made(), tf.constant(X)
    compiled = tf.function(with_derivatives, jit_compile=jit_compile, autograph=False)
    for found, expected in zip(
        compiled(function, dense, x), with_derivatives(plain, dense, x), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", [by_columns, by_transposes])
def test_jacobian_is_that_of_rows(function):
    """By a vectorised map, which has rules of its own for each operation."""
    dense, x = made(), tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.sin(function(dense, x))
    expected = np.cos(plain(dense, x))[..., np.newaxis] * np.transpose(dense.kernel)
    np.testing.assert_allclose(tape.batch_jacobian(y, x), expected, rtol=1e-12)


def test_rows_of_unknown_number():
    dense = made()
    signature = tf.TensorSpec([None, 3], tf.float64)
    graph = tf.function(by_columns, autograph=False).get_concrete_function(dense, signature)
    np.testing.assert_allclose(graph(tf.constant(X)), plain(dense, X), rtol=1e-12)
