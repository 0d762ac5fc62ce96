"""A saved model comes back exactly, in a fresh process, and a tampered file runs nothing."""

import functools
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows import saving

tfb = tfp.bijectors
tfd = tfp.distributions

ROOT = pathlib.Path(tfpf.__file__).parents[1]
SMALL = {"hidden_units": (8, 8), "num_layers": 2, "seed": 3}
X = np.random.default_rng(0).normal(size=[7, 3]).astype("float32")
CONTEXT = np.random.default_rng(1).normal(size=[7, 2]).astype("float32")


def network(num_inputs, num_outputs, **options):
    layer = tfpf.layers.MLP(num_outputs, (8,), seed=4, **options)
    layer.build((None, num_inputs))
    return layer


def coupling(**options):
    return tfpf.bijectors.Coupling(network(2, 2), **options)


def standard_normal():
    return tfd.Sample(tfd.Normal(0.0, 1.0), [3])


def standardized():
    bijector = tfpf.bijectors.Standardize(3)
    bijector.adapt(5.0 + 3.0 * X)
    chain = tfb.Chain([bijector, tfpf.bijectors.LULinear(3, (2, 0, 1)), coupling(mask="random")])
    return tfd.TransformedDistribution(standard_normal(), chain)


def made_with_random_order():
    layer = tfpf.layers.MADE(3, 2, (8, 8), order="random", hidden_degrees="random")
    layer.build((None, 3))
    chain = tfb.Chain([tfpf.bijectors.Autoregressive(layer), tfb.Permute([1, 2, 0])])
    return tfd.TransformedDistribution(standard_normal(), tfb.Invert(chain))


def identity_half():
    bijector = coupling(
        mask=[True, False, True],
        identity_transformer=tfpf.bijectors.RationalQuadraticSpline,
        identity_transformer_kwargs={"num_bins": 4},
    )
    return tfd.TransformedDistribution(standard_normal(), bijector)


def blocks():
    layer = network(1, 2)
    parts = [tfpf.bijectors.Coupling(layer, mask=[True, False]), tfb.Scale(tf.Variable(2.0))]
    return tfd.TransformedDistribution(standard_normal(), tfb.Blockwise(parts, [2, 1]))


def on_normal_base():
    scale = tf.Variable(np.tril(np.full([3, 3], 0.3)) + np.eye(3), dtype=tf.float32)
    base = tfd.MultivariateNormalTriL(tf.Variable(tf.ones([3])), scale)
    return tfpf.flows.maf(3, base=base, **SMALL)


def on_mixture_base():
    base = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.Variable([0.3, -0.2])),
        tfd.MultivariateNormalDiag(
            tf.Variable([[0.0, 1.0, 2.0], [-1.0, 0.0, 0.5]]),
            scale_diag=tf.Variable(tf.ones([2, 3])),
        ),
    )
    return tfpf.flows.real_nvp(3, base=base, **SMALL)


def on_constant_base():
    base = tfd.Independent(tfd.StudentT(np.array([3.0, 4.0, 5.0], "float32"), 0.0, 1.0), 1)
    return tfpf.flows.real_nvp(3, base=base, **SMALL)


def with_dropout():
    return tfpf.flows.neural_spline(3, dropout=0.2, num_bins=4, **SMALL)


FLOWS = {
    "nice": functools.partial(tfpf.flows.nice, 3, **SMALL),
    "real_nvp": functools.partial(tfpf.flows.real_nvp, 3, max_log_scale=None, **SMALL),
    "maf": functools.partial(tfpf.flows.maf, 3, **SMALL),
    "iaf": functools.partial(tfpf.flows.iaf, 3, **SMALL),
    "neural_spline": with_dropout,
    "neural_spline_autoregressive": functools.partial(
        tfpf.flows.neural_spline, 3, autoregressive=True, num_bins=4, **SMALL
    ),
    "float64": functools.partial(tfpf.flows.real_nvp, 3, dtype="float64", **SMALL),
    "conditional": functools.partial(tfpf.flows.maf, 3, context_size=2, **SMALL),
    "bound": lambda: tfpf.condition(tfpf.flows.maf(3, context_size=2, **SMALL), CONTEXT[0]),
    "planar": functools.partial(tfpf.flows.planar, 3, **SMALL),
    "amortized": lambda: tfpf.condition(
        tfpf.flows.sylvester(3, num_units=2, context_size=2, **SMALL), CONTEXT[0]
    ),
    "standardized": standardized,
    "made_with_random_order": made_with_random_order,
    "identity_half": identity_half,
    "blocks": blocks,
    "on_normal_base": on_normal_base,
    "on_mixture_base": on_mixture_base,
    "on_constant_base": on_constant_base,
    "no_flow": lambda: tfd.Independent(tfd.Normal(tf.Variable(tf.ones([3])), 1.0), 1),
}


