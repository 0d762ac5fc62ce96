"""The residual bijector: estimates against the exact log-det, modes, inverses, images, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.bijectors import Residual
from tfp_flows.layers import LipschitzConvNet, LipschitzMLP

tfb = tfp.bijectors
tfd = tfp.distributions

X = np.random.default_rng(2).normal(size=[5, 3])


def network(size=3, scale=1.0, dtype="float64", **options):
    options = {"hidden_units": (8,), "activation": "tanh", "seed": 1, **options}
    layer = LipschitzMLP(size, dtype=dtype, **options)
    layer.build((None, size), (None, layer.context_size) if layer.context_size else None)
    perturb([v.value for v in layer.variables], scale=scale)
    return layer


class Training(keras.layers.Layer):
    """Value and log-det in the mode of the call, as in a step of `fit`."""

    def __init__(self, bijector, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.bijector = bijector

    def call(self, x, training=False):
        x = tf.identity(x)
        return self.bijector.forward(x), self.bijector.forward_log_det_jacobian(x)


@pytest.mark.parametrize("log_det", ["power_series", "russian_roulette"])
def test_training_draws_and_inference_does_not(log_det):
    bijector = Residual(network(), log_det, seed=3)
    exact = Residual(bijector.network).forward_log_det_jacobian(X)
    layer = Training(bijector)
    for _ in range(2):
        np.testing.assert_array_equal(layer(X)[1], exact)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(X), exact)
    drawn = [layer(X, training=True) for _ in range(3)]
    np.testing.assert_allclose(drawn[0][0], X + bijector.network(X), rtol=1e-14)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert np.any(drawn[a][1] != drawn[b][1])


def test_seed_decides_the_draws_also_under_xla():
    def draws(seed, jit_compile):
        layer = Training(Residual(network(), "russian_roulette", seed=seed))
        run = lambda x: layer(x, training=True)[1]  # noqa: E731
        run = tf.function(run, jit_compile=True, autograph=False) if jit_compile else run
        return np.stack([run(tf.constant(X)) for _ in range(3)])

    first = draws(3, False)
    np.testing.assert_allclose(draws(3, True), first, rtol=1e-12)
    assert np.all(first != draws(4, False)) and np.all(first[0] != first[1])


def test_roulette_is_unbiased_value_and_gradient():
    """Of the mean of a few samples; `russian_roulette_log_det` has a test of one."""
    layer = network(scale=1.5)
    bijector = Residual(layer, "russian_roulette", num_terms=1, num_samples=3, seed=5)
    variable = layer.trainable_variables[0].value
    step = Training(bijector)

    def gradient(_):
        x = tf.constant(X[:1])
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_det = step(x, training=True)[1]
        return log_det, *tape.gradient(log_det, [x, variable])

    @tf.function(jit_compile=True, autograph=False)
    def gradients():
        return tf.map_fn(gradient, tf.range(1500), (tf.float64,) * 3)

    x = tf.constant(X[:1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        exact = Residual(layer).forward_log_det_jacobian(x)
    expected = (exact, *tape.gradient(exact, [x, variable]))
    for values, mean in zip(gradients(), expected, strict=True):
        values = values.numpy()
        error = values.std(axis=0) / np.sqrt(len(values))
        assert error.max() < 0.15 * np.abs(mean).max()
        assert np.all(np.abs(values.mean(axis=0) - mean) < 4 * error + 1e-12)


def test_inference_above_the_exact_size_is_within_the_tolerance():
    """With a diagonal Jacobian signs give the trace exactly: what is left is the cut series."""
    c = 0.9
    x = tf.constant(np.random.default_rng(1).normal(size=[4, 7]))
    options = {"coefficient": c, "log_det": "russian_roulette", "dtype": tf.float64}
    for tolerance in (1e-2, 1e-5):
        series = Residual(lambda x: c * tf.sin(x), max_exact_size=6, tolerance=tolerance, **options)
        exact = Residual(lambda x: c * tf.sin(x), **options).forward_log_det_jacobian(x)
        error = np.abs(series.forward_log_det_jacobian(x) - exact)
        assert 0 < error.max() <= 7 * tolerance
    again = series.forward_log_det_jacobian(tf.identity(x))
    np.testing.assert_array_equal(again, series.forward_log_det_jacobian(tf.identity(x)))


def test_inference_above_the_exact_size_averages_samples():
    """The mean of independent points: their signs differ."""
    layer = network(12, activation="lip_swish", scale=2.0)
    x = tf.constant(np.random.default_rng(1).normal(size=[200, 12]))
    exact = Residual(layer).forward_log_det_jacobian(x)
    errors = []
    for num_samples in (1, 16):
        series = Residual(
            layer, "power_series", max_exact_size=11, tolerance=1e-3, num_samples=num_samples
        )
        errors.append(series.forward_log_det_jacobian(x) - exact)
    spread = [np.std(error) for error in errors]
    assert abs(np.mean(errors[0])) < 4 * spread[0] / np.sqrt(200)
    np.testing.assert_allclose(spread[1], spread[0] / 4, rtol=0.3)


def test_inverse_at_a_coefficient_near_one():
    for c in (0.9, 0.99):
        layer = network(coefficient=c, scale=5.0)
        bijector = Residual(layer)
        y = bijector.forward(X)
        np.testing.assert_allclose(bijector.inverse(tf.identity(y)), X, atol=1e-11)


def test_what_does_not_converge_is_nan_or_an_error():
    def expanding(x):
        return 1.5 * tf.abs(x)

    y = tf.constant([[1.0, -2.0], [0.0, 0.0]], tf.float64)
    options = {"coefficient": 0.5, "dtype": tf.float64}  # which is not true
    bijector = Residual(expanding, **options)
    x = bijector.inverse(y).numpy()
    assert np.isnan(x[0]).all() and np.array_equal(x[1], [0.0, 0.0])
    compiled = tf.function(bijector.inverse, jit_compile=True, autograph=False)(tf.identity(y))
    np.testing.assert_array_equal(compiled, x)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`residual` found no x"):
        Residual(expanding, validate_args=True, **options).inverse(y)


@pytest.mark.parametrize("bad", [[-5.0, 2.0], [1e3, 1e3], [np.nan, 0.0]], ids=str)
def test_a_row_that_does_not_converge_leaves_the_others_their_gradients(bad):
    """g = w z^2 is a contraction near zero only."""
    w = tf.Variable(0.3, dtype=tf.float64)
    bijector = Residual(lambda z: w * z**2, coefficient=0.9, dtype="float64")

    def solved(y):
        with tf.GradientTape() as tape:
            x, log_det = bijector._inverse_and_log_det(tf.constant(y, tf.float64))
            loss = tf.reduce_sum(x[:2]) + tf.reduce_sum(log_det[:2])
        return x, log_det, tape.gradient(loss, w)

    good = [[0.1, -0.2], [0.05, 0.1]]
    alone, together = solved(good), solved([*good, bad])
    assert np.isnan(together[1][2])
    for ours, theirs in zip(together[:2], alone[:2], strict=True):
        np.testing.assert_allclose(ours[:2], theirs, rtol=1e-12)
    np.testing.assert_allclose(together[2], alone[2], rtol=1e-12)


def test_saturated_weights_are_finite():
    layer = network(dtype="float32")
    for variable in layer.trainable_variables:
        variable.assign(50.0 * tf.sign(variable))
    x = tf.constant(X, tf.float32)
    with tf.GradientTape() as tape:
        y, log_det = Residual(layer)._forward_and_log_det(x)
        x_again, log_det_again = Residual(layer)._inverse_and_log_det(y)
        loss = sum(tf.reduce_sum(out) for out in (y, log_det, x_again, log_det_again))
    gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
    assert all(np.isfinite(out).all() for out in (y, log_det, x_again, log_det_again, *gradients))
    np.testing.assert_allclose(x_again, X, atol=1e-2)


def test_images():
    layer = LipschitzConvNet((4,), (3, 3), context_size=2, seed=1, dtype="float64")
    layer.build((None, 3, 2, 2), (None, 2))
    perturb([v.value for v in layer.variables], scale=0.5)
    bijector = tfpf.condition(
        Residual(layer, event_ndims=3, context_size=2), np.array([[0.5, 1.0], [0.1, 0.2]])
    )
    x = tf.constant(np.random.default_rng(0).normal(size=[4, 1, 3, 2, 2]))
    y = bijector.forward(x)
    assert y.shape == [4, 2, 3, 2, 2]
    log_det = bijector.forward_log_det_jacobian(tf.identity(x), 3)
    assert log_det.shape == [4, 2]
    np.testing.assert_allclose(
        bijector.inverse(tf.identity(y)), np.broadcast_to(x, y.shape), atol=1e-10
    )
    one = tfpf.condition(bijector, np.array([0.1, 0.2]))
    flat = tfb.Chain([tfb.Reshape([12], [3, 2, 2]), one, tfb.Reshape([3, 2, 2], [12])])
    vector = tf.reshape(x[0], [1, 12])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(vector)
        columns = tf.unstack(flat.forward(vector), axis=-1)
    jacobian = np.stack([tape.gradient(column, vector)[0] for column in columns])
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_det[0, 1], rtol=1e-10)


def test_a_saved_flow_is_the_same_and_goes_on_drawing(tmp_path):
    flow = tfpf.flows.residual(3, num_layers=2, hidden_units=(8,), seed=3)
    perturb(flow.trainable_variables)
    model = tfpf.FlowModel(flow)
    x = tf.constant(X, tf.float32)
    drawn = [model(x, training=True)]
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.distribution.log_prob(x), flow.log_prob(x))
    for _ in range(2):
        drawn.append(model(x, training=True))
        np.testing.assert_array_equal(again(x, training=True), drawn[-1])
    assert len({value.numpy().tobytes() for value in drawn}) == 3


@pytest.mark.slow
def test_reverse_kl_finds_the_normaliser():
    """A banana of known volume; the ELBO comes within 0.02 nats of the logarithm."""

    def target(x):
        return -0.5 * x[:, 0] ** 2 - 2.0 * (x[:, 1] - 0.5 * x[:, 0] ** 2) ** 2

    density = tfpf.flows.residual(2, num_layers=4, hidden_units=(32,), coefficient=0.95, seed=1)
    # The other direction, so that samples are fast.
    flow = tfpf.distributions.Flow(density.distribution, tfb.Invert(density.bijector))
    model = tfpf.VariationalModel(flow, target, num_samples=256, seed=2)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 500)))
    model.fit(steps_per_epoch=500, verbose=0)
    exact = np.log(np.pi)  # of sqrt(2 pi) sqrt(2 pi / 4)
    assert exact - 0.02 <= model.evaluate(steps=40, verbose=0) <= exact + 0.005


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"network": 3}, TypeError, "network"),
        ({"network": LipschitzMLP(3)}, ValueError, "built"),
        ({"log_det": "hutchinson"}, ValueError, "log_det"),
        ({"log_det": "power_series"}, ValueError, "coefficient"),
        ({"coefficient": 1.0}, ValueError, "coefficient"),
        ({"coefficient": 0.0}, ValueError, "coefficient"),
        ({"num_terms": 0}, ValueError, "num_terms"),
        ({"survival": 1.0}, ValueError, "survival"),
        ({"num_samples": 0}, ValueError, "num_samples"),
        ({"tolerance": 0.0}, ValueError, "tolerance"),
        ({"max_exact_size": -1}, ValueError, "max_exact_size"),
        ({"event_ndims": 2}, ValueError, "event_ndims"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"context": [1.0]}, ValueError, "takes no `context`"),
        ({"context": [1.0], "context_size": 2}, ValueError, "context"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_constructor_refuses_bad_arguments(kwargs, error, match):
    with pytest.raises(error, match=f"{match}.*Received: "):
        Residual(**({"network": tf.tanh} | kwargs))


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="must give the shape of x"):
        Residual(lambda x: x[:, :2]).forward(tf.zeros([4, 3]))
    narrow = LipschitzMLP(2)
    narrow.build((None, 3))
    dense = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
    for layer in (narrow, dense):
        with pytest.raises(ValueError, match=r"`network` must give.*\(3,\).*Received: .*\(2,\)"):
            Residual(layer)
    with pytest.raises(ValueError, match=r"acts on events of shape \(3,\).*Received: .*\(5, 4\)"):
        Residual(network()).forward(tf.zeros([5, 4], tf.float64))
    with pytest.raises(ValueError, match="known size"):
        Residual(tf.tanh, event_ndims=3).forward(tf.zeros([4, 3]))
    with pytest.raises(ValueError, match="needs a context"):
        Residual(network(context_size=2), context_size=2).forward(tf.zeros([4, 3], tf.float64))


@pytest.mark.parametrize("log_det", ["exact", "power_series"])
def test_context_of_several_axes(log_det):
    class Gated(keras.layers.Layer):
        def __init__(self):
            super().__init__(dtype="float64")
            self.coefficient, self.built = 0.5, True

        def call(self, x, context):
            return 0.5 * tf.tanh(x + tf.reduce_mean(context, axis=[-2, -1])[:, tf.newaxis])

    rng = np.random.default_rng(5)
    context = rng.normal(size=[6, 3, 4])
    x = rng.normal(size=[6, 2])
    options = {"log_det": log_det, "max_exact_size": 1, "tolerance": 1e-10, "num_samples": 3}
    bijector = tfpf.condition(Residual(Gated(), context_size=(3, 4), **options), context)
    shift = np.mean(context, axis=(1, 2))[:, np.newaxis]
    np.testing.assert_allclose(bijector.forward(x), x + 0.5 * np.tanh(x + shift), rtol=1e-12)
    # J is diagonal, so that signs give its traces exactly.
    expected = np.sum(np.log1p(0.5 / np.cosh(x + shift) ** 2), axis=-1)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 1), expected, rtol=1e-8)
    np.testing.assert_allclose(bijector.inverse(bijector.forward(x) + 0.0), x, rtol=1e-8)


def test_the_largest_numbers():
    """Layers overflow, and the next ones map infinities, in either direction."""
    flow = tfpf.flows.residual(3, num_layers=3, hidden_units=(4,), seed=1)
    perturb(flow.trainable_variables, scale=1.0)
    largest = np.finfo("float32").max
    rows = [[a, -a, a] for a in (largest, -largest, 0.5 * largest, 1e37)]
    x = tf.constant([*rows, [largest, 0.0, 1.0]])
    for method in ("forward", "inverse"):
        y = getattr(flow.bijector, method)(tf.identity(x))
        # g is small beside them.
        np.testing.assert_allclose(np.clip(y, -largest, largest)[:4], x[:4], rtol=0.05)
        assert not np.isnan(y).any()
    with tf.GradientTape() as tape:
        log_prob = flow.log_prob(x)
    np.testing.assert_array_equal(log_prob, -np.inf)
    gradients = tape.gradient(log_prob, flow.trainable_variables)
    assert all(np.all(np.isfinite(g)) for g in gradients if g is not None)
