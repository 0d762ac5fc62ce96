"""Maximum likelihood: what is trained, in which mode, and what is reported."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

SMALL = {"hidden_units": (8,), "num_layers": 1, "seed": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=[10, 2]).astype("float32")
CONTEXT = RNG.normal(size=[10, 3]).astype("float32")


def made_model(
    make_flow=tfpf.flows.real_nvp, jit_compile=False, optimizer="adam", eager=False, **options
):
    model = tfpf.FlowModel(make_flow(2, **{**SMALL, **options}))
    perturb(model.distribution.variables)
    model.compile(optimizer, jit_compile=jit_compile, run_eagerly=eager)
    return model


def linear(event_size, dtype="float32", **_):
    """A flow that costs little, for what is the same for all of them."""
    base = tfd.Sample(tfd.Normal(np.zeros([], dtype), 1.0), event_size)
    chain = [
        tfb.Shift(tf.Variable(np.zeros(event_size, dtype))),
        tfpf.bijectors.LULinear(event_size),
    ]
    return tfpf.distributions.Flow(base, tfb.Chain(chain))


@pytest.fixture(scope="module")
def model():
    """One that no test trains, for all that score with it in one graph."""
    return made_model(linear)


@pytest.fixture(scope="module")
def trained():
    """One that a few steps in a graph have trained, and its losses."""
    model = made_model()
    return model, fit_few(model)


def fit_few(model):
    return model.fit(X, batch_size=3, epochs=2, shuffle=False, verbose=0).history["loss"]


def mean_negative_log_prob(model, weight=None):
    return np.average(-model.distribution.log_prob(X).numpy(), weights=weight)


def test_training_finds_the_density_given_a_context():
    """A flow fitted to Gaussians around a context, which it can represent, reaches their entropy.

    Without the context the loss cannot fall so far.
    """
    rng = np.random.default_rng(3)
    matrix = np.array([[0.4, 0.0], [0.3, 0.2]])
    context = rng.normal(size=[2500, 1])
    x = context * [1.0, -1.0] + rng.normal(size=[2500, 2]) @ matrix.T
    truth = tfd.MultivariateNormalTriL(context * [1.0, -1.0], matrix)
    data, held_out = (context[:2000], x[:2000]), (context[2000:], x[2000:])
    flow = tfpf.flows.maf(2, hidden_units=(16,), num_layers=1, context_size=1, seed=0)
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 200)
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.Adam(schedule), jit_compile=False)
    before = model.evaluate(*held_out, verbose=0)
    history = model.fit(
        *data, epochs=20, batch_size=200, validation_data=held_out, verbose=0
    ).history
    assert set(history) == {"loss", "val_loss"}
    assert all(len(values) == 20 for values in history.values())
    entropy = -np.mean(truth.log_prob(x)[2000:])
    marginal = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * np.cov(x.T))[1]
    assert before > entropy + 1.0 and marginal > entropy + 1.0
    after = model.evaluate(*held_out, verbose=0)
    assert abs(after - entropy) < 0.05
    np.testing.assert_allclose(history["val_loss"][-1], after, rtol=1e-5)
    bound = tfpf.condition(model.distribution, [[2.0], [-2.0]])
    mean = bound.sample(500, seed=2).numpy().mean(0)
    np.testing.assert_allclose(mean, [[2.0, -2.0], [-2.0, 2.0]], atol=0.2)


@pytest.mark.parametrize("make_flow", [tfpf.flows.iaf, tfpf.flows.neural_spline])
def test_fit_changes_every_trainable_weight(make_flow):
    model = made_model(make_flow, optimizer=keras.optimizers.Adam(0.01), eager=True)
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(X, epochs=2, verbose=0)
    assert before
    for weight, value in zip(model.trainable_weights, before, strict=True):
        assert np.any(weight.numpy() != value), weight.path


def test_evaluate_is_the_mean_over_every_row(model):
    expected = mean_negative_log_prob(model)
    for batch_size in (None, 3, 10, 100):
        value = model.evaluate(X, batch_size=batch_size, verbose=0)
        assert isinstance(value, float)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert model.evaluate(X, verbose=0, return_dict=True) == {"loss": pytest.approx(expected)}


def test_evaluate_weighs_rows(model):
    weight = RNG.uniform(size=10)
    expected = mean_negative_log_prob(model, weight)
    assert abs(expected - mean_negative_log_prob(model)) > 1e-3
    for batch_size in (1, 3, 10):
        value = model.evaluate(X, sample_weight=weight, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_predict_is_the_log_density_of_each_row(model):
    expected = model.distribution.log_prob(X)
    assert np.ptp(expected) > 0.1
    for batch_size in (None, 3, 10):
        result = model.predict(X, batch_size=batch_size, verbose=0)
        assert result.shape == (10,)
        np.testing.assert_allclose(result, expected, rtol=1e-5)
    np.testing.assert_array_equal(model(X), expected)


def test_predict_and_evaluate_with_a_context():
    model = made_model(context_size=3, eager=True)
    expected = tfpf.condition(model.distribution, CONTEXT).log_prob(X).numpy()
    other = tfpf.condition(model.distribution, CONTEXT[::-1]).log_prob(X).numpy()
    assert np.abs(other - expected).max() > 0.01
    result = model.predict((CONTEXT, X), batch_size=4, verbose=0)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    np.testing.assert_allclose(model((CONTEXT, X)), expected, rtol=1e-6)
    value = model.evaluate(CONTEXT, X, batch_size=4, verbose=0)
    np.testing.assert_allclose(value, -expected.mean(), rtol=1e-6)


def test_flow_that_is_bound_already_is_fitted_without_a_context():
    flow = tfpf.condition(tfpf.flows.maf(2, context_size=3, **SMALL), CONTEXT[0])
    model = tfpf.FlowModel(flow)
    model.compile(jit_compile=False, run_eagerly=True)
    model.fit(X, verbose=0)
    np.testing.assert_array_equal(model(X), flow.log_prob(X))


def test_first_loss_is_that_of_the_start_and_weighs_rows():
    """With one batch the loss of the first epoch is computed before any update."""
    model = made_model(linear)
    for weight in (None, np.arange(10.0)):
        expected = mean_negative_log_prob(model, weight)
        history = model.fit(X, sample_weight=weight, verbose=0).history
        np.testing.assert_allclose(history["loss"], [expected], rtol=1e-6)


def test_rows_of_weight_zero_do_not_train():
    weight = np.array([1.0] * 6 + [0.0] * 4)
    kept, weighed = (made_model(linear, optimizer="sgd", eager=True) for _ in range(2))
    far = np.concatenate([X[:6], 1e3 + X[6:]])
    kept.fit(X[:6], epochs=3, verbose=0)
    weighed.fit(far, sample_weight=weight, epochs=3, verbose=0)
    for a, b in zip(kept.weights, weighed.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_integer_weights_count_rows():
    repeated, weighed = (made_model(linear, optimizer="sgd", eager=True) for _ in range(2))
    repeated.fit(np.repeat(X[:4], [1, 2, 3, 4], axis=0), epochs=2, verbose=0)
    weighed.fit(X[:4], sample_weight=[1, 2, 3, 4], epochs=2, verbose=0)
    for a, b in zip(repeated.weights, weighed.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_jit_on_and_off_are_equal(trained):
    without, losses = trained
    compiled = made_model(jit_compile=True)
    np.testing.assert_allclose(fit_few(compiled), losses, rtol=1e-4)
    for a, b in zip(compiled.weights, without.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_compile_is_jit_by_default_and_passes_on_what_keras_takes():
    model = tfpf.FlowModel(tfpf.flows.real_nvp(2, **SMALL))
    model.compile()
    assert model.jit_compile is True and isinstance(model.optimizer, keras.optimizers.Adam)
    model.compile("sgd", jit_compile=False, run_eagerly=True, steps_per_execution=2)
    assert model.run_eagerly and model.steps_per_execution == 2


def test_steps_per_execution_trains_and_evaluates_alike(trained):
    one, two = trained[0], made_model()
    two.compile("adam", jit_compile=False, steps_per_execution=2)
    fit_few(two)
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        two.evaluate(X, batch_size=3, verbose=0), one.evaluate(X, verbose=0), rtol=1e-5
    )


def test_on_batch_methods():
    model = made_model(linear)
    expected = mean_negative_log_prob(model)
    np.testing.assert_allclose(model.test_on_batch(X), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X), model.distribution.log_prob(X), 1e-6)
    np.testing.assert_allclose(model.train_on_batch(X), expected, rtol=1e-6)
    assert mean_negative_log_prob(model) != expected


def test_shuffle_changes_the_order_of_rows_in_every_epoch():
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(logs["loss"]))

    model = made_model(linear, optimizer=keras.optimizers.SGD(0.0))
    for shuffle in (False, True):
        model.fit(X, batch_size=1, epochs=2, shuffle=shuffle, verbose=0, callbacks=[Seen()])
    in_order, shuffled = np.reshape(seen, [2, 2, 10])
    np.testing.assert_allclose(in_order[0], in_order[1], rtol=1e-6)
    assert np.abs(shuffled[0] - shuffled[1]).max() > 1e-3
    assert np.abs(shuffled[0] - in_order[0]).max() > 1e-3
    # Each epoch goes through every row once.
    np.testing.assert_allclose(shuffled[:, -1], in_order[:, -1], rtol=1e-5)


def test_early_stopping_and_checkpoints_are_those_of_keras(tmp_path):
    model = made_model(linear, optimizer=keras.optimizers.SGD(0.0), eager=True)
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=1),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
    ]
    history = model.fit(X, validation_split=0.3, epochs=9, callbacks=callbacks, verbose=0).history
    assert len(history["loss"]) < 9
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    np.testing.assert_array_equal(loaded(X), model(X))


def test_a_single_callback_and_a_callback_list_are_taken():
    model = made_model(linear, eager=True)
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    model.fit(X, verbose=0, callbacks=callback)
    many = keras.callbacks.CallbackList([callback], model=model, add_history=True)
    model.fit(X, verbose=0, callbacks=many)
    assert seen == [0, 0]


def test_adapt_goes_from_the_data_inwards():
    """The second part sees what the first has made of the data."""
    outer, inner = tfpf.bijectors.Standardize(2), tfpf.bijectors.Standardize(2)
    chain = tfb.Chain([outer, tfb.Scale(tf.constant(2.0)), inner])
    flow = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [2]), chain)
    model = tfpf.FlowModel(flow)
    data = 100.0 + 7.0 * X
    model.adapt(data)
    np.testing.assert_allclose(outer.mean, data.mean(0), rtol=1e-6)
    np.testing.assert_allclose(outer.scale, data.std(0), rtol=1e-6)
    np.testing.assert_allclose(inner.mean, [0.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(inner.scale, [0.5, 0.5], rtol=1e-5)
    # Densities stay in data units.
    standard = tfd.MultivariateNormalDiag(data.mean(0), data.std(0))
    np.testing.assert_allclose(model(data), standard.log_prob(data), rtol=1e-4)


def test_adapt_reaches_parts_under_invert_and_nested_distributions():
    part = tfpf.bijectors.Standardize(2)
    inner = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [2]), tfb.Chain([part]))
    flow = tfd.TransformedDistribution(inner, tfb.Shift(tf.constant([10.0, 20.0])))
    tfpf.FlowModel(flow).adapt(X)
    np.testing.assert_allclose(part.mean, X.mean(0) - [10.0, 20.0], rtol=1e-5)


def test_adapting_keeps_the_rest_untrained_by_fit():
    part = tfpf.bijectors.Standardize(2)
    rest = tfpf.flows.real_nvp(2, **SMALL)
    model = tfpf.FlowModel(
        tfd.TransformedDistribution(rest.distribution, tfb.Chain([part, rest.bijector]))
    )
    model.compile(jit_compile=False, run_eagerly=True)
    model.adapt(5.0 + X)
    model.fit(5.0 + X, epochs=2, verbose=0)
    np.testing.assert_allclose(part.mean, 5.0 + X.mean(0), rtol=1e-6)


def test_discrete_distribution_is_trained_on_integers_with_fractional_weights():
    counts = np.tile([0, 1, 2, 2, 2], 50)
    weight = np.tile([0.5, 0.25, 0.25, 0.5, 0.5], 50)
    model = tfpf.FlowModel(tfd.Categorical(logits=tf.Variable([0.0, 0.0, 0.0])))
    model.compile(keras.optimizers.SGD(1.0), jit_compile=False)
    np.testing.assert_allclose(
        model.evaluate(counts, sample_weight=weight, verbose=0), np.log(3.0), rtol=1e-6
    )
    model.fit(counts, sample_weight=weight, batch_size=50, epochs=20, verbose=0)
    np.testing.assert_allclose(
        model.distribution.probs_parameter(), [0.25, 0.125, 0.625], atol=0.01
    )


def test_single_precision_of_the_flow_wins_over_the_data():
    for dtype in ("float32", "float64"):
        model = made_model(dtype=dtype, eager=True)
        model.fit(X.astype("float16"), verbose=0)
        model.fit(X.astype("float64"), verbose=0)
        assert model.predict(X.astype("float64"), verbose=0).dtype == dtype
        assert {weight.dtype for weight in model.weights} == {dtype}


def test_a_batch_of_flows_is_refused():
    flow = tfpf.flows.maf(2, context_size=1, num_layers=1, hidden_units=(4,), seed=0)
    bound = tfpf.condition(flow, np.zeros([5, 1], "float32"))
    with pytest.raises(ValueError, match="`distribution` must be one .*Received: .*batch_shape="):
        tfpf.FlowModel(bound)
    tfpf.FlowModel(tfpf.condition(flow, np.zeros([1, 1], "float32")))
