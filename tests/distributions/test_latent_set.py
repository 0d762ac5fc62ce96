"""Sets of points given a latent: the bound against a model whose density is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.distributions import (
    ConditionalNormal,
    Flow,
    LatentNoise,
    LatentSet,
    drawn_by_philox,
)

tfd = tfp.distributions

M, D = 5, 2
X = np.random.default_rng(0).normal(size=[3, M, D])
SLOPE, SHIFT, LOG_SCALE = np.array([0.8, -0.5]), np.array([0.2, 0.3]), np.array([-0.3, 0.4])


def normal(size=1, dtype=tf.float64):
    return tfd.Sample(tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype)), size)


def linear_points(max_log_scale=1e9):
    """x_m = a w + b + exp(s) e, for w of one number."""
    network = tfpf.layers.MLP(2 * D, (), dtype="float64")
    network.build((None, 1))
    kernel, bias = network._output.kernel, network._output.bias
    kernel.assign(np.stack([SLOPE, 0 * SLOPE], axis=-1).reshape(1, -1))
    bias.assign(np.stack([SHIFT, LOG_SCALE], axis=-1).ravel())
    return ConditionalNormal(network, D, 1, max_log_scale=max_log_scale)


def exact_posterior(x):
    """Mean and log-scale of p(w | x), `[N, 1, 2]`, as an encoder gives them."""
    weight = SLOPE * np.exp(-2.0 * LOG_SCALE)
    precision = 1.0 + x.shape[1] * (SLOPE * weight).sum()
    mean = tf.reduce_sum((x - SHIFT) * weight, axis=[1, 2]) / precision
    log_scale = tf.fill(tf.shape(mean), tf.constant(-0.5 * np.log(precision), tf.float64))
    return tf.stack([mean, log_scale], axis=-1)[:, tf.newaxis]


def exact_log_prob(x):
    """Of all numbers of a set, which are jointly normal."""
    slope, variance = np.tile(SLOPE, x.shape[1]), np.tile(np.exp(2 * LOG_SCALE), x.shape[1])
    covariance = np.outer(slope, slope) + np.diag(variance)
    joint = tfd.MultivariateNormalTriL(np.tile(SHIFT, x.shape[1]), np.linalg.cholesky(covariance))
    return joint.log_prob(x.reshape(len(x), -1))


def deep_sets(latent_size=1, dtype="float64"):
    encoder = tfpf.layers.DeepSets(2 * latent_size, (8,), (8,), "tanh", seed=1, dtype=dtype)
    encoder.build((None, None, D))
    return encoder


def linear(encoder=None, **options):
    return LatentSet(
        normal(), linear_points(), encoder or deep_sets(), max_log_scale=1e9, **options
    )


def test_elbo_is_the_density_where_the_posterior_is_exact():
    distribution = linear(exact_posterior)
    # What varies with w is the density of w alone, whose mean is known.
    bounds = distribution.elbo(X, num_samples=200_000, seed=1)
    np.testing.assert_allclose(bounds, exact_log_prob(X), atol=5 * 1.5 / np.sqrt(200_000))
    np.testing.assert_allclose(
        distribution.posterior(X).mean()[:, 0], exact_posterior(X)[:, 0, 0], rtol=1e-12
    )


def test_the_gap_is_the_divergence_of_the_posterior():
    """For an encoder away from p(w | x), against the closed form of KL(q || p(w | x))."""
    encoder = deep_sets()
    perturb([v.value for v in encoder.variables], scale=0.5)
    distribution = linear(encoder)
    exact = exact_posterior(X)[:, 0]
    posterior = tfd.MultivariateNormalDiag(exact[:, :1], tf.exp(exact[:, 1:]))
    gap = tfd.kl_divergence(distribution.posterior(X), posterior).numpy()
    assert (gap > 0.05).all()
    draws = distribution.elbo(np.repeat(X[:, np.newaxis], 4_000, axis=1)).numpy()
    error = draws.std(axis=1) / np.sqrt(4_000)
    difference = draws.mean(axis=1) - (exact_log_prob(X).numpy() - gap)
    assert (np.abs(difference) < 4.5 * error).all() and (error < 0.5 * gap).all()


def test_more_draws_vary_less_and_modes_differ():
    distribution = linear()
    x = np.repeat(X[:1], 500, axis=0)
    one, many = distribution.elbo(x), distribution.elbo(x, num_samples=16)
    assert one.shape == many.shape == [500]
    assert 3.0 < np.std(one) / np.std(many) < 5.0
    np.testing.assert_array_equal(distribution.elbo(x), one)
    np.testing.assert_array_equal(distribution.elbo(x, seed=3), distribution.elbo(x, seed=3))
    assert np.all(distribution.elbo(x, seed=3) != distribution.elbo(x, seed=4))


def test_noise_is_normal_new_in_training_and_fixed_otherwise():
    noise = LatentNoise(seed=1)
    x = tf.zeros([50_000, 2])
    np.testing.assert_array_equal(noise(x), noise(x))
    draws = [noise(x, training=True).numpy() for _ in range(2)]
    assert np.abs(draws[0] - draws[1]).max() > 0.1
    for draw in draws:
        n = draw.size
        assert 3.9 < np.abs(draw).max() < 6.0
        np.testing.assert_allclose(draw.mean(), 0.0, atol=5 / np.sqrt(n))
        np.testing.assert_allclose(draw.var(), 1.0, atol=5 * np.sqrt(2 / n))
        np.testing.assert_allclose((draw**4).mean(), 3.0, atol=5 * np.sqrt(96 / n))
    compiled = tf.function(noise, jit_compile=True, autograph=False)(x)
    np.testing.assert_allclose(compiled, noise(x), rtol=1e-5, atol=1e-6)


def test_samples_have_the_moments_of_the_model():
    distribution = linear(num_points=M)
    x = distribution.sample(20_000, seed=2).numpy()
    assert x.shape == (20_000, M, D) and distribution.event_shape == [M, D]
    variance = SLOPE**2 + np.exp(2 * LOG_SCALE)
    np.testing.assert_allclose(x.mean(axis=0), np.tile(SHIFT, [M, 1]), atol=0.06)
    np.testing.assert_allclose(x.var(axis=0), np.tile(variance, [M, 1]), rtol=0.06)
    # Two points of a set share its latent, and nothing else.
    between = np.mean((x[:, 0] - SHIFT) * (x[:, 3] - SHIFT), axis=0)
    np.testing.assert_allclose(between, SLOPE**2, atol=0.06)
    across = np.mean((x[1:, 0] - SHIFT) * (x[:-1, 0] - SHIFT), axis=0)
    np.testing.assert_allclose(across, 0.0, atol=0.06)


def test_points_owe_nothing_to_the_noise_of_their_latent():
    """x = w + e in one dimension, both drawn in the same way, and one point in a set."""
    network = tfpf.layers.MLP(2, (), dtype="float64")
    network.build((None, 1))
    network._output.kernel.assign([[1.0, 0.0]])
    prior = drawn_by_philox(tfd.MultivariateNormalDiag(np.zeros(1), np.ones(1)))
    distribution = LatentSet(prior, ConditionalNormal(network, 1, 1), exact_posterior)
    x = distribution.sample(10_000, seed=2, num_points=1)
    np.testing.assert_allclose(np.var(x), 2.0, atol=5 * 2.0 * np.sqrt(2 / 10_000))


def test_any_number_of_points():
    distribution = linear()
    assert distribution.event_shape.as_list() == [None, D]
    assert distribution.sample([2, 3], seed=1, num_points=7).shape == [2, 3, 7, D]
    assert distribution.elbo(X[:, :1]).shape == [3] and distribution.elbo(X[0]).shape == []
    assert distribution.reconstruct(X, seed=1).shape == X.shape
    assert distribution.reconstruct(X, num_points=9, seed=1).shape == (3, 9, D)
    with pytest.raises(ValueError, match="`num_points` must be given .*Received: num_points=None"):
        distribution.sample(2, seed=1)
    with pytest.raises(ValueError, match="`num_points` must be 5.*Received: num_points=4"):
        linear(num_points=M).sample(2, seed=1, num_points=4)


def test_reconstructions_are_those_of_the_posterior():
    distribution = linear(exact_posterior)
    x = distribution.reconstruct(np.repeat(X[:1], 20_000, axis=0), num_points=1, seed=3)
    mean, log_scale = exact_posterior(X[:1])[0, 0]
    np.testing.assert_allclose(np.mean(x, axis=(0, 1)), SHIFT + SLOPE * mean, atol=0.06)
    variance = SLOPE**2 * np.exp(2 * log_scale) + np.exp(2 * LOG_SCALE)
    np.testing.assert_allclose(np.var(x, axis=(0, 1)), variance, rtol=0.06)


@pytest.mark.parametrize("seed", [5, tf.constant([5, 6])], ids=["integer", "stateless"])
def test_a_seed_decides_whatever_was_drawn_before(seed):
    distribution = linear(num_points=M)
    points = distribution.points_given(tf.constant([[0.3]], tf.float64))
    first = distribution.reconstruct(X, seed=seed)
    points.sample(3)
    tf.random.uniform([3])
    np.testing.assert_array_equal(distribution.reconstruct(X, seed=seed), first)
    np.testing.assert_array_equal(distribution.elbo(X, seed=seed), distribution.elbo(X, seed=seed))


def test_a_context_of_the_prior():
    """The class of a set goes to the prior; the latent stays the context of the points."""
    network = tfpf.layers.MLP(2, (), dtype="float64")
    network.build((None, 3))
    network._output.kernel.assign([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    prior = ConditionalNormal(network, 1, context_size=3)
    distribution = LatentSet(prior, linear_points(), deep_sets(), M)
    contexts = np.array([[0.0, 1.0, 1.0], [9.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    bound = tfpf.condition(distribution, contexts)
    assert bound.batch_shape == [3] and bound.sample(4, seed=1).shape == [4, 3, M, D]
    np.testing.assert_allclose(
        bound.sample(4_000, seed=1).numpy().mean(axis=(0, 2)),
        SHIFT + SLOPE * contexts[:, :1],
        atol=0.1,
    )
    bounds = bound.elbo(X, num_samples=2, seed=1)
    assert bounds.shape == bound.elbo(X[0], seed=1).shape == [3]
    assert bounds[1] < distribution.copy(prior=normal()).elbo(X, num_samples=2, seed=1)[1] - 5.0
    model = tfpf.FlowModel(distribution)
    model.compile("adam", jit_compile=False, run_eagerly=True)
    history = model.fit(contexts, X, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    with pytest.raises(ValueError, match="needs a context of shape"):
        distribution.elbo(X)


def test_points_that_adapt():
    """A part of the points' distribution sees the points of all sets."""
    standardize = tfpf.bijectors.Standardize(D, dtype="float64")
    distribution = LatentSet(normal(), Flow(linear_points(), standardize), deep_sets())
    tfpf.FlowModel(distribution).adapt(3.0 + 2.0 * X)
    rows = (3.0 + 2.0 * X).reshape(-1, D)
    np.testing.assert_allclose(standardize.forward(np.zeros([1, D]))[0], rows.mean(axis=0))
    np.testing.assert_allclose(standardize.forward(np.ones([1, D]))[0], rows.mean(0) + rows.std(0))


