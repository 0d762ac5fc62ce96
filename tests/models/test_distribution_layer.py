"""A flow within a Keras model: its weights are trained, frozen and saved with the rest."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

RNG = np.random.default_rng(0)
X = RNG.normal(size=[12, 2]).astype("float32")
Z = RNG.normal(size=[12, 3]).astype("float32")
BASE = tfd.Sample(tfd.Normal(0.0, 1.0), [2])


def small_flow(seed=1, **kwargs):
    return tfpf.flows.real_nvp(2, num_layers=1, hidden_units=(4,), seed=seed, **kwargs)


def line():
    """A flow of one dimension."""
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [1])
    return tfpf.distributions.Flow(base, tfpf.bijectors.Affine(tf.Variable([0.5])))


def mean_of_minus(_, log_density):
    return -tf.reduce_mean(log_density)


def perturbed(flow):
    perturb(flow.trainable_variables)
    return flow


def values(model):
    return [np.array(weight) for weight in model.trainable_weights]


def assert_moves(before, model):
    assert before
    for old, new in zip(before, values(model), strict=True):
        assert np.isfinite(new).all() and np.any(old != new)


@keras.saving.register_keras_serializable(package="tests")
class Prior(keras.Model):
    """A model of the user's: a flow over codes, and a network."""

    def __init__(self, seed=1, **kwargs):
        super().__init__(**kwargs)
        self.prior = tfpf.DistributionLayer(small_flow(seed), name="prior")
        self.encoder = keras.layers.Dense(2)

    def call(self, x):
        return self.prior(self.encoder(x))

    def get_config(self):
        return super().get_config()


def functional_model():
    z, x = keras.Input([3]), keras.Input([2])
    flow = tfpf.distributions.Flow(
        small_flow(context_size=4), tfpf.bijectors.Affine(tf.Variable([0.1, 0.2]))
    )
    layer = tfpf.DistributionLayer(flow, name="density")
    return keras.Model([z, x], layer((keras.layers.Dense(4)(z), x)))


# --- Values and weights ----------------------------------------------------------------------


def test_values_are_log_densities():
    flow = perturbed(small_flow())
    layer = tfpf.DistributionLayer(flow)
    np.testing.assert_array_equal(layer(X), flow.log_prob(X))
    assert layer(X.reshape(3, 4, 2)).shape == [3, 4]
    flow = perturbed(small_flow(context_size=3))
    layer = tfpf.DistributionLayer(flow)
    np.testing.assert_allclose(layer((Z, X)), tfpf.condition(flow, Z).log_prob(X), rtol=1e-6)
    assert layer.distribution is flow


def test_it_gives_the_bound_where_there_is_no_density():
    bounded = tfpf.distributions.Dequantized(small_flow(), num_values=8, seed=1)
    layer = tfpf.DistributionLayer(bounded)
    x = RNG.integers(0, 8, size=[5, 2]).astype("uint8")
    np.testing.assert_array_equal(layer(x), bounded.elbo(x))
    assert layer(x).dtype == "float32"


def test_double_precision_under_single_and_mixed_policies():
    layer = tfpf.DistributionLayer(small_flow(dtype="float64"))
    assert layer(X.astype("float64")).dtype == tf.float64
    # An input of a functional model is a tensor of the policy's dtype.
    x = keras.Input([2])
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert keras.Model(x, tfpf.DistributionLayer(small_flow())(x))(X).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_subclassed_model_owns_trains_and_saves_the_flow(tmp_path):
    model = Prior()
    model(Z)
    flow = model.prior.distribution
    assert len(flow.trainable_variables) + 2 == len(model.trainable_weights)
    owned = {id(weight.value) for weight in model.trainable_weights}
    assert {id(variable) for variable in flow.trainable_variables} <= owned
    model.compile("adam", loss=mean_of_minus, jit_compile=True)
    before = values(model)
    model.fit(Z, np.zeros(12), epochs=3, verbose=0)
    assert_moves(before, model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(Z), model(Z))


def test_a_functional_model_with_an_embedded_context(tmp_path):
    model = functional_model()
    assert model.output_shape == (None,)
    assert len(model.trainable_weights) == 2 + 1 + len(model.layers[-1].networks) * 4
    model.compile("adam", loss=mean_of_minus, run_eagerly=True)
    before = values(model)
    model.fit([Z, X], np.zeros(12), epochs=2, verbose=0)
    assert_moves(before, model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded([Z, X]), model([Z, X]))


def test_frozen_with_the_model_and_in_files(tmp_path):
    model = functional_model()
    layer = model.get_layer("density")
    layer.trainable = False
    assert len(model.trainable_weights) == 2
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.trainable_weights) == 2
    loaded.get_layer("density").trainable = True
    assert len(loaded.trainable_weights) == len(functional_model().trainable_weights)
    assert not tfpf.DistributionLayer(small_flow(), trainable=False).trainable_weights


