"""The mixture base: its density, its start, training under a recipe, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfd = tfp.distributions

mixture_of_gaussians = tfpf.distributions.mixture_of_gaussians
SMALL = {"num_layers": 1, "hidden_units": (8,), "seed": 1}


def variables_of(base):
    return {variable.name.split(":")[0]: variable for variable in base.trainable_variables}


def test_formula():
    base = mixture_of_gaussians(2, 3, seed=1, dtype="float64")
    perturb(base.variables)
    parts = variables_of(base)
    assert set(parts) == {"logits", "centres", "log_scale"}
    weights = np.exp(parts["logits"]) / np.exp(parts["logits"]).sum()
    u = np.random.default_rng(0).normal(size=[5, 2])
    expected = 0.0
    for w, m, s in zip(weights, parts["centres"].numpy(), parts["log_scale"].numpy(), strict=True):
        expected += w * np.prod(tfd.Normal(m, np.exp(s)).prob(u), axis=-1)
    assert base.event_shape == [2] and base.batch_shape == []
    np.testing.assert_allclose(base.log_prob(u), np.log(expected), rtol=1e-10)
    compiled = tf.function(base.log_prob, jit_compile=True, autograph=False)(tf.constant(u))
    np.testing.assert_allclose(compiled, np.log(expected), rtol=1e-10)


@pytest.mark.parametrize("num_components", [1, 2, 10])
def test_starts_with_mean_zero_and_variance_one(num_components):
    base = mixture_of_gaussians(3, num_components, seed=2, dtype="float64")
    parts = variables_of(base)
    centres, scale = parts["centres"].numpy(), np.exp(parts["log_scale"])
    np.testing.assert_allclose(centres.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.mean(centres**2 + scale**2, axis=0), 1.0, rtol=1e-12)
    assert len(np.unique(centres[:, 0])) == num_components
    samples = base.sample(20_000, seed=tf.constant([1, 2])).numpy()
    # The variance of a squared coordinate is at most 2 (that of a normal): five standard errors.
    np.testing.assert_allclose(samples.var(0), 1.0, atol=5 * np.sqrt(2 / 20_000))


def test_seed_decides_the_centres():
    one, same, other = (
        variables_of(mixture_of_gaussians(2, 4, seed=seed))["centres"].numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other)


def test_a_recipe_on_it_trains_and_is_saved(tmp_path):
    """Two modes far apart: each component finds one."""
    rng = np.random.default_rng(0)
    x = rng.choice([-2.0, 2.0], size=[400, 1]) + 0.3 * rng.normal(size=[400, 2])
    base = mixture_of_gaussians(2, 2, seed=1)
    flow = tfpf.flows.maf(2, base=base, **SMALL)
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.Adam(0.1), jit_compile=False)
    model.fit(x, epochs=16, batch_size=80, shuffle=False, verbose=0)
    entropy = np.log(2) + 2 * (0.5 * np.log(2 * np.pi * np.e) + np.log(0.3))
    x = x.astype("float32")
    expected = flow.log_prob(x)
    assert -np.mean(expected) < entropy + 0.1
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.distribution.log_prob(x), expected)
    seed = tf.constant([3, 4])
    np.testing.assert_array_equal(loaded.distribution.sample(5, seed), flow.sample(5, seed))
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


def test_scored_anew_after_an_update():
    """In eager mode nothing that TFP remembers of a sample may stand in for its density."""
    base = mixture_of_gaussians(2, 3, seed=1)
    u = base.sample(4, seed=tf.constant([1, 2]))
    base.log_prob(u)
    variables_of(base)["centres"].assign_add(tf.ones([3, 2]))
    np.testing.assert_array_equal(base.log_prob(u), base.log_prob(tf.identity(u)))


@pytest.mark.parametrize("name", ["event_size", "num_components"])
@pytest.mark.parametrize("value,error", [(0, ValueError), (-1, ValueError), (2.0, TypeError)])
def test_sizes(name, value, error):
    with pytest.raises(error, match=f"`{name}` must be an integer of at least 1. Received: {name}"):
        mixture_of_gaussians(**{"event_size": 2, name: value})
