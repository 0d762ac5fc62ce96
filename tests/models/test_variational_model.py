"""Reverse KL: what the fit finds, where its samples come from, what a file keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import mlp, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

SMALL = {"hidden_units": (8,), "num_layers": 1, "seed": 0}
LOG_NORMALISER = 1.25
BASE = tfd.Sample(tfd.Normal(0.0, 1.0), [2])


def banana(x):
    """x_1 ~ N(0, 1), x_2 given x_1 ~ N(x_1^2, 0.5^2), times exp(1.25)."""
    first = tfd.Normal(0.0, 1.0).log_prob(x[..., 0])
    second = tfd.Normal(tf.square(x[..., 0]), 0.5).log_prob(x[..., 1])
    return LOG_NORMALISER + first + second


@keras.saving.register_keras_serializable(package="test_variational_model")
def registered_target(x):
    target = tfd.Independent(tfd.Normal([1.0, -1.0], [0.5, 2.0]), 1)
    return LOG_NORMALISER + target.log_prob(x)


def linear():
    """A flow that costs little, for what is the same for all of them."""
    chain = tfb.Chain([tfb.Shift(tf.Variable([0.0, 0.0])), tfpf.bijectors.LULinear(2)])
    return tfpf.distributions.Flow(BASE, chain)


def made_model(
    target=registered_target, flow=None, optimizer="adam", jit_compile=False, eager=False, **options
):
    flow = linear() if flow is None else flow
    perturb(flow.variables, scale=0.2)
    options = {"num_samples": 16, "seed": 3, **options}
    model = tfpf.VariationalModel(flow, target, **options)
    model.compile(optimizer, jit_compile=jit_compile, run_eagerly=eager)
    return model


def assert_equal_weights(a, b, **tolerance):
    for left, right in zip(a.weights, b.weights, strict=True):
        np.testing.assert_allclose(left, right, **tolerance)


# --- What the fit finds ----------------------------------------------------------------------


def test_fit_finds_a_banana_and_its_normaliser():
    flow = tfpf.flows.real_nvp(2, num_layers=1, hidden_units=(32,), seed=0)
    model = tfpf.VariationalModel(flow, banana, num_samples=128, seed=0)
    schedule = keras.optimizers.schedules.CosineDecay(0.03, 400)
    model.compile(keras.optimizers.Adam(schedule), jit_compile=True)
    before = model.evaluate(steps=20, verbose=0)
    history = model.fit(steps_per_epoch=100, epochs=4, verbose=0).history
    assert set(history) == {"loss", "elbo"}
    assert len(history["loss"]) == len(history["elbo"]) == 4
    np.testing.assert_allclose(history["loss"], np.negative(history["elbo"]), rtol=1e-5)
    after = model.evaluate(steps=20, verbose=0)
    assert before < LOG_NORMALISER - 0.5
    # The ELBO is a lower bound, but for the noise of 2,560 samples.
    assert LOG_NORMALISER - 0.05 < after < LOG_NORMALISER + 0.02
    x = flow.sample(4000, seed=1).numpy()
    np.testing.assert_allclose(np.mean(x[:, 1] - x[:, 0] ** 2), 0.0, atol=0.1)
    np.testing.assert_allclose(np.std(x[:, 1] - x[:, 0] ** 2), 0.5, atol=0.1)


def test_evaluate_is_the_elbo_of_new_samples():
    """For q = p the ELBO is log Z in every draw; elsewhere it is the closed form of the KL."""
    exact = tfd.Independent(tfd.Normal(tf.Variable([1.0, -1.0]), [0.5, 2.0]), 1)
    model = made_model(flow=exact, num_samples=640)
    exact.distribution.loc.assign([1.0, -1.0])
    elbo = model.evaluate(steps=2, verbose=0)
    assert isinstance(elbo, float)
    np.testing.assert_allclose(elbo, LOG_NORMALISER, rtol=1e-5)
    exact.distribution.loc.assign([1.5, 1.0])
    divergence = 0.5 * ((0.5 / 0.5) ** 2 + (2.0 / 2.0) ** 2)
    elbo = model.evaluate(steps=10, verbose=0)
    np.testing.assert_allclose(elbo, LOG_NORMALISER - divergence, atol=0.08)
    assert model.evaluate(steps=10, verbose=0) == elbo
    assert model.evaluate(steps=10, verbose=0, return_dict=True)["elbo"] == elbo


def test_first_loss_is_that_of_the_start_and_every_step_draws_anew():
    model = made_model(optimizer=keras.optimizers.SGD(0.0), eager=True, num_samples=400)
    losses = [model.train_on_batch(return_dict=True)["elbo"] for _ in range(4)]
    assert len(set(np.round(losses, 3))) == 4
    x, log_q = model.distribution.experimental_sample_and_log_prob(20_000, seed=0)
    expected = tf.reduce_mean(registered_target(x) - log_q)
    np.testing.assert_allclose(losses[0], expected, atol=0.5)
    np.testing.assert_allclose(model.evaluate(steps=8, verbose=0), expected, atol=0.5)


def test_evaluate_draws_other_samples_than_the_first_step_of_training():
    model = made_model(optimizer=keras.optimizers.SGD(0.0), eager=True)
    first = model.train_on_batch(return_dict=True)["elbo"]
    assert abs(first - model.evaluate(steps=1, verbose=0)) > 1e-3


def test_log_prob_is_that_of_the_flow():
    model = made_model()
    x = np.random.default_rng(0).normal(size=[5, 2]).astype("float32")
    np.testing.assert_array_equal(model(x), model.distribution.log_prob(x))


def test_conditional_flow_that_is_bound_is_fitted():
    """Only q(. | c) of the bound c is fitted, and its context stays what it was."""
    flow = tfpf.flows.iaf(2, context_size=1, **SMALL)
    bound = tfpf.condition(flow, [2.0])
    model = made_model(flow=bound, optimizer=keras.optimizers.Adam(0.02), num_samples=64)
    before = model.evaluate(verbose=0)
    model.fit(steps_per_epoch=60, verbose=0)
    assert model.evaluate(verbose=0) > before + 0.1
    assert {id(v) for v in bound.trainable_variables} == {id(v) for v in flow.trainable_variables}
    other = tfpf.condition(flow, [-2.0])
    x = bound.sample(8, seed=0)
    assert np.abs(bound.log_prob(x) - other.log_prob(x)).max() > 1e-3


def test_regularisers_count_in_the_loss_and_not_in_the_elbo():
    network = tfpf.layers.MLP(2, (4,), kernel_regularizer=keras.regularizers.L2(0.5), seed=0)
    network.build((None, 1))
    flow = tfd.TransformedDistribution(BASE, tfpf.bijectors.Coupling(network, mask=(True, False)))
    model = made_model(flow=flow, optimizer=keras.optimizers.SGD(0.0), eager=True)
    penalty = sum(0.5 * np.sum(np.square(w)) for w in network.trainable_weights if w.ndim == 2)
    assert penalty > 0.01
    history = model.fit(steps_per_epoch=1, verbose=0).history
    np.testing.assert_allclose(history["loss"][0], penalty - history["elbo"][0], rtol=1e-5)


# --- Where the samples come from -------------------------------------------------------------


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_what_networks_add_to_the_loss_counts_once(run_eagerly):
    network = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(4, activity_regularizer=keras.regularizers.L2(1.0)),
            keras.layers.Dense(2),
        ]
    )
    flow = tfpf.distributions.Flow(BASE, tfpf.bijectors.Coupling(network, mask=[True, False]))
    model = tfpf.VariationalModel(flow, registered_target, num_samples=4096, seed=1)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False, run_eagerly=run_eagerly)
    model.evaluate(1, verbose=0)
    logs = model.fit(steps_per_epoch=1, epochs=3, verbose=0).history
    penalties = np.add(logs["loss"], logs["elbo"])
    network(flow.sample(4096, seed=2)[:, :1])
    (expected,) = network.losses  # for each row; Keras 3.12 adds up the rows
    np.testing.assert_allclose(penalties, expected, rtol=0.1)
    model.target_log_prob_fn = banana
    assert np.isfinite(model.fit(steps_per_epoch=1, verbose=0).history["loss"]).all()


def test_on_batch_methods_take_no_data():
    model = made_model(optimizer=keras.optimizers.SGD(0.0), eager=True)
    assert model.test_on_batch(return_dict=True)["elbo"] == model.evaluate(1, verbose=0)
    loss, elbo = model.train_on_batch()
    assert loss == -elbo
    for method in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="`x` must not be given.*Received: x of type ndarray"):
            method(np.zeros([4, 2]))


def test_export_gives_the_density_of_the_flow(tmp_path):
    model = made_model()
    model.export(tmp_path, verbose=False)
    x = np.float32([[0.1, 0.2], [0.3, -2.0], [1.0, 0.0]])
    loaded = tf.saved_model.load(tmp_path)
    np.testing.assert_allclose(loaded.serve(x), model.distribution.log_prob(x), rtol=1e-5)


def test_one_seed_gives_the_same_numbers_and_another_does_not():
    same, again, other = models = [made_model(seed=seed, eager=True) for seed in (3, 3, 4)]
    losses = [model.fit(steps_per_epoch=2, verbose=0).history["loss"] for model in models]
    assert losses[0] == losses[1] != losses[2]
    assert_equal_weights(same, again, rtol=0)
    assert same.evaluate(steps=1, verbose=0) == again.evaluate(steps=1, verbose=0)


def test_without_a_seed_one_is_drawn_and_kept():
    models = [tfpf.VariationalModel(tfpf.flows.nice(2, **SMALL), banana) for _ in range(2)]
    assert models[0].seed != models[1].seed
    assert models[0].num_samples == 256


class FixedNormal(tfd.Normal):
    """Draws the same points whatever the seed: TFP's samplers differ under XLA."""

    def _sample_n(self, n, seed=None):
        return tf.constant(np.random.default_rng(0).normal(size=[n]), tf.float32)


