"""Batch normalisation: batch statistics in training, running ones else, and their log-dets."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import batch_norm, perturb

import tfp_flows as tfpf
from tfp_flows.bijectors import BatchNorm

tfb = tfp.bijectors
tfd = tfp.distributions

RNG = np.random.default_rng(0)
DATA = RNG.normal([3.0, -1.0], [2.0, 0.1], [256, 2])


def made(momentum=0.9, dtype="float64", bijectors=None):
    """A batch norm with other g and b than zero, and a model of it."""
    part = BatchNorm(2, momentum, 1e-3, dtype=dtype)
    perturb(part.variables)
    base = tfd.Sample(tfd.Normal(tf.zeros([], dtype), 1.0), 2)
    chain = tfb.Chain([*(bijectors or []), part])
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, chain))
    return part, model


def formula(part, y, mean, variance):
    """x and log |det dx/dy|, as the docstring has them."""
    g, b = part.parameters["log_scale"].numpy(), part.parameters["shift"].numpy()
    x = np.exp(g) * (y - mean) / np.sqrt(variance + 1e-3) + b
    return x, np.sum(g - np.log(variance + 1e-3) / 2)


def log_prob(part, y, mean, variance):
    x, log_det = formula(part, y, mean, variance)
    return tfd.Normal(np.zeros(2), 1.0).log_prob(x).numpy().sum(-1) + log_det


def test_inference_uses_the_running_moments():
    part, model = made()
    part.moments.mean.assign([1.0, 2.0])
    part.moments.variance.assign([4.0, 0.5])
    x, log_det = formula(part, DATA, np.array([1.0, 2.0]), np.array([4.0, 0.5]))
    np.testing.assert_allclose(part.inverse(DATA), x, rtol=1e-12)
    np.testing.assert_allclose(part.inverse_log_det_jacobian(DATA), np.full(256, log_det))
    np.testing.assert_allclose(part.forward(x), DATA, rtol=1e-10)
    expected = log_prob(part, DATA, np.array([1.0, 2.0]), np.array([4.0, 0.5]))
    np.testing.assert_allclose(model.distribution.log_prob(DATA), expected, rtol=1e-10)
    np.testing.assert_allclose(model.predict(DATA, verbose=0), expected, rtol=1e-10)
    np.testing.assert_array_equal(part.moments.mean, [1.0, 2.0])


@pytest.mark.parametrize("compiled", [False, True])
def test_training_uses_those_of_the_batch_and_moves_the_running_ones_once(compiled):
    """Value and log-det come from the same statistics, also through a chain."""
    part, model = made(bijectors=[tfb.Scale(tf.constant(2.0, tf.float64))])
    call = lambda y: model(y, training=True)  # noqa: E731
    if compiled:
        call = tf.function(call, jit_compile=True, autograph=False)
    y = DATA / 2.0
    mean, variance = y.mean(0), y.var(0)
    expected = log_prob(part, y, mean, variance) - 2 * np.log(2.0)
    np.testing.assert_allclose(call(tf.constant(DATA)), expected, rtol=1e-9)
    np.testing.assert_allclose(part.moments.mean, 0.1 * mean, rtol=1e-9)
    np.testing.assert_allclose(part.moments.variance, 0.9 + 0.1 * variance, rtol=1e-9)


def test_gradients_go_through_the_statistics_of_the_batch():
    part, model = made()
    y = tf.constant(DATA[:8])
    weights = tf.constant(RNG.normal(size=8))

    def loss(y):
        return tf.reduce_sum(weights * model(y, training=True))

    with tf.GradientTape() as tape:
        tape.watch(y)
        value = loss(y)
    gradient = tape.gradient(value, y)
    direction = RNG.normal(size=[8, 2])
    numeric = (loss(y + 1e-6 * direction) - loss(y - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(np.sum(gradient * direction), numeric, rtol=1e-6)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": True}], ids=str)
def test_a_step_of_fit_moves_the_running_moments_once(options):
    part, model = made(dtype="float32")
    model.compile("adam", **options)
    model.fit(DATA, batch_size=64, shuffle=False, verbose=0)
    mean, variance = np.zeros(2), np.ones(2)
    for batch in DATA.reshape(4, 64, 2):
        mean = 0.9 * mean + 0.1 * batch.mean(0)
        variance = 0.9 * variance + 0.1 * batch.var(0)
    np.testing.assert_allclose(part.moments.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(part.moments.variance, variance, rtol=1e-5)


def test_a_small_flow_learns_and_its_moments_are_those_of_the_data():
    part = BatchNorm(2, momentum=0.9)
    scale = tfb.Scale(tf.Variable([2.0, 0.5]))
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    chain = tfb.Chain([part, scale, BatchNorm(2, 0.9)])
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, chain))
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    before = model.evaluate(DATA, verbose=0)
    model.fit(DATA, epochs=10, batch_size=32, shuffle=False, verbose=0)
    np.testing.assert_allclose(part.moments.mean, DATA.mean(0), atol=0.15 * DATA.std(0).max())
    np.testing.assert_allclose(part.moments.variance, DATA.var(0), rtol=0.15)
    normal = tfd.MultivariateNormalDiag(DATA.mean(0), DATA.std(0))
    entropy = -np.mean(normal.log_prob(DATA))
    evaluated = model.evaluate(DATA, verbose=0)
    assert before > entropy + 1.0 and evaluated < entropy + 0.05
    # Inference, by the running moments, whoever asks.
    plain = -np.mean(model.distribution.log_prob(DATA.astype("float32")))
    np.testing.assert_allclose(evaluated, plain, rtol=1e-5)


def test_rows_that_fill_up_the_last_batch_do_not_bend_the_statistics():
    """Copies of one row would have no variance."""
    part, model = made(momentum=0.5, dtype="float32")
    model.compile("adam", jit_compile=False)
    model.fit(DATA[:130], batch_size=128, epochs=10, verbose=0)
    np.testing.assert_allclose(part.moments.variance, DATA[:130].var(0), rtol=0.2)


@pytest.mark.parametrize("num_rows", [1, 2])
def test_a_batch_of_few_rows_is_no_nan(num_rows):
    part, model = made(dtype="float32")
    y = tf.constant(DATA[:num_rows], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = model(y, training=True)
    gradients = tape.gradient(value, [y, *model.trainable_variables])
    for tensor in (value, *gradients, *part.variables):
        assert np.isfinite(tensor).all()


def test_images_are_normalised_by_channel():
    part = BatchNorm(2, momentum=0.5, dtype="float64")
    base = tfd.Sample(tfd.Normal(np.zeros([]), 1.0), [4, 5, 2])
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, part))
    images = DATA[:240].reshape(12, 4, 5, 2)
    mean, variance = images.mean((0, 1, 2)), images.var((0, 1, 2))
    x = (images - mean) / np.sqrt(variance + 1e-5)
    expected = base.log_prob(x) - 20 * np.sum(np.log(variance + 1e-5) / 2)
    np.testing.assert_allclose(model(tf.constant(images), training=True), expected, rtol=1e-9)
    np.testing.assert_allclose(part.moments.mean, 0.5 * mean, rtol=1e-9)


def test_is_saved_and_training_goes_on(tmp_path):
    part, model = made(dtype="float32")
    model.compile("adam", run_eagerly=True)
    model.fit(DATA, batch_size=64, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = DATA.astype("float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    same = [layer for layer in loaded.networks if layer.momentum == 0.9]
    np.testing.assert_array_equal(same[0].variance, part.moments.variance)
    assert len(loaded.trainable_variables) == 2
    loaded.fit(DATA, batch_size=64, verbose=0)
    assert np.any(np.array(same[0].mean) != np.array(part.moments.mean))


def test_variables_are_seen_by_tfp_and_half_of_them_trained():
    part = batch_norm("float32")
    assert len(part.variables) == 4 and len(part.trainable_variables) == 2


@pytest.mark.parametrize("value", [0.0, 1e30])
def test_saturated_moments(value):
    """Infinite only where the value is beyond float32."""
    part, wide = batch_norm("float32"), batch_norm("float64")
    for each in (part, wide):
        each.moments.variance.assign([value] * 3)
    x = tf.constant([[0.0, 1.0, -1e30]])
    for method in ("_forward_and_log_det", "_inverse_and_log_det"):
        y, log_det = getattr(part, method)(x)
        exact, exact_log_det = getattr(wide, method)(tf.cast(x, tf.float64))
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(y, exact.numpy().astype("float32"), rtol=1e-5)
        np.testing.assert_allclose(log_det, exact_log_det, rtol=1e-5)


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change,error,named",
    [
        ({"event_size": 0}, ValueError, "event_size"),
        ({"event_size": 2.0}, TypeError, "event_size"),
        ({"momentum": 0.0}, ValueError, "momentum"),
        ({"momentum": 1.0}, ValueError, "momentum"),
        ({"momentum": np.nan}, ValueError, "momentum"),
        ({"momentum": "0.9"}, TypeError, "momentum"),
        ({"epsilon": 0.0}, ValueError, "epsilon"),
        ({"epsilon": -1e-3}, ValueError, "epsilon"),
        ({"log_scale": tf.zeros([3])}, ValueError, "log_scale"),
        ({"shift": tf.zeros([3])}, ValueError, "shift"),
        ({"moments": keras.layers.Dense(2)}, ValueError, "moments"),
        ({"moments": tfpf.bijectors.BatchNorm(3).moments}, ValueError, "moments"),
    ],
    ids=str,
)
def test_bad_input_is_named(change, error, named):
    with pytest.raises(error, match=f"`{named}` must .*Received: {named}"):
        BatchNorm(**{"event_size": 2, **change})


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size(method):
    with pytest.raises(ValueError, match=r"`batch_norm` acts on events of 4 .*Received: .*\(5, 3"):
        getattr(BatchNorm(4), method)(tf.zeros([5, 3]))
