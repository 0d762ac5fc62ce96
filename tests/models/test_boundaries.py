"""Rows on or beyond the bounds of a flow: `fit` and `adapt` name them, and densities are zero."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 0.9, size=[8, 2]).astype("float32")
EDGE = X.copy()
EDGE[[3, 5], 1] = [1.0, 2.0]
NAMED = r"support.*column 1 in \(0, 1\).*Received: 2 rows outside, the first is row 3 with 1"


def made_model(kind=tfpf.distributions.Flow, parts=(), **options):
    base = tfd.Independent(tfd.Normal(tf.Variable([0.1, -0.2]), [1.0, 2.0]), 1)
    model = tfpf.FlowModel(kind(base, tfb.Chain([tfb.Sigmoid(), *parts])))
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False, **options)
    return model


def dataset(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(4)


def test_arrays_are_refused_before_anything_happens():
    model = made_model(run_eagerly=True)
    for call in (
        lambda: model.fit(EDGE, verbose=0),
        lambda: model.fit(X, validation_data=EDGE, verbose=0),
        lambda: model.fit(X, validation_data=(EDGE, None, np.ones(8)), verbose=0),
    ):
        with pytest.raises(ValueError, match=f"`x` must lie inside of the {NAMED}"):
            call()
    assert int(model.optimizer.iterations) == 0
    weight = np.ones(8)
    weight[[3, 5]] = 0.0
    history = model.fit(X, validation_data=(EDGE, None, weight), verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


@pytest.mark.parametrize("kind", [tfpf.distributions.Flow, tfd.TransformedDistribution])
def test_datasets_stop_the_fit_and_densities_are_zero(kind):
    # One of them in a graph: what is said of a row does not depend on the class.
    model = made_model(kind, run_eagerly=kind is tfd.TransformedDistribution)
    expected = model.predict(X, verbose=0)
    expected[[3, 5]] = -np.inf
    np.testing.assert_allclose(model.predict(EDGE, verbose=0), expected, rtol=1e-5)
    assert model.evaluate(EDGE, verbose=0) == np.inf
    named = r"step 1 of .*epoch 1.*loss=inf; row 3 of that batch .*the support is \(0, 1\)"
    with pytest.raises(FloatingPointError, match=named):
        model.fit(dataset(EDGE), verbose=0)
    stop = keras.callbacks.EarlyStopping(patience=0)
    with pytest.raises(FloatingPointError, match=f"validation loss.*{named}"):
        model.fit(X, validation_data=dataset(EDGE), callbacks=[stop], epochs=3, verbose=0)
    nan = np.where(EDGE > 1.0, np.nan, X).astype("float32")
    with pytest.raises(FloatingPointError, match="step 2 .*not finite in row 1 of .*, column 1"):
        model.fit(dataset(nan), verbose=0)


def test_adapt_names_the_row():
    model = made_model(parts=[B.Standardize(2)])
    with pytest.raises(ValueError, match=f"`data` must lie inside of the {NAMED}"):
        model.adapt(EDGE)
    model.adapt(X)


def test_a_density_that_is_infinite_names_the_row_of_the_data():
    concentration = tfp.util.TransformedVariable([1.5, 1.2], tfb.Exp())
    model = tfpf.FlowModel(tfd.Independent(tfd.Beta(concentration, [0.5, 0.5]), 1))
    model.compile(jit_compile=False, run_eagerly=True)
    x = X.copy()
    x[6] = 1.0
    with pytest.raises(FloatingPointError, match="; row 6 of the data has no finite density"):
        model.fit(x, batch_size=4, verbose=0)
