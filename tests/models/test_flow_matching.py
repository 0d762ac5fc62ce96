"""Flow matching: the loss, what it reaches, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors
RNG = np.random.default_rng(0)
X = RNG.normal(size=[12, 2]).astype("float32")
C = RNG.normal(size=[12, 3]).astype("float32")


def ffjord(**options):
    return tfpf.flows.ffjord(2, hidden_units=(8,), seed=1, **options)


def matching_model(flow):
    """A model whose few steps need no graph."""
    model = tfpf.FlowModel(flow, objective="flow_matching")
    model.compile("adam", jit_compile=False, run_eagerly=True)
    return model


def test_finds_a_density_in_data_units_given_a_context():
    """x = 5 + 2 c + c-dependent noise: the density of the equation reaches the entropy."""
    rng = np.random.default_rng(3)

    def draw(count):
        c = rng.uniform(-1.0, 1.0, size=[count, 1]).astype("float32")
        scale = 0.3 + 0.2 * c
        noise = rng.normal(size=[count, 2])
        return c, (5.0 + 2.0 * c + scale * noise).astype("float32"), scale

    c, x, _ = draw(8192)
    flow = tfpf.flows.ffjord(2, context_size=1, hidden_units=(32, 32), seed=1)
    flow = tfpf.distributions.Flow(flow, B.Standardize(2))
    model = tfpf.FlowModel(flow, objective="flow_matching")
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    held_c, held_x, scale = draw(500)
    history = model.fit(
        c, x, epochs=15, batch_size=512, validation_data=(held_c, held_x), verbose=0
    ).history
    assert set(history) == {"loss", "val_loss"} and history["loss"][-1] < history["loss"][0]
    noise = (held_x - 5.0 - 2.0 * held_c) / scale
    truth = np.sum(-0.5 * noise**2 - 0.5 * np.log(2 * np.pi) - np.log(scale), axis=-1)
    gap = np.mean(truth) - np.mean(model.predict((held_c, held_x), verbose=0))
    assert -0.02 < gap < 0.15


def test_loss_is_the_squared_error_along_straight_paths():
    """Of a field that is still: the mean of |x - u|^2 over u of the base, |x|^2 + D."""
    flow = tfpf.distributions.Flow(ffjord(), tfb.Shift([1.0, -3.0]))
    model = matching_model(flow)
    x = np.tile(X[:1], [20_000, 1])
    expected = np.sum((X[0] - [1.0, -3.0]) ** 2) + 2.0
    found = model.evaluate(x, batch_size=20_000, verbose=0)
    error = 4 * np.sqrt((4 * (expected - 2.0) + 4.0) / 20_000)
    np.testing.assert_allclose(found, expected, atol=error)


@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, -2.0)], ids=str)
def test_a_field_that_carries_the_base_to_a_point_is_exact(times):
    """To x = m: f = (m - z) / (t_1 - t), the exact field, has no error at all."""
    m = tf.Variable([1.0, 2.0])

    def field(t, z):
        return (m - z) / (times[1] - t)

    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    continuous = B.Continuous(field, event_size=2, t0=times[0], t1=times[1])
    # The field closes over a variable, which `model` cannot see: one more, to have any.
    continuous.seen = m
    model = matching_model(tfpf.distributions.Flow(base, continuous))
    x = np.tile([[1.0, 2.0]], [64, 1]).astype("float32")
    assert model.evaluate(x, verbose=0) < 1e-6
    assert model.evaluate(x + 1.0, verbose=0) > 1.0


def test_every_step_draws_anew_and_evaluation_always_the_same():
    model = matching_model(ffjord())
    first, second = (model.matching(X, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).min() > 0
    assert model.evaluate(X, verbose=0) == model.evaluate(X, verbose=0)


def test_weights_count_rows():
    model = matching_model(ffjord())
    weight = np.arange(12.0)
    expected = np.average(model.matching(X), weights=weight)
    found = model.evaluate(X, sample_weight=weight, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_parts_on_the_side_of_the_base_are_applied_to_it():
    """With the base moved by a shift, what stands still has the error of what is left."""
    base = tfd.Sample(tfd.Normal(0.0, 1e-3), 2)
    chain = tfb.Chain([ffjord().bijector, tfb.Shift([4.0, 5.0])])
    model = matching_model(tfpf.distributions.Flow(base, chain))
    x = np.tile([[4.0, 5.0]], [8, 1]).astype("float32")
    assert model.evaluate(x, verbose=0) < 1e-4


def test_saved_model_goes_on_with_its_objective(tmp_path):
    model = matching_model(ffjord(context_size=3))
    model.fit(C, X, verbose=0)
    model.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    assert loaded.objective == "flow_matching"
    loaded.run_eagerly = True  # which no file keeps
    losses = [
        each.fit(C, X, shuffle=False, epochs=2, verbose=0).history["loss"]
        for each in (model, loaded)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_a_flow_that_is_bound_already():
    flow = tfpf.condition(ffjord(context_size=3), C[0])
    model = matching_model(flow)
    model.fit(X, verbose=0)
    assert np.isfinite(model.evaluate(X, verbose=0))


def no_continuous():
    return tfpf.flows.real_nvp(2, num_layers=2, hidden_units=(4,))


def two():
    return ffjord(num_layers=2)


def inverted():
    flow = ffjord()
    return tfpf.distributions.Flow(flow.distribution, tfb.Invert(flow.bijector.bijectors[0]))


@pytest.mark.parametrize("make", [no_continuous, two, inverted])
def test_not_one_field(make):
    with pytest.raises(ValueError, match="one `Continuous`.*Received"):
        tfpf.FlowModel(make(), objective="flow_matching")


def test_other_trainable_parts():
    flow = tfpf.distributions.Flow(ffjord(), B.LULinear(2))
    with pytest.raises(ValueError, match="no trainable variables but.*Received"):
        tfpf.FlowModel(flow, objective="flow_matching")


def test_unknown_objective():
    with pytest.raises(ValueError, match="`objective`.*Received: objective='matching'"):
        tfpf.FlowModel(ffjord(), objective="matching")


def test_a_model_may_bear_the_name_of_what_it_matches():
    """Its densities and its errors are two programs all the same."""
    flow = tfpf.flows.ffjord(2, hidden_units=(4,), solver="euler", num_steps=1, seed=0)
    model = tfpf.FlowModel(flow, objective="flow_matching", name="flow_matching")
    assert model.name == model.matching.name
    model.compile(jit_compile=True)
    x = np.ones([4, 2], "float32")
    model.evaluate(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), flow.log_prob(x), rtol=1e-5)
