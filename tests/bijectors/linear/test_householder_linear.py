"""The orthogonal bijector: its start, its count of reflections, saturated vectors."""

import numpy as np
import pytest
import tensorflow as tf
from cases import perturb

from tfp_flows.bijectors import HouseholderLinear

RNG = np.random.default_rng(0)


def matrix_of(bijector, size):
    return bijector.forward(tf.eye(size, dtype=bijector.dtype)).numpy().T


@pytest.mark.parametrize("num_reflections", [None, 1, 2, 3, 8])
def test_is_orthogonal_for_any_count(num_reflections):
    bijector = HouseholderLinear(4, num_reflections, seed=1, dtype="float64")
    perturb(bijector.variables)
    q = matrix_of(bijector, 4)
    np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(q), (-1.0) ** (num_reflections or 4))
    x = RNG.normal(size=[3, 4])
    np.testing.assert_allclose(bijector.inverse(x), x @ q, atol=1e-12)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), np.zeros(3))
    np.testing.assert_array_equal(bijector.inverse_log_det_jacobian(x), np.zeros(3))


@pytest.mark.parametrize("size,default", [(1, 2), (2, 2), (3, 2), (8, 8), (9, 8)])
def test_starts_as_the_identity(size, default):
    bijector = HouseholderLinear(size)
    assert bijector.parameters["vectors"].shape == [default, size]
    np.testing.assert_allclose(matrix_of(bijector, size), np.eye(size), atol=1e-6)
    odd = HouseholderLinear(size, 3)
    np.testing.assert_allclose(
        matrix_of(odd, size), np.diag([-1.0] + [1.0] * (size - 1)), atol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 1e-30, 1e30, -1e30])
def test_saturated_vectors(value, dtype):
    """All vectors the same extreme: orthogonal still, and no NaN in gradients."""
    vectors = tf.Variable(tf.fill([3, 2], tf.constant(value, dtype)))
    bijector = HouseholderLinear(2, 3, vectors)
    x = tf.constant(RNG.normal(size=[5, 2]), dtype)
    with tf.GradientTape() as tape:
        y = bijector.forward(x)
        loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(tf.cos(bijector.inverse(tf.identity(x))))
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)
    assert not np.isnan(tape.gradient(loss, vectors)).any()


def test_training_moves_equal_pairs_apart():
    """The start is not a point where both vectors of a pair have the same gradient."""
    target = np.array([[0.0, -1.0], [1.0, 0.0]], "float32")
    bijector = HouseholderLinear(2, seed=1)
    (vectors,) = bijector.trainable_variables
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((bijector.forward(tf.eye(2)) - target) ** 2)
        vectors.assign_sub(0.1 * tape.gradient(loss, vectors))
    np.testing.assert_allclose(bijector.forward(tf.eye(2)), target, atol=1e-2)


def test_seed_decides_the_start():
    one, same, other = (HouseholderLinear(4, seed=seed).variables[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other)


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["event_size", "num_reflections"])
@pytest.mark.parametrize("value,error", [(0, ValueError), (-1, ValueError), (2.0, TypeError)])
def test_sizes(name, value, error):
    with pytest.raises(error, match=f"`{name}` must be an integer of at least 1. Received: {name}"):
        HouseholderLinear(**{"event_size": 2, name: value})


@pytest.mark.parametrize("shape", [[2, 3], [3], [3, 2]])
def test_vectors_that_do_not_fit(shape):
    with pytest.raises(
        ValueError, match=r"`vectors` must have shape \(2, 2\). Received: vectors.s"
    ):
        HouseholderLinear(2, 2, vectors=tf.zeros(shape))


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size(method):
    with pytest.raises(ValueError, match=r"`householder_linear` acts on events of 4 .*\(5, 3\)"):
        getattr(HouseholderLinear(4), method)(tf.zeros([5, 3]))