def test_batches_of_other_numbers_of_points():
    batches = [X, np.concatenate([X, X], axis=1)]
    signature = tf.TensorSpec([None, None, D], tf.float64)
    dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    model = tfpf.FlowModel(linear(num_points=None))
    model.compile("adam", run_eagerly=True, jit_compile=False)
    bounds = [np.mean(model.distribution.elbo(x)) for x in batches]
    np.testing.assert_allclose(-model.evaluate(dataset, verbose=0), np.mean(bounds), rtol=1e-12)
    assert np.isfinite(model.fit(dataset, verbose=0).history["loss"]).all()


def test_saving_and_training_goes_on(tmp_path):
    model = tfpf.FlowModel(linear(seed=3))
    drawn = [model(X, training=True)]
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert isinstance(loaded.distribution, LatentSet)
    np.testing.assert_array_equal(loaded.distribution.elbo(X), model.distribution.elbo(X))
    # The seeds of training go on, too.
    for _ in range(2):
        drawn.append(model(X, training=True))
        np.testing.assert_array_equal(loaded(X, training=True), drawn[-1])
    assert (np.ptp(drawn, axis=0) > 0).all()
    np.testing.assert_allclose(model.predict(X, verbose=0), model.distribution.elbo(X), rtol=1e-12)


