"""Two devices train as one does, compiled by XLA on each, agree on what they count, draw apart."""

import json
import subprocess
import sys

import pytest

# Logical devices have to be made before TensorFlow starts: so in another process, one for all.
SETUP = """
import contextlib
import keras, numpy as np, tensorflow as tf, tensorflow_probability as tfp
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import tfp_flows as tfpf
# One for all: those of two strategies count their messages between devices from the same number.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
def normal_of(location):
    # A `MultivariateNormalDiag` takes four times as long to trace.
    return tfp.distributions.Independent(tfp.distributions.Normal(location, 1.0), 1)
"""

TRAINING = """
# Keras 3.12 does not divide the penalty by the number of rows: two devices pay it twice.
PENALTY = None if keras.__version__.startswith("3.12.") else "l2"
reached = []
x = np.random.default_rng(0).normal(1.0, size=(512, 2)).astype("float32")
# XLA on each of two devices, and not even a graph on one.
for scope, jit_compile in ((contextlib.nullcontext, False), (strategy.scope, True)):
    with scope():
        dense = keras.layers.Dense(2, activity_regularizer=PENALTY, kernel_initializer="ones")
        network = keras.Sequential([keras.Input((1,)), dense])
        coupling = tfpf.bijectors.Coupling(network, mask=[True, False])
        normal = normal_of(tf.Variable([0.1, 0.0]))
        model = tfpf.FlowModel(tfpf.distributions.Flow(normal, coupling))
        # Momentum, so that the optimizer has a state; not Adam, which rescales every gradient.
        options = {"jit_compile": jit_compile, "run_eagerly": not jit_compile}
        model.compile(keras.optimizers.SGD(0.01, momentum=0.5), **options)
        losses = model.fit(x, epochs=2, batch_size=128, shuffle=False, verbose=0).history["loss"]
    reached.append([*losses, *np.concatenate([np.ravel(w.numpy()) for w in model.weights])])
one, two = np.array(reached)
assert one[0] - one[1] > 0.01
np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
"""

ADAM = """
x = np.random.default_rng(0).normal([3.0, -2.0], size=(64, 2)).astype("float32")
reached = []
# Eager on one device, as above; a graph on each of two, and XLA in the script above.
for scope, on_two in ((contextlib.nullcontext, False), (strategy.scope, True)):
    with scope():
        location = tf.Variable([0.0, 0.0])
        normal = normal_of(location)
        model = tfpf.FlowModel(normal)
        # With so large an epsilon the size of a gradient counts, and whether it is clipped before
        # or after those of devices are summed.
        optimizer = keras.optimizers.Adam(0.5, clipnorm=0.5, epsilon=1.0)
        model.compile(optimizer, jit_compile=False, run_eagerly=not on_two)
    model.fit(x, batch_size=16, epochs=2, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 8
    values = strategy.experimental_local_results(location)
    for value in values:
        np.testing.assert_array_equal(value, values[0])
    reached.append(location.numpy())
assert np.all(np.abs(reached[0]) > 0.01)
np.testing.assert_allclose(*reached, rtol=1e-5)
"""

STATISTICS = """
y = np.random.default_rng(0).normal(5.0, 2.0, size=(512, 2)).astype("float32")
with strategy.scope():
    parts = [tfpf.bijectors.ActNorm(2), tfpf.bijectors.BatchNorm(2, momentum=0.5)]
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), 2)
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, tfp.bijectors.Chain(parts)))
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
model.fit(y, epochs=2, batch_size=128, shuffle=False, verbose=0)
# The start from data is the same on every device, and so are running statistics at the end, which
# each has kept for its own rows.
first, moments = y[:128], parts[1].moments
np.testing.assert_allclose(parts[0].shift, first.mean(0), rtol=1e-4)
np.testing.assert_allclose(parts[0].log_scale, np.log(first.std(0)), rtol=1e-4)
reached = (y - first.mean(0)) / first.std(0)
np.testing.assert_allclose(moments.mean, reached.mean(0), atol=0.2)
np.testing.assert_allclose(moments.variance, reached.var(0), atol=0.2)
score = model.evaluate(y, batch_size=128, verbose=0)
np.testing.assert_allclose(score, -np.mean(model.distribution.log_prob(y)), rtol=1e-5)
"""

SAMPLES = """
reached, elbos = [], []
for scope, num_devices in ((contextlib.nullcontext, 1), (strategy.scope, 2)):
    with scope():
        location = tf.Variable([0.0, 0.0])
        def target(z):
            # The square of the noise; its gradient by the location is the noise, wherever that is.
            noise = tf.stop_gradient(z - location)
            return tf.reduce_sum(noise * (z - tf.stop_gradient(location)), axis=-1)
        normal = normal_of(location)
        model = tfpf.VariationalModel(normal, target, num_samples=16, seed=3)
        model.compile(keras.optimizers.SGD(0.1 * num_devices))
        history = model.fit(steps_per_epoch=4 // num_devices, verbose=0).history
    reached.append(location.numpy())
    elbos.append(history["elbo"])
np.testing.assert_allclose(*reached, rtol=1e-4)
np.testing.assert_allclose(*elbos, rtol=1e-5)
assert np.all(np.abs(reached[0]) > 1e-3)
"""