def test_the_seed_of_keras_sets_the_one_that_is_drawn():
    seeds = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        seeds.append(made_model(seed=None).seed)
    assert seeds[0] == seeds[1]
    assert made_model(seed=None).seed != seeds[0]


def test_jit_on_and_off_are_equal():
    models = []
    for jit_compile in (False, True):
        base = tfd.Sample(FixedNormal(0.0, 1.0), [2])
        flow = tfpf.flows.real_nvp(2, base=base, **SMALL)
        models.append(made_model(flow=flow, jit_compile=jit_compile))
    losses = [m.fit(steps_per_epoch=2, epochs=2, verbose=0).history["loss"] for m in models]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert_equal_weights(*models, rtol=1e-3, atol=1e-4)


def test_dropout_is_active_in_fit_alone():
    models = []
    for dropout in (0.0, 0.5):
        network = tfpf.layers.MLP(2, (8,), dropout=dropout, seed=0)
        network.build((None, 1))
        bijector = tfpf.bijectors.Coupling(network, mask=(True, False))
        flow = tfd.TransformedDistribution(BASE, bijector)
        model = made_model(flow=flow, optimizer=keras.optimizers.SGD(0.0), eager=True)
        model.network = network
        models.append(model)
    without, with_dropout = models
    for weight, value in zip(
        with_dropout.network.trainable_weights, without.network.trainable_weights, strict=True
    ):
        weight.assign(value)
    losses = [m.fit(steps_per_epoch=2, verbose=0).history["loss"][0] for m in models]
    assert abs(losses[0] - losses[1]) > 1e-3
    np.testing.assert_allclose(*[m.evaluate(2, verbose=0) for m in models], rtol=1e-6)