# --- Refused ---------------------------------------------------------------------------------


def test_there_is_no_log_prob():
    with pytest.raises(NotImplementedError, match="`latent_set` has a .*`elbo.*Received: "):
        linear().log_prob(X)


@pytest.mark.parametrize(
    "x",
    [X[..., :1], X[:, :0], X[0, 0], tf.ragged.constant([[[0.1, 0.2]], []]), X.astype(str), X + 1j],
    ids=["last axis", "no points", "one point", "ragged", "strings", "complex"],
)
@pytest.mark.parametrize("call", ["elbo", "posterior", "reconstruct"])
def test_what_is_no_set(x, call):
    with pytest.raises(ValueError, match=r"`x` must .*\[..., M, 2\].*Received: "):
        getattr(linear(), call)(x)


def test_sets_of_another_number():
    with pytest.raises(ValueError, match=r"`x` must have shape \[..., 5, 2\].*Received: x.shape="):
        linear(num_points=M).elbo(X[:, :4])
    model = tfpf.FlowModel(linear(num_points=M))
    model.compile("adam")
    for x in (X[:, :4], X[..., :1], X[0]):
        with pytest.raises(ValueError, match=r"must have shape \[N, 5, 2\].*Received: "):
            model.fit(x, verbose=0)
    for x in (tf.ragged.constant([[[0.1, 0.2]], []]), [[[0.1, 0.2]], []]):
        with pytest.raises(ValueError, match=r"`x` must have shape \[N, 5, 2\].*Received: "):
            model.fit(x, verbose=0)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("prior", "normal", TypeError),
        ("prior", tfd.Normal(np.float64(0.0), 1.0), ValueError),
        ("prior", normal(2), ValueError),
        ("prior", normal(1, tf.float32), ValueError),
        ("points", "ffjord", TypeError),
        ("points", normal(2), ValueError),
        ("encoder", "pointnet", TypeError),
        ("encoder", tfpf.layers.DeepSets(2), ValueError),
        ("encoder", lambda x: x[:, 0, :1], ValueError),
        ("num_points", 0, ValueError),
        ("num_points", 2.5, TypeError),
        ("max_log_scale", 0.0, ValueError),
        ("seed", -1, ValueError),
    ],
)
def test_arguments(name, value, error):
    named = "points" if name == "prior" and error is ValueError else name
    named = "prior" if isinstance(value, tfd.Normal) else named
    arguments = {"prior": normal(), "points": linear_points(), "encoder": exact_posterior}
    with pytest.raises(error, match=f"`{named}` must .*Received: "):
        LatentSet(**{**arguments, name: value})


@pytest.mark.parametrize("value", [0, 1.5])
def test_numbers_of_draws_and_points(value):
    error = ValueError if value == 0 else TypeError
    with pytest.raises(error, match="`num_samples` must be .*Received: num_samples="):
        linear().elbo(X, num_samples=value)
    for call in (linear().sample, lambda **kwargs: linear().reconstruct(X, **kwargs)):
        with pytest.raises(error, match="`num_points` must be .*Received: num_points="):
            call(num_points=value)