NOISE = """
from tfp_flows.bijectors.residual._residual_log_det import ResidualLogDet
from tfp_flows.layers._philox_dropout import PhiloxDropout
x = tf.constant(np.random.default_rng(0).normal(size=[16, 2]), tf.float32)
with strategy.scope():
    noise = tfpf.bijectors.HutchinsonNoise("gaussian", seed=1)
    dropout = PhiloxDropout(0.5, seed=1)
    series = ResidualLogDet("power_series", coefficient=0.9, num_terms=2, seed=1)
    flow = tfpf.flows.ffjord(2, hidden_units=(4,), solver="euler", num_steps=1, seed=1)
    model = tfpf.FlowModel(flow, objective="flow_matching")
    model.compile(jit_compile=False)
matching = model.matching
history = model.fit(x.numpy(), batch_size=8, epochs=3, verbose=0).history["loss"]
assert np.all(np.isfinite(history)) and len(set(history)) == 3
def bound(copies):
    return lambda rows: 0.5 * tf.sin(rows[:, ::-1])
draws = {
    "noise": lambda: noise(x, training=True),
    "dropout": lambda: dropout(x, training=True),
    "residual": lambda: series(x, bound=bound, training=True)[1],
    "matching": lambda: matching(x, training=True),
}
# Under XLA on each device, and above by none.
def step():
    def draw_all():
        return {name: draw() for name, draw in draws.items()}
    return tf.function(draw_all, jit_compile=True, autograph=False)()
run = tf.function(lambda: strategy.run(step), autograph=False)
first, later = run(), run()
for name in draws:
    one, two = strategy.experimental_local_results(first[name])
    one_later, _ = strategy.experimental_local_results(later[name])
    assert np.any(one.numpy() != two.numpy()), name
    assert np.any(one.numpy() != one_later.numpy()), name
"""

WEIGHTS = """
x = np.random.default_rng(0).normal(size=(10, 2)).astype("float32")
# The second batch of eight has two rows, and six to fill it up; then rows that do not count; then
# a dataset whose last batch leaves one device without any row.
counts = [1, 1, 1, 1, 1, 0, 0, 0]
short = tf.data.Dataset.from_tensor_slices(x[:9]).batch(8)
fits = {
    "filled": ((x,), {"batch_size": 8}, [x[:8], x[8:]]),
    "weighted": ((x[:8],), {"batch_size": 8, "sample_weight": counts}, [x[:5]]),
    "short": ((short,), {}, [x[:8], x[8:9]]),
}
with strategy.scope():
    location = tf.Variable([0.0, 0.0])
    normal = normal_of(location)
    model = tfpf.FlowModel(normal)
    model.compile(keras.optimizers.SGD(0.5), jit_compile="auto")
assert not model.jit_compile
for name, (data, options, batches) in fits.items():
    location.assign([0.0, 0.0])
    model.fit(*data, **options, shuffle=False, verbose=0)
    # Each step of one device goes half of the way to the mean of the rows that count.
    expected = np.zeros(2)
    for batch in batches:
        expected += 0.5 * (batch.mean(0) - expected)
    np.testing.assert_allclose(location, expected, rtol=1e-5, err_msg=name)
log_prob = normal.log_prob(x)
assert np.ptp(log_prob) > 0.1
np.testing.assert_allclose(model.predict(x, batch_size=4, verbose=0), log_prob, rtol=1e-5)
"""

LAYER = """
x = np.random.default_rng(0).normal(1.0, size=(64, 2)).astype("float32")
reached = []
for scope, on_two in ((contextlib.nullcontext, False), (strategy.scope, True)):
    with scope():
        flow = tfpf.flows.real_nvp(2, num_layers=1, hidden_units=(2,), seed=1)
        model = keras.Sequential([keras.Input([2]), tfpf.DistributionLayer(flow)])
        options = {"jit_compile": False, "run_eagerly": not on_two}
        model.compile(keras.optimizers.SGD(0.1), loss=lambda _, value: -value, **options)
    before = np.concatenate([np.ravel(w.numpy()) for w in model.weights])
    model.fit(x, np.zeros(64), batch_size=32, shuffle=False, verbose=0)
    reached.append(np.concatenate([np.ravel(w.numpy()) for w in model.weights]))
np.testing.assert_allclose(*reached, rtol=1e-4, atol=1e-6)
assert np.max(np.abs(reached[0] - before)) > 1e-3
"""

