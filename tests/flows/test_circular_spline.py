"""The recipe of angles: a density on the torus, without a seam."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from angle_cases import CASES, angles
from cases import perturb

import tfp_flows as tfpf

tfd = tfp.distributions
make = tfpf.flows.circular_spline
SMALL = {"num_layers": 2, "num_bins": 4, "hidden_units": (8,), "seed": 1, "dtype": "float64"}


@functools.cache
def moved(size, **options):
    """A flow whose density is far from uniform."""
    flow = make(size, **SMALL, **options)
    perturb(flow.variables, scale=0.3)  # the last bias counts twenty times
    return flow


def grid(size, num_points):
    """Points of the torus and the area of each, `[num_points^size, size]`."""
    points = -np.pi + 2 * np.pi * (np.arange(num_points) + 0.5) / num_points
    mesh = np.meshgrid(*[points] * size, indexing="ij")
    return np.stack([x.ravel() for x in mesh], axis=-1), (2 * np.pi / num_points) ** size


@pytest.mark.parametrize("size", [1, 2, 5])
def test_starts_uniform(size):
    x = angles(np.random.default_rng(0), [20, size])
    np.testing.assert_allclose(make(size, **SMALL).log_prob(x), -size * np.log(2 * np.pi))


@pytest.mark.parametrize("size", [1, 2])
def test_density_is_one_in_all_and_that_of_samples(size):
    flow = moved(size)
    x, area = grid(size, 200)
    density = np.exp(flow.log_prob(x))
    assert density.max() > 3 * density.min()
    np.testing.assert_allclose(np.sum(density) * area, 1.0, atol=1e-3)
    samples, log_prob = flow.experimental_sample_and_log_prob(5000, seed=1)
    assert np.all((samples >= -np.pi) & (samples < np.pi))
    np.testing.assert_allclose(flow.log_prob(samples.numpy()), log_prob, atol=1e-8)

    def waves(x):
        return np.stack([np.cos(x), np.sin(x), np.cos(np.sum(x, -1, keepdims=True) + 0 * x)])

    expected = np.sum(waves(x) * density[:, np.newaxis] * area, axis=1)
    drawn = waves(samples.numpy())
    error = drawn.std(axis=1) / np.sqrt(len(samples))
    assert np.all(np.abs(drawn.mean(axis=1) - expected) < 5 * error)


def test_density_has_the_period_of_a_turn_and_no_seam():
    flow, x = moved(2), angles(np.random.default_rng(1), [20, 2])
    turns = 2 * np.pi * np.random.default_rng(2).integers(-2, 3, size=[20, 2])
    np.testing.assert_allclose(flow.log_prob(x + turns), flow.log_prob(x), atol=1e-10)
    for i in range(2):
        below, above = x.copy(), x.copy()
        below[:, i], above[:, i] = np.pi - 1e-9, -np.pi + 1e-9
        np.testing.assert_allclose(flow.log_prob(below), flow.log_prob(above), atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_angle_is_moved_and_log_det_is_that_of_the_jacobian(case):
    bijector = case.make("float64")
    perturb(bijector.variables, scale=1.5)
    x = tf.constant(case.domain(np.random.default_rng(3), [4, 3]))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = bijector.forward(x)
    # Three gradients: to vectorize them takes longer.
    jacobian = tape.batch_jacobian(y, x, experimental_use_pfor=False).numpy()
    _, log_det = np.linalg.slogdet(jacobian)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 1), log_det, atol=1e-8)
    slopes = np.diagonal(jacobian, axis1=1, axis2=2)
    assert np.all(np.abs(slopes - 1.0) > 1e-3) and np.count_nonzero(jacobian[0]) > 6
    difference = bijector.inverse(tf.identity(y)) - x
    np.testing.assert_allclose(np.cos(difference), 1.0, atol=1e-15)


@pytest.mark.parametrize("size", [1, 3])
def test_context(size):
    flow = moved(size, context_size=2)
    contexts = np.random.default_rng(4).normal(size=[4, 2])
    bound = tfpf.condition(flow, contexts)
    x = angles(np.random.default_rng(5), [4, size])
    assert bound.batch_shape == [4] and bound.sample(3, seed=1).shape == [3, 4, size]
    one = [tfpf.condition(flow, c).log_prob(row) for c, row in zip(contexts, x, strict=True)]
    np.testing.assert_allclose(bound.log_prob(x), one, atol=1e-10)
    assert np.ptp(bound.log_prob(x[:1])) > 1e-2


def test_xla_equals_eager():
    flow = make(2, num_layers=1, num_bins=4, hidden_units=(8,), seed=1)
    perturb(flow.variables, scale=0.3)  # the last bias counts twenty times
    x = angles(np.random.default_rng(6), [50, 2]).astype("float32")
    compiled = tf.function(flow.log_prob, jit_compile=True, autograph=False)
    np.testing.assert_allclose(compiled(x), flow.log_prob(x), atol=1e-4)


def test_a_single_angle_learns_as_fast_as_others():
    rng = np.random.default_rng(0)
    peaks = rng.choice([-1.5, 1.5], size=[1024, 1])
    x = (peaks + 0.3 * rng.normal(size=peaks.shape)).astype("float32")
    flow = tfpf.flows.circular_spline(1, num_layers=2, seed=0)
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(x, batch_size=128, epochs=20, verbose=0)
    entropy = np.log(2.0) + np.log(0.3) + 0.5 * np.log(2.0 * np.pi * np.e)  # 0.91
    assert -np.mean(flow.log_prob(x)) < entropy + 0.1  # 1.84 at the start


def test_another_base():
    base = tfd.Independent(tfd.VonMises(np.zeros(2), np.float64(3.0)), 1)
    x = angles(np.random.default_rng(7), [20, 2])
    np.testing.assert_allclose(make(2, base=base, **SMALL).log_prob(x), base.log_prob(x))


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"event_shape": 0}, ValueError, "event_shape"),
        ({"event_shape": (2, 2)}, ValueError, "event_shape"),
        ({"num_layers": 0}, ValueError, "num_layers"),
        ({"num_bins": 0}, ValueError, "num_bins"),
        ({"hidden_units": (4, 0)}, ValueError, "hidden_units"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"base": "uniform"}, TypeError, "base"),
        ({"base": tfd.Uniform(-np.pi, np.pi)}, ValueError, "base"),
        ({"dtype": "bfloat16"}, ValueError, "dtype"),
    ],
)
def test_bad_input_is_named(change, error, named):
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        make(**{"event_shape": 2, **SMALL, **change})


@pytest.mark.parametrize("size", [1, 3])
def test_points_of_another_size_are_refused(size):
    for shape in ((5, 2), (5, 4), ()):
        with pytest.raises(ValueError, match="Received: "):
            moved(size).log_prob(np.zeros(shape))
