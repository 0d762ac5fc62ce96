"""Contexts in their own units: adapted, bound, trained, saved."""

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors
RNG = np.random.default_rng(0)
C = RNG.normal([100.0, -3.0, 0.0], [20.0, 0.01, 0.0], [64, 3]).astype("float32")
X = RNG.normal(size=[64, 2]).astype("float32")
Z = np.stack([(C[:, 0] - C[:, 0].mean()) / C[:, 0].std(), *np.zeros([2, 64])], axis=1)
Z[:, 1] = (C[:, 1].astype("float64") - C[:, 1].mean(dtype="float64")) / C[:, 1].std(dtype="float64")


def plain(recipe=tfpf.flows.maf, **options):
    flow = recipe(2, context_size=3, num_layers=2, hidden_units=(4,), seed=0, **options)
    perturb(flow.trainable_variables)
    return flow


def standardized(flow):
    return tfpf.distributions.Flow(flow.distribution, B.StandardizeContext(flow.bijector))


@pytest.mark.parametrize("recipe", ["maf", "planar", "real_nvp"])
def test_parts_see_contexts_of_zero_mean_and_unit_variance(recipe):
    inner = plain(getattr(tfpf.flows, recipe))
    flow = standardized(inner)
    model = tfpf.FlowModel(flow)
    model.adapt(C, X)
    wanted = tfpf.condition(inner, Z.astype("float32")).log_prob(X)
    np.testing.assert_allclose(model.predict((C, X), verbose=0), wanted, rtol=1e-3, atol=1e-3)
    given = tfpf.condition(flow, C[:5])
    assert given.batch_shape == [5]
    np.testing.assert_allclose(given.log_prob(X[:5]), wanted[:5], rtol=1e-3, atol=1e-3)
    samples, log_prob = given.experimental_sample_and_log_prob(3, seed=1)
    assert samples.shape == (3, 5, 2)
    np.testing.assert_allclose(given.log_prob(samples), log_prob, rtol=1e-3, atol=1e-3)


def test_data_and_contexts_adapt_at_once():
    flow = tfpf.distributions.Flow(standardized(plain()), B.Standardize(2))
    model = tfpf.FlowModel(flow)
    model.adapt(C, 5.0 + 2.0 * X)
    np.testing.assert_allclose(flow.bijector.mean, 5.0 + 2.0 * X.mean(0), rtol=1e-5)
    part = flow.distribution.bijector
    np.testing.assert_allclose(part.mean, C.mean(0), rtol=1e-5)
    np.testing.assert_allclose(part.scale, [*C[:, :2].std(0), 1.0], rtol=1e-3)
    with pytest.raises(ValueError, match=r"`adapt\(context, x\)`.*Received: x alone"):
        model.adapt(X)
    with pytest.raises(ValueError, match="must vary"):
        model.adapt(1.0 + C, np.ones_like(X))
    np.testing.assert_allclose(part.mean, C.mean(0), rtol=1e-5)


def test_trained_and_saved(tmp_path):
    model = tfpf.FlowModel(standardized(plain()))
    model.adapt(C, X)
    kept = model.distribution.bijector.mean.numpy()
    model.compile("adam", run_eagerly=True, jit_compile=False)
    before = model.evaluate(C, X, verbose=0)
    model.fit(C, X, epochs=3, batch_size=64, verbose=0)
    assert model.evaluate(C, X, verbose=0) < before
    np.testing.assert_array_equal(model.distribution.bijector.mean, kept)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    given = [tfpf.condition(each.distribution, C).log_prob(X) for each in (loaded, model)]
    np.testing.assert_array_equal(*given)


def test_a_support_within_is_known():
    flow = plain()
    chain = tfb.Chain([tfb.Sigmoid(), flow.bijector])
    flow = tfpf.distributions.Flow(flow.distribution, B.StandardizeContext(chain))
    assert np.all(tfpf.condition(flow, C[0]).log_prob([[1.5, 0.5], [0.0, 0.5]]) == -np.inf)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (lambda: 3, TypeError),
        (tfb.Exp, ValueError),
        (lambda: tfpf.condition(plain().bijector, C[0]), ValueError),
    ],
)
def test_refused(value, error):
    with pytest.raises(error, match="`bijector` must.*Received: "):
        B.StandardizeContext(value())


@pytest.mark.parametrize("context", [C[:, :2], C[0], C[:0], np.full_like(C, np.nan)])
def test_contexts_that_are_refused(context):
    with pytest.raises(ValueError, match="`context` must.*Received: "):
        B.StandardizeContext(plain().bijector).adapt(context)