LOST = """
from tfp_flows.models._devices import average_devices
good = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
bad = good.copy()
bad[6] = np.nan  # of the second device
def trained(variables, start, *arrays):
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    dataset = tf.data.Dataset.from_tensor_slices(np.concatenate(arrays)).batch(8)
    try:
        model.fit(dataset, verbose=0)
        message = ""
    except FloatingPointError as error:
        message = str(error)
    average_devices(model)  # as at the end of a whole `fit`
    return message, [
        np.array(value)
        for variable in variables
        for value in strategy.experimental_local_results(variable.value)
    ]
for jit_compile in (False, True):
    with strategy.scope():
        base = normal_of(tf.Variable([0.0, 0.0]))
        chain = tfp.bijectors.Chain([tfpf.bijectors.BatchNorm(2)])
        model = tfpf.FlowModel(tfpf.distributions.Flow(base, chain))
        model.compile(keras.optimizers.Adam(0.1), jit_compile=jit_compile)
        model.optimizer.build(model.trainable_variables)
    # Both fits of one model, whose steps are compiled once, from the same start.
    variables = [*model.trainable_weights, *model.non_trainable_weights]
    variables += model.optimizer.variables
    start = [variable.numpy() for variable in variables]
    message, expected = trained(variables, start, good)
    assert not message
    assert all(np.any(w.numpy() != old) for w, old in zip(model.trainable_weights, start))
    message, stopped = trained(variables, start, good, bad, good)
    assert "step 2 of epoch 1" in message and "Received: loss=nan" in message, message
    for this, that in zip(stopped, expected, strict=True):
        np.testing.assert_array_equal(this, that)
"""

IDLE = """
good = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
weight = np.array([1, 2, 1, 0, 0, 0, 0, 0], "float32")
bad = good.copy()
bad[3:] = np.nan  # all rows of the second device, and none counts
def data(x, weight):
    return tf.data.Dataset.from_tensor_slices(((x,), weight)).batch(8)
with strategy.scope():
    base = normal_of(tf.Variable([0.5, 0.0]))
    chain = tfp.bijectors.Chain([tfpf.bijectors.BatchNorm(2)])
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, chain))
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
start = [w.numpy() for w in model.weights]
reached = []
for x in (bad, good):
    for variable, value in zip(model.weights, start, strict=True):
        variable.assign(value)
    model.fit(data(x, weight), epochs=2, verbose=0)
    score = model.evaluate(data(x, weight), verbose=0)
    weights = [np.ravel(w.numpy()) for w in model.trainable_weights]
    reached.append(np.concatenate([[score], *weights]))
    assert all(np.all(np.isfinite(w.numpy())) for w in model.weights)
assert np.all(np.isfinite(reached[0]))
# Those of the device that counts are the same; what the other one lends to statistics is not.
np.testing.assert_allclose(reached[0][1:], reached[1][1:], atol=0.1)
for weights, message in ((0.0 * weight, "must have a positive number"), (-weight, "negative")):
    for score in (model.evaluate, model.fit):
        try:
            score(data(good, weights), verbose=0)
        except ValueError as error:
            assert message in str(error), error
        else:
            raise AssertionError(message)
"""

RUN = (
    """
import json, sys, traceback
"""
    + SETUP
    + """
failures = {}
for name, code in json.load(sys.stdin).items():
    try:
        exec(compile(code, name, "exec"), dict(globals()))
    except Exception:
        failures[name] = traceback.format_exc()
print(json.dumps(failures))
"""
)


@pytest.fixture(scope="module")
def failures():
    """What went wrong in each of the scripts."""
    scripts = {
        "training": TRAINING,
        "adam": ADAM,
        "statistics": STATISTICS,
        "samples": SAMPLES,
        "noise": NOISE,
        "weights": WEIGHTS,
        "layer": LAYER,
        "lost": LOST,
        "idle": IDLE,
    }
    result = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(scripts),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_mirrored_strategy_agrees_with_one_device(failures):
    assert "training" not in failures, failures["training"]


def test_adam_of_two_devices_is_that_of_one(failures):
    assert "adam" not in failures, failures["adam"]


def test_each_device_keeps_statistics_of_its_own_rows(failures):
    assert "statistics" not in failures, failures["statistics"]


def test_two_devices_draw_in_a_step_what_one_draws_in_two(failures):
    """The samples of a `VariationalModel`: their noise moves the location."""
    assert "samples" not in failures, failures["samples"]


def test_each_device_draws_its_own_noise(failures):
    assert "noise" not in failures, failures["noise"]


def test_a_row_counts_by_its_weight_on_whichever_device(failures):
    assert "weights" not in failures, failures["weights"]


def test_a_layer_in_a_model_of_the_users_trains_as_on_one_device(failures):
    assert "layer" not in failures, failures["layer"]


def test_a_step_that_one_device_loses_changes_nothing_on_any(failures):
    assert "lost" not in failures, failures["lost"]


def test_a_device_whose_rows_do_not_count_takes_one_of_another(failures):
    assert "idle" not in failures, failures["idle"]
