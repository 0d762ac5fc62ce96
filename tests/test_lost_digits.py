"""Casts that lose the digits by which rows differ are told of, and no others."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions
RNG = np.random.default_rng(0)
TIMES = 1.7e9 + RNG.uniform(0.0, 900.0, size=[50, 1])
X = np.concatenate([RNG.normal(size=[50, 1]), TIMES], axis=1)
GOOD = RNG.normal(size=[50, 2])
C = np.concatenate([GOOD, TIMES], axis=1)


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(50)


def generator(*arrays):
    yield arrays


@pytest.fixture(scope="module")
def model():
    flow = tfpf.bijectors.Standardize(2)(tfd.Sample(tfd.Normal(0.0, 1.0), 2))
    model = tfpf.FlowModel(
        tfpf.distributions.Flow(flow, tfp.bijectors.Shift(tf.Variable([0.0, 0.0])))
    )
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False, run_eagerly=True)
    return model


@pytest.fixture(scope="module")
def conditional():
    network = tfpf.layers.MLP(4, (), seed=0)
    network.build((None, 3))
    model = tfpf.FlowModel(tfpf.distributions.ConditionalNormal(network, 2, 3))
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False, run_eagerly=True)
    return model


CALLS = {
    "fit": lambda m, x: m.fit(x, epochs=0, verbose=0),
    "fit dataset": lambda m, x: m.fit(dataset(x), epochs=0, verbose=0),
    "validation": lambda m, x: m.fit(GOOD, validation_data=x, epochs=0, verbose=0),
    "evaluate": lambda m, x: m.evaluate(x, verbose=0),
    "evaluate dataset": lambda m, x: m.evaluate(dataset(x), verbose=0),
    "predict": lambda m, x: m.predict(x, verbose=0),
    "predict generator": lambda m, x: m.predict(generator(x), verbose=0),
    "adapt": lambda m, x: m.adapt(x),
}


@pytest.mark.parametrize("name", CALLS)
def test_data(model, name):
    named = "`data`" if name == "adapt" else "`x`"
    with pytest.warns(
        UserWarning, match=f"column 1 of {named} loses its digits.*128 apart"
    ) as info:
        CALLS[name](model, X)
    (warning,) = [w for w in info if "digits" in str(w.message)]
    assert warning.filename == __file__ and "Subtract an offset" in str(warning.message)
    for fine in (GOOD, X.astype("float32"), X - X.mean(0)):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*digits")
            CALLS[name](model, fine)


def test_contexts(conditional):
    expected = "column 2 of `context` loses its digits"
    for call in (
        lambda: conditional.fit(C, GOOD, epochs=0, verbose=0),
        lambda: conditional.evaluate(dataset(C, GOOD), verbose=0),
        lambda: conditional.predict((C.astype("int64"), GOOD), verbose=0),
        lambda: tfpf.condition(conditional.distribution, C),
        lambda: tfpf.condition(conditional.distribution, C.tolist()),
    ):
        with pytest.warns(UserWarning, match=expected):
            call()


def test_what_is_exact_or_constant_has_nothing_to_lose(model):
    whole = np.stack([RNG.integers(0, 2**24, 50), np.arange(50.0) * 128 + 2**30], axis=1)
    constant = np.stack([GOOD[:, 0], np.full(50, 1e9 + 0.1)], axis=1)
    wide = GOOD * 1e9 + 1e9
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*digits")
        for x in (whole.astype("float64"), constant, wide, GOOD[:1]):
            model.predict(x, verbose=0)


def test_float64_flows_take_them_as_they_are():
    model = tfpf.FlowModel(tfd.MultivariateNormalDiag(tf.Variable(X.mean(0)), [1.0, 900.0]))
    model.compile(jit_compile=False, run_eagerly=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*digits")
        model.evaluate(X, verbose=0)
