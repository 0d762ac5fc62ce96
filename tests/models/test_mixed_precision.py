"""Networks of Keras's mixed policies: they alone compute in half precision, densities do not."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B, L = tfpf.bijectors, tfpf.layers

POLICIES = ("mixed_bfloat16", "mixed_float16")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
IMAGES = RNG.normal(size=(16, 4, 4, 2)).astype("float32")
CONTEXT = RNG.normal(size=(64, 3)).astype("float32")


def networks(kind, dtype):
    """Two built networks with weights that are no longer those of the start."""
    made = []
    for i in range(2):
        options = {"seed": i, "dtype": dtype}
        if kind == "coupling":
            network = L.MLP(2 * 23, (16,), **options)
            network.build((None, 2))
        elif kind == "conditional":
            network = L.MLP(2 * 2, (16,), context_size=3, **options)
            network.build((None, 2), (None, 3))
        elif kind == "autoregressive":
            network = L.MADE(4, 2, (16,), **options)
            network.build((None, 4))
        else:
            network = L.ConvNet(2, (8,), **options)
            network.build((None, 4, 4, 1))
        # Sizes as after a training: the first numbers are zero.
        rng = np.random.default_rng(i)
        for weight in network.trainable_weights:
            weight.assign(weight + rng.normal(0.0, 0.05, size=weight.shape))
        made.append(network)
    return made


def flow(kind, conditioners, dtype="float32"):
    """Two layers over the conditioners, networks or functions."""
    parts = []
    for i, conditioner in enumerate(conditioners):
        if kind == "autoregressive":
            part = B.Autoregressive(conditioner, dtype=dtype)
        elif kind == "image":
            mask = np.array([i % 2 == 0, i % 2 == 1]).reshape(1, 1, 2)
            part = B.Coupling(conditioner, mask=mask, dtype=dtype)
        else:
            mask = [j % 2 == i for j in range(4)]
            is_spline = kind == "coupling"
            transformer = B.RationalQuadraticSpline if is_spline else B.Affine
            options = {"num_bins": 8} if is_spline else {}
            size = 0 if is_spline else 3
            part = B.Coupling(
                conditioner, transformer, options, mask, context_size=size, dtype=dtype
            )
        parts.append(part)
    zero = np.zeros([], dtype)
    shape = (4, 4, 2) if kind == "image" else 4
    base = tfd.Sample(tfd.Normal(zero, np.ones([], dtype)), shape)
    return tfpf.distributions.Flow(base, tfb.Chain(parts))


def in_double(network):
    """The network, in its own precision, with its outputs in float64."""

    def call(x, **kwargs):
        kwargs = {name: tf.cast(value, tf.float32) for name, value in kwargs.items()}
        return tf.cast(network(tf.cast(x, tf.float32), **kwargs), tf.float64)

    return call


def data(kind):
    if kind == "conditional":
        return (CONTEXT, X)
    return (IMAGES,) if kind == "image" else (X,)


def log_density(distribution, kind, dtype="float32"):
    arrays = [array.astype(dtype) for array in data(kind)]
    if kind == "conditional":
        distribution = tfpf.condition(distribution, arrays[0])
    return distribution.log_prob(arrays[-1])


KINDS = ("coupling", "conditional", "autoregressive", "image")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_network_is_rounded(kind, policy):
    """All else in float64 gives the same densities, to the digits of float32."""
    for network in networks(kind, policy):
        assert network.compute_dtype == policy.removeprefix("mixed_")
        values = log_density(flow(kind, [network]), kind)
        assert values.dtype == tf.float32
        exact = log_density(flow(kind, [in_double(network)], "float64"), kind, "float64")
        np.testing.assert_allclose(values, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("coupling", "mixed_bfloat16"),
        # Five seconds each; the errors of all kinds are measured above.
        *(
            pytest.param(kind, policy, marks=pytest.mark.slow)
            for kind in KINDS
            for policy in POLICIES
            if (kind, policy) != ("coupling", "mixed_bfloat16")
        ),
    ],
)
def test_trains_and_reloads(tmp_path, kind, policy):
    model = tfpf.FlowModel(flow(kind, networks(kind, policy)))
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False, run_eagerly=True)
    # Keras's scale of the loss starts at 2^15; steps that overflow are left out, and halve it.
    epochs = 12 if policy == "mixed_float16" else 3
    losses = model.fit(*data(kind), batch_size=64, epochs=epochs, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    inputs = data(kind) if kind == "conditional" else data(kind)[0]
    values = model(inputs)
    assert values.dtype == tf.float32
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert {network.dtype_policy.name for network in loaded.networks} == {policy}
    np.testing.assert_array_equal(loaded(inputs), values)
    assert type(loaded.optimizer) is type(model.optimizer)
    loaded.fit(*data(kind), batch_size=64, verbose=0)


# --- Recipes, under a global policy ----------------------------------------------------------

SMALL = {"num_layers": 1, "seed": 1}
NARROW = {"hidden_units": (8,), **SMALL}
FEW = {"hidden_channels": (4,), **SMALL}
FOLLOW = {
    "nice": ((4,), NARROW),
    "real_nvp": ((4,), NARROW),
    "maf": ((4,), NARROW),
    "iaf": ((4,), {"context_size": 2, **NARROW}),
    "naf": ((4,), NARROW),
    "neural_spline": ((4,), {"context_size": 2, **NARROW}),
    "flow_plus_plus": ((4,), NARROW),
    "planar": ((4,), {"context_size": 2, **NARROW}),
    "glow": ((4, 4, 2), {"num_scales": 1, **FEW}),
    "wavenet": ((8, 2), FEW),
    "waveglow": ((8, 1), {"factor": 2, "num_scales": 1, **FEW}),
}
ONE_STEP = {"hidden_units": (8,), "solver": "euler", "num_steps": 1, "seed": 1}
STAY = {"ffjord": ((4,), ONE_STEP), "residual": ((4,), NARROW)}


@pytest.fixture
def mixed_policy():
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(previous)


def made(name, shape, options):
    return tfpf.FlowModel(getattr(tfpf.flows, name)(shape, **options))


@pytest.mark.parametrize("name", FOLLOW)
def test_networks_of_recipes_follow_the_global_policy(mixed_policy, name):
    shape, options = FOLLOW[name]
    model = made(name, shape, options)
    assert {network.compute_dtype for network in model.networks} == {"bfloat16"}
    assert {str(v.dtype) for v in model.trainable_weights} == {"float32"}
    keras.config.set_dtype_policy("float32")
    single = made(name, shape, options)
    rng = np.random.default_rng(0)
    for weight, other in zip(model.weights, single.weights, strict=True):
        weight.assign(other + 0.05 * rng.normal(size=other.shape) * other.trainable)
        other.assign(weight)
    size = options.get("context_size", 0)
    flow = model.distribution
    x = rng.normal(size=(8, *shape)).astype("float32")
    inputs = (rng.normal(size=(8, size)).astype("float32"), x) if size else x
    values, expected = model(inputs), single(inputs)
    assert values.dtype == tf.float32 and flow.dtype == tf.float32
    assert np.any(values != expected)
    # Half of a unit of bfloat16 is 2^-9 of a raw number.
    np.testing.assert_allclose(values, expected, atol=0.02 * np.prod(shape))
    flow = tfpf.condition(flow, inputs[0]) if size else flow
    samples, density = flow.experimental_sample_and_log_prob(seed=[0, 1])
    assert samples.dtype == density.dtype == tf.float32
    assert np.all(np.isfinite(density))


@pytest.mark.parametrize("name", STAY)
def test_networks_that_are_differentiated_or_solved_stay_single(mixed_policy, name):
    model = made(name, *STAY[name])
    keras.config.set_dtype_policy("float32")
    single = made(name, *STAY[name])
    for weight, other in zip(model.weights, single.weights, strict=True):
        other.assign(weight)
    np.testing.assert_array_equal(model(X), single(X))


def test_double_precision_stays(mixed_policy):
    model = made("real_nvp", 4, {"dtype": "float64", **NARROW})
    assert {network.compute_dtype for network in model.networks} == {"float64"}
