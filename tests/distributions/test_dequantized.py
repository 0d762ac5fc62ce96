"""Whole numbers from a density: the bound against the exact sum, its draws, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, Coupling, LULinear
from tfp_flows.distributions import DequantizationNoise, Dequantized, Flow

tfb = tfp.bijectors
tfd = tfp.distributions

K = 4
X = np.random.default_rng(0).integers(0, K, size=[6, 3])


def normal(size=3, scale=1.0, dtype=tf.float64):
    return tfd.Sample(tfd.Normal(tf.zeros([], dtype), tf.constant(scale, dtype)), size)


def exact_log_prob(x, alpha, scale=1.0):
    """log P(x) of independent normals: differences of the distribution function of y."""

    def y(v):
        if alpha is None:
            return v / K - 0.5
        p = alpha + (1 - 2 * alpha) * v / K
        return np.log(p) - np.log1p(-p)

    cdf = tfd.Normal(tf.zeros([], tf.float64), tf.constant(scale, tf.float64)).cdf
    return np.log(cdf(y(x + 1.0)) - cdf(y(x + 0.0))).sum(axis=-1)


def dequantizer(seed=1, dtype="float64"):
    """[x, e] to [x, e'], by two couplings that see x and a part of e each."""
    layers = []
    for e_in_a in ((True, False, True), (False, True, False)):
        mask = (True, True, True, *e_in_a)
        network = tfpf.layers.MLP(2 * (6 - sum(mask)), (8,), "tanh", seed=seed, dtype=dtype)
        network.build((None, sum(mask)))
        layers.append(Coupling(network, Affine, mask=mask))
    return tfb.Chain(layers)


@pytest.mark.parametrize(("alpha", "learned"), [(0.05, True), (None, False), (None, True)])
def test_is_a_bound_that_importance_weights_close(alpha, learned):
    g = dequantizer() if learned else None
    if learned:
        perturb(g.trainable_variables, scale=0.3)
    distribution = Dequantized(normal(scale=0.6), K, alpha, g)
    exact = exact_log_prob(X, alpha, 0.6)
    draws = np.stack([distribution.elbo(np.repeat(X[i : i + 1], 20_000, 0)) for i in range(6)])
    # E[p / q] is P(x), and the mean of the logarithm is below its logarithm.
    ratio = np.exp(draws - exact[:, np.newaxis])
    error = ratio.std(axis=1) / np.sqrt(20_000)
    assert (np.abs(ratio.mean(axis=1) - 1.0) < 5 * error).all() and (error < 0.05).all()
    assert (draws.mean(axis=1) < exact).all()


def test_bounds_of_all_events_sum_to_less_than_one():
    distribution = Dequantized(normal(2), K, alpha=0.01)
    grid = np.stack(np.meshgrid(range(K), range(K)), -1).reshape(-1, 2)
    total = np.exp(distribution.elbo(grid, num_samples=200)).sum()
    assert 0.5 < total < 1.0


def test_logit_has_its_log_det():
    distribution = Dequantized(normal(1), K, 0.1, noise=DequantizationNoise(seed=3))
    x = np.array([[2]])
    u = distribution._noise(tf.zeros([1, 1, 1], tf.float64))[0, 0]
    v = tf.Variable(x + u)
    with tf.GradientTape() as tape:
        p = 0.1 + 0.8 * v / K
        y = tf.math.log(p) - tf.math.log1p(-p)
    slope = tape.gradient(y, v)
    expected = tfd.Normal(np.float64(0.0), 1.0).log_prob(y) + tf.math.log(slope)
    np.testing.assert_allclose(distribution.elbo(x), expected[0], rtol=1e-12)


def test_bits_per_dimension():
    """Of a distribution that knows nothing: log2 K for each number."""
    flat = tfd.Independent(tfd.Uniform(-0.5 * np.ones([5]), 0.5 * np.ones([5])), 1)
    distribution = Dequantized(flat, 16, alpha=None)
    x = np.random.default_rng(0).integers(0, 16, size=[4, 5])
    np.testing.assert_allclose(distribution.bits_per_dimension(x), 4.0, rtol=1e-12)
    np.testing.assert_allclose(distribution.elbo(x), -20.0 * np.log(2.0), rtol=1e-12)


def test_more_draws_vary_less():
    distribution = Dequantized(normal(), K)
    x = np.repeat(X[:1], 500, axis=0)
    one, many = distribution.elbo(x), distribution.elbo(x, num_samples=16)
    assert one.shape == many.shape == [500]
    ratio = np.std(one) / np.std(many)
    assert 3.5 < ratio < 4.5


def test_noise_is_new_in_training_and_fixed_otherwise():
    noise = DequantizationNoise(seed=1)
    x = tf.zeros([10_000, 2])
    np.testing.assert_array_equal(noise(x), noise(x))
    draws = [noise(x, training=True).numpy() for _ in range(2)]
    assert np.abs(draws[0] - draws[1]).max() > 0.1
    for draw in draws:
        assert 0.0 < draw.min() < 0.001 and 0.999 < draw.max() < 1.0
        np.testing.assert_allclose(draw.mean(), 0.5, atol=5 / np.sqrt(12 * 20_000))
        np.testing.assert_allclose(draw.var(), 1 / 12, rtol=0.03)


def test_the_identity_is_uniform_noise():
    learned = Dequantized(normal(), K, dequantizer=dequantizer())
    np.testing.assert_allclose(learned.elbo(X), Dequantized(normal(), K).elbo(X), rtol=1e-9)


def test_samples_are_whole_numbers_in_their_range():
    distribution = Dequantized(normal(scale=2.0), K)
    x = distribution.sample(20_000, seed=1)
    assert x.dtype == tf.uint8 and x.shape == [20_000, 3]
    frequency = np.bincount(np.ravel(x), minlength=K) / x.numpy().size
    expected = np.exp([exact_log_prob(np.array([value]), 0.05, 2.0) for value in range(K)])
    # What lies beyond the range goes to its ends.
    expected[[0, -1]] += (1.0 - expected.sum()) / 2
    np.testing.assert_allclose(frequency, expected, atol=0.01)
    assert Dequantized(normal(), 1000).sample(seed=1).dtype == tf.int32


def test_xla_equals_eager_with_gradients():
    flow = Flow(normal(), LULinear(3, dtype="float64"))
    distribution = Dequantized(flow, K, dequantizer=dequantizer())
    perturb(distribution.variables)
    variables = distribution.trainable_variables
    assert len(variables) == 2 + 8

    def run():
        with tf.GradientTape() as tape:
            bound = distribution.elbo(tf.constant(X, tf.uint8))
        return bound, tape.gradient(bound, variables)

    results = tf.function(run, jit_compile=True, autograph=False)(), run()
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *results
    )


