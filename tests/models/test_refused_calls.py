"""A call that is refused leaves the model as if it had not been made."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors

RNG = np.random.default_rng(0)
X = RNG.normal(size=[8, 2]).astype("float32")
C = RNG.normal(size=[8, 3]).astype("float32")


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(4)


def of_unknown_shape(*arrays):
    """Only the first step finds out what its shape is."""
    specs = tuple(tf.TensorSpec(None, array.dtype) for array in arrays)
    return tf.data.Dataset.from_generator(lambda: iter([arrays]), output_signature=specs)


def conditional_model(**options):
    network = tfpf.layers.MLP(4, (), seed=0)
    network.build((None, 3))
    model = tfpf.FlowModel(tfpf.distributions.ConditionalNormal(network, 2, 3))
    model.compile(keras.optimizers.Adam(0.1), **options)
    return model


BAD = {
    "dtype": lambda: dataset(C, X.astype("int32")),
    "width": lambda: dataset(C, X[:, :1]),
    "rank": lambda: dataset(C, X[:, None]),
    "strings": lambda: dataset(C, X.astype(str)),
    "no context": lambda: dataset(X),
    "width of context": lambda: dataset(C[:, :2], X),
    "one context for all": lambda: tf.data.Dataset.from_tensors((C[0], X)),
    "unlike rows": lambda: tf.data.Dataset.from_tensors((C[:5], X)),
    "context of strings": lambda: dataset(C.astype(str), X),
    "weights of strings": lambda: dataset(C, X, X[:, 0].astype(str)),
    "unbatched": lambda: tf.data.Dataset.from_tensor_slices((C, X)),
    "nothing": lambda: dataset(C, X).take(0),
    "unknown width": lambda: of_unknown_shape(C, X[:, :1]),
    "unknown context": lambda: of_unknown_shape(C[:, :2], X),
}
ERRORS = (TypeError, ValueError, tf.errors.InvalidArgumentError)


# Without XLA the same functions are traced: nine seconds more.
@pytest.mark.parametrize("jit_compile", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_good_data_after_bad_ones_train_as_ever(jit_compile):
    model = conditional_model(jit_compile=jit_compile)
    kinds = ("dtype", "unknown context") if jit_compile else BAD
    methods = ("fit",) if jit_compile else ("fit", "evaluate", "predict")
    before = model.get_weights()
    for kind in kinds:
        for method in methods:
            if (method, kind) == ("predict", "nothing"):
                continue
            with pytest.raises(ERRORS):
                getattr(model, method)(BAD[kind](), verbose=0)
        with pytest.raises(ERRORS):
            model.fit(C, X, validation_data=BAD[kind](), verbose=0, epochs=0)
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    models = [model] if jit_compile else [model, conditional_model(jit_compile=False)]
    for each in models:
        each.fit(C, X, shuffle=False, verbose=0)
        each.fit(dataset(C, X), verbose=0)
    if jit_compile:
        return
    fresh = models[1]
    np.testing.assert_allclose(model.evaluate(C, X, verbose=0), fresh.evaluate(C, X, verbose=0))
    np.testing.assert_allclose(
        model.predict((C, X), verbose=0), fresh.predict((C, X), verbose=0), rtol=1e-6
    )


def test_single_batches():
    model = conditional_model(jit_compile=False)
    before = model.get_weights()
    for _ in range(2):
        with pytest.raises(ERRORS):
            model.train_on_batch(C, X.astype("int32"))
        with pytest.raises(ERRORS):
            model.test_on_batch(C[:, :2], X)
        with pytest.raises(ERRORS):
            model.predict_on_batch((C, X[:, :1]))
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    model.train_on_batch(C, X)
    assert np.isfinite(model.test_on_batch(C, X))
    assert model.predict_on_batch((C, X)).shape == (8,)


def test_a_callable_that_fails_and_then_makes_its_variable():
    """TensorFlow lets a function make variables only in the tracing that comes first."""
    fails, held = [True], []

    def shift(x):
        if fails[0]:
            raise RuntimeError("not yet")
        if not held:
            held.append(tf.Variable(1.0, trainable=False))
        return x * held[0]

    location = tfp.util.DeferredTensor(tf.Variable([0.0, 0.0]), shift, shape=[2], dtype=tf.float32)
    model = tfpf.FlowModel(tfd.Independent(tfd.Normal(location, 1.0), 1))
    model.compile(jit_compile=False)
    with pytest.raises(RuntimeError, match="not yet"):
        model.fit(X, verbose=0)
    fails[0] = False
    model.fit(X, verbose=0)
    assert np.isfinite(model.evaluate(X, verbose=0))


def test_parts_that_adapt_all_do_or_none():
    """The second part meets data that the first has let through."""
    parts = [B.ActNorm(2), B.Standardize(2)]
    log = tfb.Invert(tfb.Exp())
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    flow = tfpf.distributions.Flow(base, tfb.Chain([parts[0], tfb.Invert(log), parts[1]]))
    model = tfpf.FlowModel(flow)
    model.compile(jit_compile=False)
    with pytest.raises(ValueError, match="must be finite.*row 0, column 1"):
        model.adapt(X)  # half of the numbers are negative behind the first part
    with pytest.raises(FloatingPointError, match="step 1 of epoch 1"):
        model.fit(X, verbose=0)
    with pytest.raises(FloatingPointError):
        model.train_on_batch(X)
    assert not parts[0].initialized
    np.testing.assert_array_equal(parts[0].shift, 0.0)