# --- Files -----------------------------------------------------------------------------------


def test_target_that_is_not_registered_is_left_out_of_a_file(tmp_path):
    model = made_model(banana, num_samples=7, seed=11, eager=True)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.target_log_prob_fn is None
    assert (loaded.num_samples, loaded.seed) == (7, 11)
    x = np.random.default_rng(0).normal(size=[5, 2]).astype("float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    for use in (loaded.fit, loaded.evaluate):
        with pytest.raises(ValueError, match="`target_log_prob_fn` must be set.*Received: .*None"):
            use(verbose=0)
    loaded.target_log_prob_fn = banana
    loaded.run_eagerly = True  # which no file keeps
    assert loaded.evaluate(steps=2, verbose=0) == model.evaluate(steps=2, verbose=0)


def test_training_goes_on_in_parts_and_from_a_file(tmp_path):
    """However the steps are cut into calls of `fit`, the numbers are the same.

    For seeds follow the count of the optimizer, which a file keeps, as it keeps a target that is
    registered.
    """
    once, twice = made_model(eager=True), made_model(eager=True)
    once.fit(steps_per_epoch=3, verbose=0)
    twice.fit(steps_per_epoch=1, verbose=0)
    twice.save(tmp_path / "m.keras")
    middle = [weight.numpy() for weight in twice.weights]
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.target_log_prob_fn is registered_target
    loaded.run_eagerly = True
    for model in (twice, loaded):
        model.fit(steps_per_epoch=2, verbose=0)
        assert_equal_weights(once, model, rtol=1e-6, atol=1e-7)
    assert any(np.any(a != b) for a, b in zip(middle, twice.weights, strict=True))


# --- Refused ---------------------------------------------------------------------------------


def test_no_target():
    model = made_model(None)
    for use in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="`target_log_prob_fn` must be set.*Received: .*None"):
            use(verbose=0)