def test_a_context_gives_a_batch_shape():
    flow = tfpf.flows.real_nvp(3, context_size=2, num_layers=2, hidden_units=(4,), seed=0)
    perturb(flow.variables)
    contexts = np.random.default_rng(0).normal(size=[6, 2]).astype("float32")
    distribution = tfpf.condition(Dequantized(flow, K), contexts)
    assert distribution.batch_shape == [6]
    assert distribution.elbo(X, num_samples=2).shape == [6]
    assert distribution.elbo(X[0]).shape == [6]
    assert distribution.sample(5, seed=1).shape == [5, 6, 3]
    one = tfpf.condition(Dequantized(flow, K), contexts[:1]).elbo(X[:1])
    np.testing.assert_allclose(distribution.elbo(X)[:1], one, rtol=1e-5)


# --- Trained ---------------------------------------------------------------------------------


def correlated(num_rows, seed):
    """Pairs whose second number is mostly the first, of {0..7}; 1.84 bits a number at best."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 8, size=num_rows)
    second = np.where(rng.uniform(size=num_rows) < 0.9, first, rng.integers(0, 8, size=num_rows))
    return np.stack([first, second], axis=1).astype("uint8")


def bits_of_correlated():
    same = 0.9 + 0.1 / 8
    entropy = -same * np.log2(same) - (1 - same) * np.log2((1 - same) / 7)
    return (3.0 + entropy) / 2


def test_fit_on_uint8_with_bits_per_dimension():
    x = correlated(2000, 0)
    flow = tfpf.flows.real_nvp(2, num_layers=1, hidden_units=(16,), seed=0)
    model = tfpf.FlowModel(Dequantized(flow, 8, seed=0))
    model.compile(keras.optimizers.Adam(2e-2), jit_compile=False)
    options = {"validation_data": correlated(500, 1), "batch_size": 100, "epochs": 3}
    history = model.fit(x, verbose=0, **options).history
    assert set(history) == {
        "loss",
        "bits_per_dimension",
        "val_loss",
        "val_bits_per_dimension",
    }
    test = correlated(1000, 2)
    nats = model.evaluate(test, verbose=0)
    logs = model.evaluate(test, verbose=0, return_dict=True)
    assert nats == logs["loss"]
    np.testing.assert_allclose(logs["bits_per_dimension"], nats / (2 * np.log(2)), rtol=1e-5)
    # Above what is possible, and below that of independent numbers, 3.
    assert bits_of_correlated() < logs["bits_per_dimension"] < 2.8
    np.testing.assert_allclose(-np.mean(model.predict(test, verbose=0)), nats, rtol=1e-2)


@pytest.mark.parametrize("weighted", [False, True])
def test_fit_on_a_dataset_of_whole_numbers(weighted):
    x = correlated(256, 0)
    data = (x, None, np.ones(256)) if weighted else x
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(64)
    flow = Flow(normal(2), LULinear(2, dtype="float64"))
    model = tfpf.FlowModel(Dequantized(flow, 8))
    model.compile("adam", jit_compile=False, run_eagerly=not weighted)
    assert "bits_per_dimension" in model.fit(dataset, epochs=1, verbose=0).history
    assert model.predict(x[:3], verbose=0).shape == (3,)


def test_act_norm_meets_the_first_batch():
    act_norm = tfpf.bijectors.ActNorm(2)
    flow = Flow(normal(2, dtype=tf.float32), act_norm)
    model = tfpf.FlowModel(Dequantized(flow, 8))
    model.compile("adam", jit_compile=False, run_eagerly=True)
    model.fit(correlated(256, 0), epochs=1, verbose=0)
    assert act_norm.initialized and np.abs(act_norm.log_scale).min() > 0.01


def test_is_saved(tmp_path):
    flow = tfpf.flows.real_nvp(3, num_layers=2, hidden_units=(4,), seed=0)
    model = tfpf.FlowModel(Dequantized(flow, K, 0.1, dequantizer(dtype="float32"), seed=5))
    perturb(model.distribution.variables)
    x = tf.constant(X, tf.float32)
    drawn = [model(x, training=True)]
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.distribution.elbo(X), model.distribution.elbo(X))
    assert [v.shape for v in loaded.weights] == [v.shape for v in model.weights]
    # The noise of training goes on.
    for _ in range(2):
        drawn.append(model(x, training=True))
        np.testing.assert_array_equal(loaded(x, training=True), drawn[-1])
    assert (np.ptp(drawn, axis=0) > 0).all()


# --- Refused ---------------------------------------------------------------------------------


def test_values_outside_of_the_range():
    distribution = Dequantized(normal(dtype=tf.float32), K)
    compiled = tf.function(distribution.elbo, jit_compile=True, autograph=False)
    model = tfpf.FlowModel(Dequantized(Flow(normal(dtype=tf.float32), LULinear(3)), K))
    model.compile("adam")
    for value in (-1, K, 255, 0.5):
        x = X.astype("float32")
        x[1, 2] = value
        message = rf"`x` must hold whole numbers from 0 to 3 \(`num_values`\). Received: {value}"
        with pytest.raises(ValueError, match=message):
            distribution.elbo(x)
        with pytest.raises(ValueError, match=message):
            model.fit(x, verbose=0)
        with pytest.raises(ValueError, match=message):
            model.predict(x, verbose=0)
        # In a graph nothing can be raised.
        np.testing.assert_array_equal(np.isneginf(compiled(tf.constant(x))), np.arange(6) == 1)


def test_there_is_no_log_prob():
    with pytest.raises(NotImplementedError, match="`dequantized` has a .*`elbo.*Received: "):
        Dequantized(normal(), K).log_prob(X)


def test_a_dequantizer_that_changes_x():
    distribution = Dequantized(
        normal(), K, dequantizer=tfb.Scale(np.float64(2.0)), validate_args=True
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="`dequantizer` must leave the first"):
        distribution.elbo(X)
    Dequantized(normal(), K, dequantizer=dequantizer(), validate_args=True).elbo(X)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("distribution", "normal", TypeError),
        ("dequantizer", "variational", TypeError),
        ("num_values", 1, ValueError),
        ("num_values", 2.5, TypeError),
        ("alpha", 0.5, ValueError),
        ("alpha", -0.1, ValueError),
        ("seed", -1, ValueError),
    ],
)
def test_arguments(name, value, error):
    with pytest.raises(error, match=f"`{name}` must be .*Received: {name}="):
        Dequantized(**{"distribution": normal(), name: value})
    with pytest.raises(ValueError, match="`num_samples` must be .*Received: num_samples=0"):
        Dequantized(normal(), K).elbo(X, num_samples=0)


@pytest.mark.parametrize("shape", [(3, 2, 1), (3, 2, 2, 1), (3, 2), (2,), ()])
def test_events_of_another_shape_are_refused(shape):
    """What broadcasts, such as one row of an image, would have been taken for a whole one."""
    flow = tfpf.flows.multiscale((2, 4, 1), num_layers=1, num_scales=1, hidden_channels=(4,))
    x = np.zeros(shape, "uint8")
    for call in (Dequantized(flow).elbo, Dequantized(flow).bits_per_dimension):
        with pytest.raises(ValueError, match=r"`x` must have shape \[..., 2, 4, 1\]. Received: "):
            call(x)


def test_events_without_axes():
    """A density of one number; its bound is that of events with one."""
    x = np.array([[0, 3, 1], [2, 1, 0]])
    scalar = Dequantized(tfd.Normal(tf.zeros([], tf.float64), 0.6), K)
    vector = Dequantized(normal(1, 0.6), K)
    draws = scalar.elbo(x, num_samples=3)
    assert draws.shape == [2, 3]
    exact = exact_log_prob(x[..., np.newaxis], 0.05, 0.6)
    many = scalar.elbo(x, num_samples=2_000).numpy()
    same = vector.elbo(x[..., np.newaxis], num_samples=2_000).numpy()
    assert (many <= exact + 0.02).all()
    np.testing.assert_allclose(many, same, atol=0.05)
    with pytest.raises(ValueError, match="`dequantizer` must be None if events have no axes"):
        Dequantized(tfd.Normal(0.0, 1.0), K, dequantizer=tfb.Shift(1.0))
    with pytest.raises(ValueError, match="whole numbers from 0 to 3"):
        tfpf.FlowModel(Dequantized(tfd.Normal(tf.Variable(0.0), 1.0), K)).predict(np.array([7]))