def made_model(name):
    distribution = FLOWS[name]()
    perturb(distribution.variables)
    return tfpf.FlowModel(distribution)


def scored(model, is_conditional):
    """log p of the points, and samples, in one batch shape and in eager mode."""
    x = tf.constant(X, model.distribution.dtype)
    flow = tfpf.condition(model.distribution, CONTEXT) if is_conditional else model.distribution
    return flow.log_prob(x).numpy(), flow.sample(
        7 if not is_conditional else (), seed=tf.constant([5, 0])
    ).numpy()


# Exactly what the design promises: nothing but `import tfp_flows`, and Keras's own loading.
FRESH = """
import sys
import numpy as np
import tfp_flows
import keras, tensorflow as tf

folder, names = sys.argv[1], sys.argv[2].split(",")
data = np.load(folder + "/data.npz")
results = {}
for name in names:
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    flow = model.distribution
    x = tf.constant(data["x"], flow.dtype)
    if name == "conditional":
        flow = tfp_flows.condition(flow, data["context"])
    results[name + "_log_prob"] = flow.log_prob(x).numpy()
    shape = () if name == "conditional" else 7
    results[name + "_sample"] = flow.sample(shape, seed=tf.constant([5, 0])).numpy()
    results[name + "_trainable"] = [weight.trainable for weight in model.weights]
np.savez(folder + "/results.npz", **results)
"""