@pytest.mark.parametrize(
    "target,received",
    [
        (lambda x: x, r"\(16, 2\)"),
        (lambda x: tf.reduce_sum(x), r"\(\)"),
        (lambda x: tf.reduce_sum(x, axis=-1, keepdims=True), r"\(16, 1\)"),
    ],
    ids=["event", "scalar", "column"],
)
def test_target_of_another_shape(target, received):
    model = made_model(target, eager=True)
    with pytest.raises(ValueError, match=rf"one number for each sample: \(16,\).*{received}"):
        model.fit(verbose=0)
    with pytest.raises(ValueError, match=rf"one number for each sample: \(16,\).*{received}"):
        model.evaluate(verbose=0)


def test_target_without_a_finite_value_stops_at_its_step():
    model = made_model(lambda x: np.nan * x[:, 0], eager=True)
    with pytest.raises(FloatingPointError, match="step 1 of epoch 1.*Received: loss=nan"):
        model.fit(steps_per_epoch=3, verbose=0)


def test_a_target_that_is_assigned_takes_effect():
    model = made_model()
    before = model.evaluate(steps=2, verbose=0)
    model.target_log_prob_fn = lambda x: registered_target(x) + 3.0
    np.testing.assert_allclose(model.evaluate(steps=2, verbose=0), before + 3.0, rtol=1e-5)
    with pytest.raises(TypeError, match="`target_log_prob_fn` must be callable"):
        model.target_log_prob_fn = 3


@pytest.mark.parametrize("name", ["validation_data", "shuffle", "x"])
def test_data_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must not be given: the samples are the data"):
        made_model().fit(steps_per_epoch=1, verbose=0, **{name: np.zeros([2, 2])})


def test_conditional_flow_that_is_not_bound():
    flow = tfpf.flows.iaf(2, context_size=1, **SMALL)
    with pytest.raises(ValueError, match="must be bound to a context.*context_size=1"):
        tfpf.VariationalModel(flow, banana)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tfd.Poisson(tf.Variable([1.0, 2.0])),
        lambda: tfd.MixtureSameFamily(
            tfd.Categorical(logits=tf.Variable([0.0, 0.0])), tfd.Normal([0.0, 1.0], 1.0)
        ),
    ],
    ids=["discrete", "mixture"],
)
def test_samples_that_are_not_reparameterised(make):
    with pytest.raises(ValueError, match="reparameterized samples.*NOT_REPARAMETERIZED"):
        tfpf.VariationalModel(make(), banana)


@pytest.mark.parametrize("target", ["banana", 1.0, tf.zeros([2])], ids=["str", "float", "tensor"])
def test_target_that_cannot_be_called(target):
    with pytest.raises(TypeError, match="`target_log_prob_fn` must be callable. Received: "):
        tfpf.VariationalModel(tfpf.flows.nice(2, **SMALL), target)


def test_something_else_than_a_distribution():
    bijector = tfpf.bijectors.Coupling(mlp(1, 2, "float32"), mask=(True, False))
    with pytest.raises(TypeError, match="must be a TFP distribution. Received: "):
        tfpf.VariationalModel(bijector, banana)


@pytest.mark.parametrize("name", ["num_samples", "seed"])
@pytest.mark.parametrize(
    "value,error", [(-1, ValueError), (0.5, TypeError), ("3", TypeError), (True, TypeError)]
)
def test_numbers_that_are_no_counts(name, value, error):
    flow = tfd.Normal(tf.Variable(0.0), 1.0)
    with pytest.raises(error, match=f"`{name}` must be an integer of at least .*{name}={value!r}"):
        tfpf.VariationalModel(flow, banana, **{name: value})


def test_counts_of_zero():
    with pytest.raises(ValueError, match="`num_samples`.*at least 1. Received: num_samples=0"):
        tfpf.VariationalModel(tfd.Normal(tf.Variable(0.0), 1.0), banana, num_samples=0)
    model = made_model()
    with pytest.raises(ValueError, match="`steps_per_epoch`.*Received: steps_per_epoch=0"):
        model.fit(steps_per_epoch=0)
    with pytest.raises(ValueError, match="`steps`.*Received: steps=0"):
        model.evaluate(0)


def test_nothing_to_train():
    flow = tfd.Normal(tf.Variable(0.0, trainable=False), 1.0)
    model = tfpf.VariationalModel(flow, lambda x: -tf.square(x), num_samples=4)
    model.compile(jit_compile=False)
    with pytest.raises(ValueError, match="must have trainable variables"):
        model.fit(verbose=0)
    assert isinstance(model.evaluate(steps=1, verbose=0), float)


def test_a_flow_that_is_none_is_named():
    with pytest.raises(TypeError, match="`flow` must be a TFP distribution. Received: flow="):
        tfpf.VariationalModel(lambda x: x)