def test_parts_that_are_frozen_stay_frozen(tmp_path):
    flow = small_flow()
    layer = tfpf.DistributionLayer(flow)
    layer.networks[0].trainable = False
    x = keras.Input([2])
    keras.Model(x, layer(x)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
    assert not loaded.networks[0].trainable_weights
    loaded.networks[0].trainable = True
    assert loaded.networks[0].trainable_weights


class Noisy(keras.layers.Layer):
    """A conditioner of one coordinate, with a loss of its own and noise while it is trained."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2, kernel_regularizer="l2")
        self.dense.build((None, 1))
        self.built = True

    def call(self, x, training=False):
        return self.dense(x) + (100.0 if training else 0.0)


def test_networks_see_the_mode_and_add_their_losses():
    flow = tfpf.distributions.Flow(BASE, tfpf.bijectors.Coupling(Noisy()))
    layer = tfpf.DistributionLayer(flow)
    np.testing.assert_array_equal(layer(X), flow.log_prob(X))
    assert np.all(np.abs(layer(X, training=True) - layer(X)) > 10.0)
    assert len(layer.losses) == 1


def test_nested_two_deep_with_another_flow():
    inner = Prior()
    model = keras.Sequential([inner, keras.layers.Reshape([1]), tfpf.DistributionLayer(line())])
    model(Z)
    model.compile("adam", loss=mean_of_minus, run_eagerly=True)
    before = values(model)
    assert len(before) > len(inner.trainable_weights)
    model.fit(Z, np.zeros(12), epochs=2, verbose=0)
    assert_moves(before, model)


# --- Files -----------------------------------------------------------------------------------


def spline(seed):
    return tfpf.flows.neural_spline(4, num_layers=2, hidden_units=(4,), num_bins=2, seed=seed)


def test_weights_of_a_flow_with_other_permutations_are_refused(tmp_path):
    layers = [tfpf.DistributionLayer(spline(seed)) for seed in (1, 1, 2)]
    models = [keras.Sequential([keras.Input([4]), layer]) for layer in layers]
    models[0].save_weights(tmp_path / "of.weights.h5")
    perturbed(layers[1].distribution)
    models[1].load_weights(tmp_path / "of.weights.h5")
    x = RNG.normal(size=[3, 4]).astype("float32")
    np.testing.assert_array_equal(models[1](x), models[0](x))
    with pytest.raises(ValueError, match="fixed parts, such as permutations.*Received: "):
        models[2].load_weights(tmp_path / "of.weights.h5")


def test_what_cannot_be_written_down_has_weights_all_the_same(tmp_path):
    network = tfpf.layers.MLP(2, (4,))
    network.build((None, 1))
    flow = tfpf.distributions.Flow(BASE, tfpf.bijectors.Coupling(network))
    model = keras.Sequential([keras.Input([2]), tfpf.DistributionLayer(flow)])
    flow.bijector.parameters["transformer_kwargs"] = lambda: None  # no file can hold it
    model.save_weights(tmp_path / "of.weights.h5")
    model.load_weights(tmp_path / "of.weights.h5")
    with pytest.raises(ValueError, match="cannot be saved"):
        model.save(tmp_path / "model.keras")


# --- What Keras does not see -----------------------------------------------------------------


class Holder(keras.layers.Layer):
    def __init__(self, part):
        super().__init__(name="holder")
        self.part = part


@pytest.mark.parametrize("what", ["flow", "bijector", "normal", "dequantized"])
def test_a_bare_flow_in_a_keras_layer_is_warned_of_by_name(what):
    flow = small_flow()
    network = tfpf.layers.MLP(4, (4,))
    network.build((None, 3))
    part = {
        "flow": flow,
        "bijector": tfpf.bijectors.LULinear(2),
        "normal": tfpf.distributions.ConditionalNormal(network, 2, context_size=3),
        "dequantized": tfpf.distributions.Dequantized(flow, num_values=4),
    }[what]
    with pytest.warns(UserWarning, match=f"'{part.name}', an attr.*'holder' .*Distribut") as seen:
        Holder(part)
    assert seen[0].filename == __file__


def test_nothing_is_said_where_the_weights_are_seen():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow = small_flow()
        Holder(tfpf.DistributionLayer(flow))
        tfpf.FlowModel(flow)
        tfpf.VariationalModel(flow, lambda x: x[..., 0])
        # Without variables there is nothing to lose; and TFP's objects hold each other.
        Holder(tfpf.distributions.Flow(BASE, tfpf.bijectors.Affine(1.0)))
        tf.Module().flow = flow


def test_nothing_is_said_when_a_model_is_exported(tmp_path):
    x = keras.Input([2])
    model = keras.Model(x, tfpf.DistributionLayer(small_flow())(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.export(tmp_path / "served", verbose=False)


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_symbolic_input_is_refused_with_the_layer_named(package):
    x = pytest.importorskip(package).Input([2])
    flow = small_flow()
    of_context = small_flow(context_size=2)
    for call in (
        lambda: flow.log_prob(x),
        lambda: flow.prob(x),
        lambda: tfpf.distributions.Dequantized(flow, 4).elbo(x),
        lambda: tfpf.condition(of_context, x),
        lambda: tfpf.bijectors.inverse_and_log_det(flow.bijector, x),
    ):
        with pytest.raises(TypeError, match="tfp_flows.DistributionLayer.*Received: "):
            call()


# --- Bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 3, tfpf.bijectors.LULinear(2), keras.layers.Dense(2)])
def test_a_layer_of_no_distribution(value):
    with pytest.raises(TypeError, match="`distribution` must be a TFP distribution. Received: "):
        tfpf.DistributionLayer(value)


def test_other_distributions_that_are_refused():
    joint = tfd.JointDistributionSequential([tfd.Normal(tf.Variable(0.0), 1.0), BASE])
    with pytest.raises(TypeError, match="over one tensor.*Received: "):
        tfpf.DistributionLayer(joint)
    with pytest.raises(ValueError, match="must have variables.*Received: "):
        tfpf.DistributionLayer(BASE)
    bound = tfpf.condition(small_flow(context_size=3), Z)
    with pytest.raises(ValueError, match=r"call the layer with `\(context, x\)`. Received: "):
        tfpf.DistributionLayer(bound)
    with pytest.raises(ValueError, match="`dtype` must not be given"):
        tfpf.DistributionLayer(small_flow(), dtype="float32")
    with pytest.raises(ValueError, match=r"must be `\(context, x\)`. Received: "):
        tfpf.DistributionLayer(small_flow(context_size=3))(X)
