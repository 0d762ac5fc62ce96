"""The linear bijector in QR form, against the dense matrix that it stands for."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

from tfp_flows.bijectors import QRLinear

RNG = np.random.default_rng(0)


def made_linear(size=4, num_reflections=None, dtype="float64", **options):
    bijector = QRLinear(size, num_reflections, seed=1, dtype=dtype, **options)
    perturb(bijector.variables)
    return bijector


def dense(bijector, max_log_scale=10.0):
    """Q R, as numpy writes it."""
    q = np.eye(len(bijector.parameters["vectors"][0]))
    for v in bijector.parameters["vectors"].numpy():
        q = q @ (np.eye(len(v)) - 2 * np.outer(v, v) / (v @ v))
    raw = tfp.math.fill_triangular(bijector.parameters["triangle"], upper=True).numpy()
    a = np.diag(raw)
    return q, np.triu(raw, 1) + np.diag(np.exp(a / (1 + np.abs(a) / max_log_scale)))


@pytest.mark.parametrize("num_reflections", [None, 1, 3, 7])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4)])
def test_agrees_with_the_dense_matrix(num_reflections, shape):
    bijector = made_linear(num_reflections=num_reflections, max_log_scale=2.0)
    q, r = dense(bijector, 2.0)
    np.testing.assert_allclose(q @ q.T, np.eye(4), atol=1e-12)
    assert np.abs(np.triu(r, 1)).max() > 0.1
    x = RNG.normal(size=shape)
    y = x @ (q @ r).T
    np.testing.assert_allclose(bijector.forward(x), y, atol=1e-12)
    np.testing.assert_allclose(bijector.inverse(y), x, atol=1e-11)
    log_det = np.linalg.slogdet(q @ r)[1]
    assert abs(log_det) > 0.1
    expected = np.full(shape[:-1], log_det)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), expected, rtol=1e-12)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(y), -expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_starts_as_the_identity(size):
    bijector = QRLinear(size)
    x = RNG.normal(size=[3, size]).astype("float32")
    np.testing.assert_allclose(bijector.forward(x), x, atol=1e-5)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), np.zeros(3))


def test_every_number_is_trained():
    bijector = made_linear()
    x = tf.constant(RNG.normal(size=[5, 4]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bijector.inverse(x) ** 2) + bijector.forward_log_det_jacobian(x, 1)[0]
    assert len(bijector.trainable_variables) == 2
    for gradient in tape.gradient(loss, bijector.trainable_variables):
        assert np.all(gradient.numpy() != 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 1e30, -1e30])
def test_saturated_parameters(value, dtype):
    """Vectors and the diagonal at an extreme: the log-scales stay below their bound."""
    vectors = tf.Variable(tf.fill([2, 3], tf.constant(value, dtype)))
    diagonal = tfp.math.fill_triangular_inverse(value * tf.eye(3, dtype=dtype), upper=True)
    triangle = tf.Variable(diagonal)
    bijector = QRLinear(3, 2, vectors=vectors, triangle=triangle)
    x = tf.constant(RNG.normal(size=[5, 3]), dtype)
    with tf.GradientTape() as tape:
        y, log_det = bijector._forward_and_log_det(x)
        z, _ = bijector._inverse_and_log_det(x)
        loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(tf.sin(z)) + log_det[0]
    np.testing.assert_allclose(log_det, np.full(5, 30.0 * np.sign(value)), rtol=1e-6)
    assert np.isfinite(y).all() and np.isfinite(z).all()
    for gradient in tape.gradient(loss, [vectors, triangle]):
        assert np.isfinite(gradient).all()


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["event_size", "num_reflections"])
@pytest.mark.parametrize("value,error", [(0, ValueError), (-1, ValueError), (2.0, TypeError)])
def test_sizes(name, value, error):
    with pytest.raises(error, match=f"`{name}` must be an integer of at least 1. Received: {name}"):
        QRLinear(**{"event_size": 2, name: value})


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_max_log_scale(value):
    with pytest.raises(ValueError, match="`max_log_scale` must be a positive number. Received: "):
        QRLinear(2, max_log_scale=value)


@pytest.mark.parametrize("name,shape", [("vectors", [2, 3]), ("triangle", [2, 2])])
def test_shapes_that_do_not_fit(name, shape):
    with pytest.raises(ValueError, match=f"`{name}` must have shape .*Received: {name}.shape="):
        QRLinear(2, **{name: tf.zeros(shape)})


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size(method):
    with pytest.raises(ValueError, match=r"`qr_linear` acts on events of 4 .*Received: .*\(5, 3\)"):
        getattr(QRLinear(4), method)(tf.zeros([5, 3]))
