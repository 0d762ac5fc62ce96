"""Numbers given angles: one density, without a seam, of which samples are."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.distributions import WithAngles

tfd = tfp.distributions
F = tfpf.flows
SMALL = {"num_layers": 1, "hidden_units": (8,), "seed": 1, "dtype": "float64"}


def parts(context_size=0, angles_context_size=0, num_numbers=1):
    numbers = F.maf(num_numbers, context_size=2 + context_size, **SMALL)
    angles = F.circular_spline(1, context_size=angles_context_size, num_bins=4, **SMALL)
    return numbers, angles


@functools.cache
def moved(context_size=0, angles_context_size=0):
    flow = WithAngles(*parts(context_size, angles_context_size), context_size=context_size)
    perturb(flow.trainable_variables, scale=1.5)
    return flow


def test_weights_of_both_parts_are_seen():
    numbers, angles = parts()
    seen = {id(v) for v in WithAngles(numbers, angles).trainable_variables}
    assert seen == {id(v) for v in (*numbers.trainable_variables, *angles.trainable_variables)}


def test_density_is_one_in_all():
    x, a = np.meshgrid(np.linspace(-25, 25, 1000), np.linspace(-np.pi, np.pi, 100, endpoint=False))
    density = np.exp(moved().log_prob(np.stack([x.ravel(), a.ravel()], axis=-1)))
    cell = 50 / 999 * 2 * np.pi / 100
    np.testing.assert_allclose(np.sum(density) * cell, 1.0, atol=1e-3)


def test_density_is_that_of_the_parts_and_has_no_seam():
    flow, rng = moved(), np.random.default_rng(0)
    x, a = rng.normal(size=[9, 1]), rng.uniform(-np.pi, np.pi, size=[9, 1])
    features = np.concatenate([np.cos(a), np.sin(a)], axis=-1)
    numbers = tfpf.condition(flow.numbers, features).log_prob(x)
    joined = np.concatenate([x, a], axis=-1)
    np.testing.assert_allclose(flow.log_prob(joined), flow.angles.log_prob(a) + numbers)
    assert np.ptp(flow.log_prob(np.concatenate([x[:1] + 0 * a, a], axis=-1)) - numbers) > 1e-2
    turned = np.concatenate([x, a + 2 * np.pi], axis=-1)
    np.testing.assert_allclose(flow.log_prob(turned), flow.log_prob(joined), atol=1e-10)


@pytest.mark.parametrize("sizes", [(0, 0), (2, 0), (2, 2)])
def test_samples_have_their_density(sizes):
    flow = moved(*sizes)
    if sizes[0]:
        with pytest.raises(ValueError, match="needs a context.*Received: context=None"):
            flow.sample(seed=1)
        flow = tfpf.condition(flow, np.random.default_rng(1).normal(size=[3, 2]))
    x, log_prob = flow.experimental_sample_and_log_prob([4, 2], seed=1)
    assert flow.batch_shape == ([3] if sizes[0] else [])
    assert x.shape == [4, 2, *flow.batch_shape, 2] and log_prob.shape == x.shape[:-1]
    np.testing.assert_allclose(flow.log_prob(x.numpy()), log_prob, atol=1e-8)
    np.testing.assert_array_equal(flow.sample([4, 2], seed=1), x)
    assert len(np.unique(x[..., 1])) == tf.size(log_prob)  # each context has angles of its own


def test_xla_equals_eager():
    """With angles that compile quickly."""
    angles = tfd.Sample(tfd.Uniform(np.float64(-np.pi), np.pi), 1)
    flow = WithAngles(parts()[0], tfpf.distributions.drawn_by_philox(angles))
    perturb(flow.trainable_variables, scale=1.5)

    def draw():
        x = flow.sample(20, seed=(1, 2))
        return x, flow.log_prob(x)

    for compiled, eager in zip(
        tf.function(draw, jit_compile=True, autograph=False)(), draw(), strict=True
    ):
        np.testing.assert_allclose(compiled, eager, atol=1e-8)


def test_a_context_reaches_both_parts():
    flow = moved(2, 2)
    contexts = np.random.default_rng(2).normal(size=[5, 2])
    x = np.random.default_rng(3).normal(size=[5, 2])
    a, c = x[:, 1:], contexts
    expected = tfpf.condition(flow.angles, c).log_prob(a)
    features = np.concatenate([np.cos(a), np.sin(a), c], axis=-1)
    expected += tfpf.condition(flow.numbers, features).log_prob(x[:, :1])
    np.testing.assert_allclose(tfpf.condition(flow, c).log_prob(x), expected)


def test_bad_input_is_named():
    numbers, angles = parts()
    other = F.circular_spline(1, num_layers=1, hidden_units=(4,))
    with pytest.raises(TypeError, match="`numbers`.*Received: "):
        WithAngles("normal", angles)
    with pytest.raises(ValueError, match="`angles` must have the dtype float64.*Received: "):
        WithAngles(numbers, other)
    with pytest.raises(ValueError, match="`numbers` must take a context of size 5.*Received: "):
        WithAngles(numbers, angles, context_size=3)
    with pytest.raises(ValueError, match="`angles` must take a context of size 0.*Received: "):
        WithAngles(numbers, parts(angles_context_size=2)[1])
    with pytest.raises(ValueError, match="`value` must have shape.*Received: "):
        moved().log_prob(np.zeros([4, 3]))
