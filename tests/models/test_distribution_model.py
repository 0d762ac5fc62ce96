"""What a Keras model of a distribution owns, and what it refuses to be made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import RECIPES, mlp, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

RNG = np.random.default_rng(0)
X = RNG.normal(size=[12, 2]).astype("float32")
BASE = tfd.Sample(tfd.Normal(0.0, 1.0), [2])


def value_of(weight):
    """The `tf.Variable` of a Keras weight; `tf_keras` and TFP have the variable itself."""
    return weight.value if isinstance(weight, keras.Variable) else weight


def assert_owns(model, expected):
    """The weights are the expected variables themselves, each of them once."""
    owned = [id(value_of(weight)) for weight in model.weights]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(variable) for variable in expected}
    trainable = {id(value_of(weight)) for weight in model.trainable_weights}
    assert trainable == {id(variable) for variable in expected if variable.trainable}


def fitted(model, x=X, epochs=2, learning_rate=0.01, eager=True, jit_compile=False, **options):
    """Few steps need no graph."""
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, jit_compile=jit_compile, run_eagerly=eager)
    before = [np.array(weight) for weight in model.trainable_weights]
    model.fit(x, epochs=epochs, verbose=0, **options)
    for weight, value in zip(model.trainable_weights, before, strict=True):
        assert np.all(np.isfinite(np.array(weight, "float32")))
        assert np.any(np.array(weight) != value), weight.name


# --- Weights ---------------------------------------------------------------------------------


# One for each recipe, with a context where there is such a case.
EACH_ONCE = list({case.covers[0]: case for case in RECIPES}.values())


@pytest.mark.parametrize("case", EACH_ONCE, ids=str)
def test_weights_of_recipes_are_complete(case):
    flow = case.make.flow("float32")
    model = tfpf.FlowModel(flow)
    assert flow.trainable_variables
    assert_owns(model, flow.variables)


def test_weights_of_networks_and_loose_variables():
    network = mlp(1, 2, "float32")
    loc, frozen = tf.Variable([0.5, 0.0]), tf.Variable([1.0, 1.0], trainable=False)
    linear = tfpf.bijectors.LULinear(2)
    chain = tfb.Chain([tfpf.bijectors.Coupling(network, mask=(True, False)), linear])
    flow = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(loc, frozen), tfb.Invert(chain))
    model = tfpf.FlowModel(flow)
    expected = [v.value for v in network.variables] + [loc, frozen, *linear.variables]
    assert len(expected) == 6 + 2 + 2
    assert_owns(model, expected)
    assert model.count_params() == sum(int(tf.size(v)) for v in expected)
    fitted(model)
    np.testing.assert_array_equal(frozen, [1.0, 1.0])


def test_what_occurs_twice_is_owned_once():
    network = mlp(1, 2, "float32")
    shared = tf.Variable([0.1, 0.2])
    layers = [tfpf.bijectors.Coupling(network, mask=mask) for mask in ((1, 0), (0, 1))]
    chain = tfb.Chain([*layers, tfb.Shift(shared), layers[0], tfb.Scale(2.0)])
    model = tfpf.FlowModel(tfd.TransformedDistribution(tfd.MultivariateNormalDiag(shared), chain))
    assert_owns(model, [v.value for v in network.variables] + [shared])


def test_weights_of_a_part_that_is_frozen_stay():
    network = mlp(1, 2, "float32")
    network.trainable = False
    loc = tf.Variable([0.5, 0.0])
    bijector = tfpf.bijectors.Coupling(network, mask=(True, False))
    model = tfpf.FlowModel(tfd.TransformedDistribution(tfd.MultivariateNormalDiag(loc), bijector))
    before = [weight.numpy() for weight in network.weights]
    assert [value_of(weight) is loc for weight in model.trainable_weights] == [True]
    fitted(model)
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_weights_of_both_models_are_the_variables_of_the_flow():
    """One flow, two models: what one trains the other sees."""
    flow = tfpf.flows.real_nvp(2, hidden_units=(4,), num_layers=2, seed=0)
    likelihood = tfpf.FlowModel(flow)
    variational = tfpf.VariationalModel(flow, lambda x: -tf.reduce_sum(x**2, axis=-1))
    assert_owns(variational, flow.variables)
    before = variational(X).numpy()
    fitted(likelihood, epochs=5, learning_rate=0.1)
    assert np.abs(variational(X) - before).max() > 1e-3


def test_one_weight_that_is_not_finite_after_the_last_step_is_seen():
    """By no loss: that of a step is taken before its update."""
    loc = tf.Variable([0.5, 0.0])
    model = tfpf.FlowModel(tfd.MultivariateNormalDiag(loc))
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False, run_eagerly=True)

    def spoil(batch, logs):
        if batch == 1:
            loc.assign([np.nan, 0.0])

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=spoil)
    with pytest.raises(FloatingPointError, match="weights must stay finite.* step 2 of epoch 1"):
        model.fit(X, batch_size=6, callbacks=[callback], verbose=0)


# --- Mixed precision -------------------------------------------------------------------------


def test_networks_of_mixed_precision_train_under_jit():
    """Networks compute in half precision; weights, densities and the loss stay in single."""
    previous = keras.config.dtype_policy()
    bijectors = []
    try:
        for policy, mask in (("mixed_bfloat16", (True, False)), ("mixed_float16", (False, True))):
            keras.config.set_dtype_policy(policy)
            network = tfpf.layers.MLP(2, (8,), seed=0)
            network.build((None, 1))
            assert network.compute_dtype == policy.removeprefix("mixed_")
            bijectors.append(tfpf.bijectors.Coupling(network, mask=mask))
            assert bijectors[-1].dtype == tf.float32
            perturb(bijectors[-1].variables)
            model = tfpf.FlowModel(tfd.TransformedDistribution(BASE, bijectors[-1]))
            precise = X + 1e-4  # what rounds to X in half precision
            assert np.all(model(precise).numpy() != model(X).numpy())
        model = tfpf.FlowModel(tfd.TransformedDistribution(BASE, tfb.Chain(bijectors)))
        before = -np.mean(model(X))
        fitted(model, epochs=20, eager=False, jit_compile=True)
        assert {weight.dtype for weight in model.weights} == {"float32"}
        assert model.predict(X, verbose=0).dtype == np.float32
        assert -np.mean(model(X)) < before
    finally:
        keras.config.set_dtype_policy(previous)


def test_layer_of_its_own_mixed_policy_gives_densities_close_to_single():
    values = []
    for policy in ("float32", "mixed_bfloat16"):
        network = mlp(1, 2, policy)
        perturb(v.value for v in network.variables)
        bijector = tfpf.bijectors.Coupling(network, mask=(True, False))
        values.append(tfpf.FlowModel(tfd.TransformedDistribution(BASE, bijector))(X).numpy())
    np.testing.assert_allclose(*values, rtol=0.1, atol=0.1)
    assert np.any(values[0] != values[1])


# --- Distributions that have no part of ours -------------------------------------------------


def tfp_maf(build=True):
    network = tfb.AutoregressiveNetwork(
        params=2, event_shape=[2], hidden_units=[8], activation="tanh"
    )
    if build:
        network(X)
    return tfd.TransformedDistribution(BASE, tfb.MaskedAutoregressiveFlow(network)), network


def test_maf_of_tfp_with_a_network_of_tf_keras():
    flow, network = tfp_maf()
    model = tfpf.FlowModel(flow)
    assert_owns(model, network.variables)
    x = X @ np.array([[1.0, 1.5], [0.0, 0.5]], "float32")
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    before = model.evaluate(x, verbose=0)
    np.testing.assert_allclose(before, -np.mean(flow.log_prob(x)), rtol=1e-5)
    model.fit(x, epochs=20, verbose=0)
    assert model.evaluate(x, verbose=0) < before - 0.1


@pytest.mark.parametrize("cls", [tfpf.FlowModel, tfpf.VariationalModel, tfpf.DistributionLayer])
def test_a_network_of_tfp_that_waits_for_its_first_input_is_built(cls):
    """Also beside another variable, which alone made a model that trained nothing else."""
    for bijector in (tfb.Identity(), tfpf.bijectors.Affine(tf.Variable([0.0, 0.0]))):
        maf = tfp_maf(build=False)[0]
        model = cls(tfpf.distributions.Flow(maf, bijector))
        weights = model.trainable_weights
        assert len(weights) == len(maf.trainable_variables) + (bijector.name == "affine")
        assert maf.trainable_variables


def test_plain_distribution_with_variables():
    """The maximum of the likelihood is the mean and the standard deviation of the data."""
    loc = tf.Variable([5.0, -5.0])
    scale = tfp.util.TransformedVariable([3.0, 3.0], tfb.Softplus())
    # A `MultivariateNormalDiag` takes four times as long to trace and compile.
    model = tfpf.FlowModel(tfd.Independent(tfd.Normal(loc, scale), 1))
    assert_owns(model, [loc, *scale.trainable_variables])
    many = np.tile(X, [60, 1])  # not shuffled, so that every batch is all of X
    options = {"epochs": 5, "batch_size": 12, "shuffle": False, "eager": False}
    fitted(model, many, learning_rate=0.1, jit_compile=True, **options)
    np.testing.assert_allclose(loc, X.mean(0), atol=0.02)
    np.testing.assert_allclose(tf.convert_to_tensor(scale), X.std(0), atol=0.02)


def test_mixture_with_variables():
    x = np.concatenate([RNG.normal(-3.0, 0.5, 150), RNG.normal(3.0, 0.5, 50)]).astype("float32")
    logits, loc = tf.Variable([0.0, 0.0]), tf.Variable([-1.0, 1.0])
    model = tfpf.FlowModel(
        tfd.MixtureSameFamily(tfd.Categorical(logits=logits), tfd.Normal(loc, 0.5))
    )
    assert_owns(model, [logits, loc])
    options = {"epochs": 5, "batch_size": 200, "eager": False}
    fitted(model, np.tile(x, 30), learning_rate=0.1, **options)
    np.testing.assert_allclose(loc, [-3.0, 3.0], atol=0.2)
    np.testing.assert_allclose(tf.nn.softmax(logits), [0.75, 0.25], atol=0.05)


# --- Refused ---------------------------------------------------------------------------------


def mlp_in_a_closure():
    network = mlp(2, 4, "float32")
    return lambda x: tf.unstack(tf.reshape(network(x), [-1, 2, 2]), axis=-1)


@pytest.mark.parametrize("cls", [tfpf.FlowModel, tfpf.VariationalModel])
@pytest.mark.parametrize(
    "make",
    [
        lambda: tfd.Normal(0.0, 1.0),
        lambda: tfd.TransformedDistribution(BASE, tfb.Tanh()),
        lambda: tfd.TransformedDistribution(BASE, tfb.MaskedAutoregressiveFlow(mlp_in_a_closure())),
    ],
    ids=["constants", "no_parameters", "network_in_a_closure"],
)
def test_distribution_without_variables(cls, make):
    with pytest.raises(ValueError, match="must have variables to train.*Received: .*without"):
        cls(make())


@pytest.mark.parametrize("cls", [tfpf.FlowModel, tfpf.VariationalModel])
def test_something_else_than_a_distribution(cls):
    for value in (None, mlp(1, 2, "float32"), tfpf.bijectors.LULinear(2)):
        with pytest.raises(TypeError, match="must be a TFP distribution. Received: "):
            cls(value)


def test_joint_distribution_is_refused():
    joint = tfd.JointDistributionSequential([tfd.Normal(tf.Variable(0.0), 1.0), BASE])
    with pytest.raises(TypeError, match="over one tensor.*Received: "):
        tfpf.FlowModel(joint)


def test_nothing_to_train():
    model = tfpf.FlowModel(tfd.Normal(tf.Variable(0.0, trainable=False), 1.0))
    model.compile(jit_compile=False, run_eagerly=True)
    with pytest.raises(ValueError, match="trainable variables.*1 variables, none of them"):
        model.fit(X[:, 0], verbose=0)
    expected = -np.mean(tfd.Normal(0.0, 1.0).log_prob(X[:, 0]))
    np.testing.assert_allclose(model.evaluate(X[:, 0], verbose=0), expected, rtol=1e-6)


@pytest.mark.parametrize("cls", [tfpf.FlowModel, tfpf.VariationalModel])
@pytest.mark.parametrize(
    "argument",
    [
        {"loss": "mse"},
        {"loss_weights": [1.0]},
        {"metrics": ["mae"]},
        {"weighted_metrics": ["mae"]},
    ],
    ids=lambda argument: next(iter(argument)),
)
def test_loss_and_metrics_are_not_chosen(cls, argument):
    name = next(iter(argument))
    model = cls(tfd.Normal(tf.Variable(0.0), 1.0))
    with pytest.raises(ValueError, match=f"`{name}` must not be given.*Received: {name}="):
        model.compile(**argument)
    model.compile(**{name: None})
    assert model.jit_compile is True


def test_half_precision_gets_a_loss_scale_as_in_keras(tmp_path):
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, dtype="mixed_float16")])
    flow = tfpf.distributions.Flow(BASE, tfpf.bijectors.Coupling(network, mask=[True, False]))
    model = tfpf.FlowModel(flow)
    model.compile("adam", jit_compile=False, run_eagerly=True)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    model.fit(X, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(loaded.optimizer.inner_optimizer, keras.optimizers.Adam)
    assert loaded.optimizer.iterations == model.optimizer.iterations
    model.compile("adam", auto_scale_loss=False)
    assert isinstance(model.optimizer, keras.optimizers.Adam)


@pytest.mark.parametrize("cls", [tfpf.FlowModel, tfpf.VariationalModel])
def test_the_dtype_is_that_of_the_distribution(cls):
    with pytest.raises(ValueError, match="`dtype` must not be given.*Received: dtype='float64'"):
        cls(tfpf.flows.maf(2, hidden_units=(4,)), dtype="float64")


@pytest.mark.parametrize("jit_compile", ["yes", 1, None])
def test_jit_compile_is_a_bool_or_auto(jit_compile):
    model = tfpf.FlowModel(tfd.Normal(tf.Variable(0.0), 1.0))
    with pytest.raises(ValueError, match="`jit_compile` must be .*Received: jit_compile="):
        model.compile(jit_compile=jit_compile)
