"""B-NAF: structure, the start, every target, gradients through the inverse, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.bijectors import BlockAutoregressive


def made(event_size=3, hidden_units=(4, 3), dtype="float64", scale=0.5, **kwargs):
    bijector = BlockAutoregressive(event_size, hidden_units, seed=1, dtype=dtype, **kwargs)
    perturb(bijector.variables, scale=scale)
    return bijector


def points(event_size=3, num_points=20):
    return tf.constant(np.random.default_rng(2).normal(size=[num_points, event_size]))


def test_jacobian_is_triangular_with_a_positive_diagonal():
    bijector = made()
    y = points()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        x = bijector.inverse(y)
    jacobian = tape.batch_jacobian(x, y, experimental_use_pfor=False).numpy()
    assert np.array_equal(jacobian, np.tril(jacobian))
    assert np.diagonal(jacobian, axis1=1, axis2=2).min() > 0.0
    assert np.abs(jacobian[:, [1, 2, 2], [0, 0, 1]]).min() > 0.0


@pytest.mark.parametrize("hidden_units", [(1,), (8, 8), (30, 30)])
def test_start_is_near_the_identity(hidden_units):
    bijector = BlockAutoregressive(3, hidden_units, seed=0, dtype="float64")
    y = points()
    log_det = bijector.inverse_log_det_jacobian(y)
    # f is about half of y, and bends: an f that is small or straight is lost to training.
    assert np.abs(bijector.inverse(tf.identity(y)) - y).max() <= 0.25
    assert np.abs(log_det).max() <= 0.15 * 3


def test_leaves_the_best_normal_soon():
    """Two half circles, on which nearly linear units stayed a normal for a thousand steps."""
    rng = np.random.default_rng(0)
    angles = np.pi * rng.uniform(size=6400)
    side = np.where(rng.uniform(size=6400) < 0.5, 1.0, -1.0)
    x = np.stack([side * np.cos(angles) + 0.5 * side, side * np.sin(angles) - 0.25 * side], -1)
    x = x + rng.normal(scale=0.1, size=x.shape)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")
    normal = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * np.cov(x.T))[1]
    model = tfpf.FlowModel(tfpf.flows.bnaf(2, num_layers=2, seed=1))
    model.compile(keras.optimizers.Adam(6e-3), jit_compile=False)
    model.fit(x, batch_size=64, epochs=2, verbose=0)
    assert model.evaluate(x, batch_size=6400, verbose=0) < normal - 0.1


def test_fits_a_symmetric_density():
    # The best affine map of eight normals on a circle is 0.67 nats away, and a saddle.
    angles = np.arange(8) * np.pi / 4
    rng = np.random.default_rng(3)
    x = 2.0 * np.stack([np.cos(angles), np.sin(angles)], -1)[rng.integers(8, size=12_000)]
    x = (x + rng.normal(scale=0.4, size=x.shape)).astype("float32")
    flow = tfpf.flows.bnaf(2, num_layers=1, hidden_units=(20, 20), seed=1)
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.Adam(2e-2), jit_compile=False)
    model.fit(x, batch_size=400, epochs=8, verbose=0)
    # The entropy is 2.94.
    assert model.evaluate(x, batch_size=2000, verbose=0) <= 2.94 + 0.2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_target_has_an_inverse(dtype):
    bijector = made(dtype=dtype)
    sizes = np.array([-1e30, -1e10, -100.0, 100.0, 1e10, 1e30])
    x = tf.constant(np.stack([sizes, sizes[::-1], np.ones(6)], axis=-1), dtype)
    y = bijector.forward(x)
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, rtol=1e-5, atol=1e-4)


def test_gradients_through_the_inverse_are_those_of_the_implicit_function():
    bijector = made()
    x = points()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = bijector.forward(x)
    forward = tape.batch_jacobian(y, x, experimental_use_pfor=False)
    y = tf.identity(y)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        x = bijector.inverse(y)
    inverse = tape.batch_jacobian(x, y, experimental_use_pfor=False)
    np.testing.assert_allclose(forward @ inverse, np.broadcast_to(np.eye(3), [20, 3, 3]), atol=1e-9)


@pytest.mark.parametrize("inverse", [False, True])
def test_saturated_variables_are_finite(inverse):
    bijector = BlockAutoregressive(3, (4, 3), seed=1)
    for weight in bijector.parameters["weights"]:
        weight.assign(50.0 * tf.sign(weight))
    x = tf.cast(3.0 * points(), tf.float32)
    with tf.GradientTape() as tape:
        method = bijector._inverse_and_log_det if inverse else bijector._forward_and_log_det
        value, log_det = method(x)
        loss = tf.reduce_sum(value) + tf.reduce_sum(log_det)
    gradients = tape.gradient(loss, bijector.trainable_variables)
    assert all(np.isfinite(out).all() for out in (value, log_det, *gradients))


def test_one_dimension_and_vectors_without_batch():
    bijector = made(1, (3,))
    y = tf.constant([0.3], tf.float64)
    x = bijector.inverse(y)
    assert x.shape == [1] and bijector.inverse_log_det_jacobian(tf.identity(y)).shape == []
    np.testing.assert_allclose(bijector.forward(tf.identity(x)), y, rtol=1e-12)


def test_what_has_no_root_is_nan_or_an_error():
    x = tf.constant([[0.1, 0.2, np.nan], [0.1, 0.3, 0.2]], tf.float64)
    y = made().forward(x).numpy()
    assert np.isnan(y[0, 2]) and np.isfinite(y[0, :2]).all() and np.isfinite(y[1]).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="block_autoregressive"):
        made(1, validate_args=True).forward(x[:1, 2:])


def test_context_is_used_and_needed():
    bijector = made(context_size=2)
    y = points()
    with pytest.raises(ValueError, match="needs a context"):
        bijector.inverse(y)
    one, two = (tfpf.condition(bijector, [c, 1.0]).inverse(y) for c in (0.0, 1.0))
    assert np.abs(one - two).min(axis=0).max() > 1e-3


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"event_size": 0}, ValueError, "event_size"),
        ({"hidden_units": ()}, ValueError, "hidden_units"),
        ({"hidden_units": (4, 0)}, ValueError, "hidden_units"),
        ({"hidden_units": (4, 2.0)}, TypeError, "hidden_units"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"context": [1.0]}, ValueError, "takes no `context`"),
        ({"context": [1.0], "context_size": 2}, ValueError, "context"),
        ({"log_linear": [0.0]}, ValueError, "log_linear"),
        ({"biases": [[0.0]]}, ValueError, "biases"),
    ],
)
def test_constructor_refuses_bad_arguments(kwargs, error, match):
    with pytest.raises(error, match=match):
        BlockAutoregressive(**({"event_size": 3, "hidden_units": (4,)} | kwargs))


def test_refuses_events_of_another_size():
    with pytest.raises(ValueError, match="3 dimensions"):
        made().inverse(tf.zeros([2, 4], tf.float64))