def run_fresh(code, *arguments, **environment):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What one fresh process makes of all the files, and what this one expects."""
    folder = tmp_path_factory.mktemp("saved")
    np.savez(folder / "data.npz", x=X, context=CONTEXT)
    expected = {}
    for name in FLOWS:
        model = made_model(name)
        model.save(folder / f"{name}.keras")
        log_prob, sample = scored(model, name == "conditional")
        expected[f"{name}_log_prob"] = log_prob
        expected[f"{name}_sample"] = sample
        expected[f"{name}_trainable"] = [weight.trainable for weight in model.weights]
    done = run_fresh(FRESH, folder, ",".join(FLOWS))
    assert done.returncode == 0, done.stderr[-3000:]
    return expected, dict(np.load(folder / "results.npz"))


@pytest.mark.parametrize("name", FLOWS)
def test_fresh_process_gives_the_same_bits(fresh, name):
    expected, results = fresh
    assert np.isfinite(expected[f"{name}_log_prob"]).all()
    for what in ("log_prob", "sample", "trainable"):
        np.testing.assert_array_equal(results[f"{name}_{what}"], expected[f"{name}_{what}"])
        assert results[f"{name}_{what}"].dtype == np.asarray(expected[f"{name}_{what}"]).dtype


def test_compiled_predictions_are_the_same_bits(tmp_path):
    model = made_model("neural_spline")
    model.compile()
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)


@pytest.mark.parametrize("name", FLOWS)
def test_saving_again_writes_the_same(name, tmp_path):
    made_model(name).save(tmp_path / "a.keras")
    keras.saving.load_model(tmp_path / "a.keras").save(tmp_path / "b.keras")
    assert config_of(tmp_path / "a.keras") == config_of(tmp_path / "b.keras")


def test_training_goes_on_where_it_was(tmp_path):
    """Two epochs, saved, two more: the same weights as four, with the optimizer's moments."""

    def make():
        model = made_model("real_nvp")
        schedule = keras.optimizers.schedules.CosineDecay(0.05, 40)
        model.compile(keras.optimizers.Adam(schedule, clipnorm=1.0), jit_compile=False)
        return model

    fit = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    whole, first = make(), make()
    whole.fit(X, **fit)
    whole.fit(X, **fit)
    first.fit(X, **fit)
    first.save(tmp_path / "m.keras")
    second = keras.saving.load_model(tmp_path / "m.keras")
    assert second.optimizer.iterations == 4
    assert second.jit_compile is False
    second.fit(X, **fit)
    for a, b in zip(second.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    forgetful = keras.saving.load_model(tmp_path / "m.keras")
    forgetful.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    forgetful.fit(X, **fit)
    assert any(np.any(a != b) for a, b in zip(forgetful.weights, whole.weights, strict=True))


def test_model_that_was_never_compiled_loads_uncompiled(tmp_path):
    made_model("maf").save(tmp_path / "m.keras")
    assert not keras.saving.load_model(tmp_path / "m.keras").compiled


def test_weights_alone_are_complete(tmp_path):
    model = made_model("on_mixture_base")
    expected = scored(model, False)
    model.save_weights(tmp_path / "m.weights.h5")
    other = tfpf.FlowModel(FLOWS["on_mixture_base"]())
    assert np.any(scored(other, False)[0] != expected[0])
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(scored(other, False)[0], expected[0])


def test_standardization_is_kept_by_the_file_and_not_trained(tmp_path):
    made_model("standardized").save(tmp_path / "m.keras")
    (part,) = [
        part
        for part in keras.saving.load_model(tmp_path / "m.keras").distribution.bijector.bijectors
        if isinstance(part, tfpf.bijectors.Standardize)
    ]
    np.testing.assert_allclose(part.mean, 5.0 + 3.0 * X.mean(0), rtol=1e-5)
    assert not part.mean.trainable and not part.scale.trainable


# --- What cannot be saved says so, and where -------------------------------------------------


class Instance:
    def __call__(self, x):
        return tf.zeros([tf.shape(x)[0], 2])


def with_conditioner(conditioner):
    scale = tfb.Scale(tf.Variable(1.0))
    coupled = tfpf.bijectors.Coupling(conditioner, mask=[True, True, False])
    return tfd.TransformedDistribution(standard_normal(), tfb.Chain([scale, coupled]))


def tf_keras_network():
    network = tfb.AutoregressiveNetwork(params=2, event_shape=[3], hidden_units=[8])
    network(np.zeros([1, 3], "float32"))
    return tfd.TransformedDistribution(standard_normal(), tfb.MaskedAutoregressiveFlow(network))


CONDITIONER = "distribution.bijector.bijectors[1].conditioner"


@pytest.mark.parametrize(
    ("make", "place", "received"),
    [
        (lambda: with_conditioner(lambda x: 0.0 * x), CONDITIONER, "lambda"),
        (lambda: with_conditioner(Instance()), CONDITIONER, "Instance"),
        (
            lambda: with_conditioner(functools.partial(lambda x, n: n * x, n=0.0)),
            CONDITIONER,
            "functools.partial",
        ),
        (tf_keras_network, "distribution.bijector.shift_and_log_scale_fn", "AutoregressiveNetwork"),
        (
            lambda: tfd.Independent(tfd.Normal(keras.Variable(tf.ones([3])), tf.Variable(1.0)), 1),
            "distribution.distribution.loc",
            "Variable",
        ),
        (
            lambda: tfd.TransformedDistribution(
                standard_normal(),
                tfb.Chain(
                    [
                        tfb.Scale(tf.Variable(1.0)),
                        tfb.Inline(lambda x: x, forward_min_event_ndims=0),
                    ]
                ),
            ),
            "distribution.bijector.bijectors[1].forward_fn",
            "lambda",
        ),
    ],
    ids=["lambda", "instance", "partial", "tf_keras", "keras_variable", "inline"],
)
def test_what_cannot_be_saved_is_named_with_its_place(make, place, received, tmp_path):
    model = tfpf.FlowModel(make())
    with pytest.raises(ValueError) as info:
        model.save(tmp_path / "m.keras")
    message = str(info.value)
    assert f"`{place}`" in message
    assert received in message.rpartition("Received: ")[2]


@keras.saving.register_keras_serializable(package="test_saving")
def registered_conditioner(x):
    return 0.1 * x


def test_registered_function_is_kept_by_its_name(tmp_path):
    model = tfpf.FlowModel(with_conditioner(registered_conditioner))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.distribution.bijector.bijectors[1].conditioner is registered_conditioner
    np.testing.assert_array_equal(loaded(X), model(X))


def test_a_lambda_within_a_network_is_refused(tmp_path):
    dense = keras.layers.Dense(2, activation=lambda t: t * t)
    for network in (
        tfpf.layers.MLP(2, (4,), activation=lambda t: t * t),
        keras.Sequential([keras.Input((2,)), dense]),
    ):
        network.build((None, 2))
        model = tfpf.FlowModel(with_conditioner(network))
        with pytest.raises(ValueError, match="conditioner` cannot be saved.*with a lambda$"):
            model.save(tmp_path / "m.keras")


def test_a_file_stays_when_another_model_cannot_be_saved(tmp_path):
    model = tfpf.FlowModel(with_conditioner(network(2, 2)))
    model.save(tmp_path / "m.keras")
    other = tfpf.FlowModel(with_conditioner(network(2, 2, activation=lambda t: t)))
    with pytest.raises(ValueError, match="cannot be saved"):
        other.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_variables_and_layers_that_are_frozen_stay_frozen(tmp_path):
    base = tfpf.distributions.mixture_of_gaussians(3, num_components=2, seed=1)
    model = tfpf.FlowModel(tfpf.flows.maf(3, base=base, **SMALL))
    model.loose_variables.adopted[0].trainable = False
    model.networks[0].masked_layers()[1].trainable = False
    model.compile("adam", jit_compile=False)
    model.fit(X, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    flags, expected = ([w.trainable for w in m.weights] for m in (loaded, model))
    assert flags == expected and flags.count(False) == 3
    assert loaded.optimizer.iterations == 1
    layer = loaded.networks[0].masked_layers()[1]
    assert not layer.trainable
    layer.trainable = True
    assert len(layer.trainable_weights) == 2
    model.trainable = False
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert not loaded.trainable and not loaded.trainable_weights


def test_a_clone_has_the_values_of_variables_and_new_networks():
    model = tfpf.FlowModel(standardized())
    for clone in (keras.models.clone_model(model), tfpf.FlowModel.from_config(model.get_config())):
        values = zip(clone.loose_variables.weights, model.loose_variables.weights, strict=True)
        for own, value in values:
            np.testing.assert_array_equal(own, value)
            assert own.value is not value.value
        assert np.isfinite(clone(X)).all()


# --- Layers and bijectors of the user --------------------------------------------------------


class Custom(keras.layers.Layer):
    """A user's own network, with a sublayer that may be shared."""

    def __init__(self, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner or keras.layers.Dense(2, kernel_initializer="glorot_normal")

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config.pop("inner"))
        return cls(inner, **config)


@keras.saving.register_keras_serializable(package="test_saving")
class Registered(Custom):
    pass


def custom_flow(layer):
    layer(np.zeros([1, 2], "float32"))
    return with_conditioner(layer)


def test_registered_layer(tmp_path):
    model = tfpf.FlowModel(custom_flow(Registered()))
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(X), model(X))


def test_layer_in_custom_objects(tmp_path):
    model = tfpf.FlowModel(custom_flow(Custom()))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Custom": Custom})
    np.testing.assert_array_equal(loaded(X), model(X))


def test_layer_that_is_neither_is_refused_by_name(tmp_path):
    tfpf.FlowModel(custom_flow(Custom())).save(tmp_path / "m.keras")
    with pytest.raises((TypeError, ValueError), match="Custom"):
        keras.saving.load_model(tmp_path / "m.keras")


class Doubling(tfpf.bijectors.FlowBijector):
    """A user's own bijector; `get_config` is only what Keras asks of a class to register it."""

    def __init__(self, factor, name="doubling"):
        parameters = dict(locals())
        self.factor = factor
        super().__init__(
            forward_min_event_ndims=0, dtype=tf.float32, parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x):
        return x * self.factor, tf.fill(tf.shape(x), tf.math.log(self.factor))

    def _inverse_and_log_det(self, y):
        return y / self.factor, tf.fill(tf.shape(y), -tf.math.log(self.factor))


def test_bijector_of_the_user(tmp_path):
    flow = tfd.TransformedDistribution(
        standard_normal(), tfb.Chain([Doubling(tf.Variable(1.0)), coupling(mask="halves")])
    )
    perturb(flow.variables)
    model = tfpf.FlowModel(flow)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="Doubling"):
        keras.saving.load_model(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Doubling": Doubling})
    np.testing.assert_array_equal(loaded(X), model(X))


def test_numpy_numbers_come_back_as_numbers(tmp_path):
    flow = tfpf.flows.neural_spline(3, num_bins=np.int64(4), bound=np.float32(2.0), **SMALL)
    model = tfpf.FlowModel(flow)
    perturb(flow.variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_frozen_network_stays_frozen(tmp_path):
    frozen, trained = network(1, 4), network(1, 4)
    frozen.trainable = False
    parts = [
        tfpf.bijectors.Coupling(layer, mask=[True, False, False]) for layer in (frozen, trained)
    ]
    model = tfpf.FlowModel(tfd.TransformedDistribution(standard_normal(), tfb.Chain(parts)))
    assert len(model.trainable_variables) == 4
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.trainable_variables) == 4
    assert len(loaded.variables) == len(model.variables)


def test_shared_objects_stay_shared(tmp_path):
    network = Registered()
    network(np.zeros([1, 2], "float32"))
    scale = tf.Variable(2.0)
    first = tfpf.bijectors.Coupling(network, mask=[True, True, False])
    second = tfpf.bijectors.Coupling(network, mask=[False, True, True])
    parts = [first, second, first, tfb.Scale(scale), tfb.Shift(scale)]
    flow = tfd.TransformedDistribution(standard_normal(), tfb.Chain(parts))
    perturb(flow.variables)
    model = tfpf.FlowModel(flow)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    a, b, again, d, e = loaded.distribution.bijector.bijectors
    assert a is again
    assert a.conditioner is b.conditioner
    assert d.scale is e.shift
    assert len(loaded.weights) == len(model.weights) == 3
    np.testing.assert_array_equal(loaded(X), model(X))


# --- Files that were tampered with -----------------------------------------------------------


def config_of(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


def tampered(path, edit):
    """A copy of the file whose configuration has gone through `edit(config)`."""
    target = path.with_name("tampered.keras")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as result:
        for entry in source.namelist():
            data = source.read(entry)
            if entry == "config.json":
                config = json.loads(data)
                edit(config)
                data = json.dumps(config)
            result.writestr(entry, data)
    return target


def entries(value, key):
    """Every `dict` below `value` that has the key."""
    if isinstance(value, dict):
        if key in value:
            yield value
        for item in value.values():
            yield from entries(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from entries(item, key)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = made_model("real_nvp")
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 40)))
    path = tmp_path_factory.mktemp("tampered") / "m.keras"
    model.save(path)
    return model, path


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that can be imported, and leaves a mark when it is, or when it is called."""
    mark = tmp_path / "mark"
    (tmp_path / "foreign_module.py").write_text(
        f"import pathlib\n\npathlib.Path({str(mark)!r}).touch()\n\n\n"
        "class Foreign:\n    def __init__(self, *args, **kwargs):\n        pass\n\n"
        "    @classmethod\n    def from_config(cls, config):\n        return cls()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(os, "system", lambda *args, **kwargs: mark.touch())
    yield mark
    assert not mark.exists()
    assert "foreign_module" not in sys.modules


def first_entry(config, key):
    return next(entries(config["config"]["distribution"], key))


def test_untouched_copy_loads(saved, tmp_path):
    """The tampering below fails for what it changes, not for how it is done."""
    model, path = saved
    loaded = keras.saving.load_model(tampered(path, lambda config: None))
    np.testing.assert_array_equal(loaded(X), model(X))


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "foreign_module.Foreign",
        "registered:foreign_module.Foreign",
        "registered:Foreign",
        "registered:os.system",
        "registered:tfp_flows>MLP",
        "builtins.eval",
        "tfp.distributions.os.system",
        "tfp.bijectors.tf.io.write_file",
        "tfp_flows.bijectors.coupling.np.load",
        "tfp_flows.bijectors.__builtins__",
        "tfp.distributions.Unknown",
        "tf.linalg.matmul",
        "system",
        "",
    ],
)
@pytest.mark.parametrize("key", ["object", "class"])
def test_swapped_class_is_refused_by_name(saved, trap, key, name):
    def edit(config):
        first_entry(config, key)[key] = name

    with pytest.raises((ValueError, TypeError)) as info:
        keras.saving.load_model(tampered(saved[1], edit))
    if key == "class" and name == "registered:tfp_flows>MLP":
        # What is registered may stand here, but a layer is no transformer.
        assert "transformer" in str(info.value)
    else:
        assert name in str(info.value) or name.removeprefix("registered:") in str(info.value)


def test_function_that_is_not_registered_is_refused_by_name(saved, trap):
    def edit(config):
        entry = first_entry(config, "layer")
        entry.clear()
        entry["function"] = "os.system"

    with pytest.raises(ValueError, match="'os.system'"):
        keras.saving.load_model(tampered(saved[1], edit))


@pytest.mark.parametrize(
    ("module", "class_name"),
    [
        ("foreign_module", "Foreign"),
        ("os", "system"),
        ("builtins", "eval"),
        ("tfp_flows.layers.mlp", "np"),
        ("keras.utils", "get_file"),
    ],
)
@pytest.mark.parametrize("place", ["layer", "activation", "optimizer", "schedule", "model"])
def test_swapped_keras_object_is_refused(saved, trap, place, module, class_name):
    swapped = {
        "module": module,
        "class_name": class_name,
        "config": {"command": "touch", "name": "swapped"},
        "registered_name": class_name,
    }

    def edit(config):
        layer = first_entry(config, "layer")
        if place == "layer":
            layer["layer"] = swapped
        elif place == "activation":
            layer["layer"]["config"]["kernel_initializer"] = swapped
        elif place == "optimizer":
            config["compile_config"]["optimizer"] = swapped
        elif place == "schedule":
            config["compile_config"]["optimizer"]["config"]["learning_rate"] = swapped
        else:
            config.update(swapped)

    with pytest.raises((TypeError, ValueError), match=class_name):
        keras.saving.load_model(tampered(saved[1], edit))


def test_lambda_layer_in_a_file_is_refused(saved, trap):
    lambda_layer = keras.layers.Lambda(lambda x: os.system("touch") or x)
    swapped = keras.saving.serialize_keras_object(lambda_layer)

    def edit(config):
        first_entry(config, "layer")["layer"] = swapped

    with pytest.raises(ValueError, match="[Ll]ambda"):
        keras.saving.load_model(tampered(saved[1], edit))


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, [1]])
def test_unknown_format_version_is_refused(saved, version):
    def edit(config):
        config["config"]["format_version"] = version

    with pytest.raises(ValueError, match="format_version=") as info:
        keras.saving.load_model(tampered(saved[1], edit))
    assert repr(version) in str(info.value)


def test_missing_format_version_is_refused(saved):
    with pytest.raises(ValueError, match="format_version=None"):
        keras.saving.load_model(
            tampered(saved[1], lambda config: config["config"].pop("format_version"))
        )


def test_unknown_entry_is_refused(saved):
    def edit(config):
        entry = first_entry(config, "layer")
        entry.clear()
        entry["pickle"] = "gASV"

    with pytest.raises(ValueError, match="pickle"):
        keras.saving.load_model(tampered(saved[1], edit))


def test_fresh_process_refuses_the_layer_of_another_module_by_name(tmp_path):
    tfpf.FlowModel(custom_flow(Registered())).save(tmp_path / "m.keras")
    code = "import sys, tfp_flows, keras; keras.saving.load_model(sys.argv[1])"
    done = run_fresh(code, tmp_path / "m.keras")
    assert done.returncode != 0
    assert "Registered" in done.stderr.strip().rpartition("Error: ")[2]


def test_an_order_given_as_a_range_is_saved():
    made = tfpf.layers.MADE(3, 2, (4,))
    made.build((None, 3))
    bijector = tfpf.bijectors.Autoregressive(made, order=range(3))
    again = saving.decode(saving.encode(bijector))
    assert again.order == (0, 1, 2)


def test_a_bijector_that_does_not_say_what_it_is_made_of_is_refused():
    class Silent(tfp.bijectors.Bijector):
        def __init__(self):
            super().__init__(forward_min_event_ndims=0)

    with pytest.raises(ValueError, match=r"`distribution.bijectors\[0\]`.*parameters=dict"):
        saving.encode(tfp.bijectors.Chain([Silent()]))


def test_hdf5_is_refused(tmp_path):
    model = tfpf.FlowModel(tfpf.flows.maf(2, num_layers=1, hidden_units=(4,)))
    with pytest.raises(ValueError, match="`filepath` must end with '.keras'.*Received: .*a.h5"):
        model.save(tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())
