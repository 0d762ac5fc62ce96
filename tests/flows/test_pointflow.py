"""PointFlow: bound, invariance, gradients, and that a small one learns what a set is."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb
from set_cases import D, M, pointflow, sets

import tfp_flows as tfpf

tfd = tfp.distributions

X = sets()


@pytest.fixture(scope="module")
def distribution():
    made = pointflow()
    perturb(made.trainable_variables)
    return made


def test_starts_as_its_base():
    """Points of the base, and a latent of which nothing is known."""
    distribution = pointflow("float32")
    points = tfd.Normal(0.0, 1.0).log_prob(X.astype("float32"))
    np.testing.assert_allclose(
        distribution.points_given(np.ones([3, 1, 2], "float32")).log_prob(X.astype("float32")),
        tf.reduce_sum(points, axis=-1),
        rtol=1e-5,
    )
    posterior = distribution.posterior(X)
    np.testing.assert_array_equal(posterior.mean(), np.zeros([3, 2]))
    np.testing.assert_array_equal(posterior.stddev(), np.ones([3, 2]))
    assert distribution.prior.event_shape == [2] and distribution.latent_size == 2


def test_every_network_is_seen(distribution):
    networks = [node for node in tfpf._tree.walk(distribution) if isinstance(node, keras.Layer)]
    names = {type(network).__name__ for network in networks}
    assert names == {"VectorField", "DeepSets", "LatentNoise"}
    owned = {id(weight.value) for network in networks for weight in network.trainable_weights}
    assert {id(v) for v in distribution.trainable_variables} == owned
    # A kernel and a bias of two layers in each field; of two in each network of the encoder.
    assert len(owned) == 4 + 4 + 4 + 4


def test_order_does_not_matter(distribution):
    def elbo(x):
        return distribution.elbo(x, num_samples=2, seed=3)

    order = [2, 0, 3, 1]
    expected = elbo(X)
    np.testing.assert_allclose(elbo(X[:, order]), expected, rtol=1e-12)
    posterior = distribution.posterior(X[:, order])
    np.testing.assert_allclose(posterior.mean(), distribution.posterior(X).mean(), rtol=1e-12)
    assert np.ptp(expected) > 0.1


def test_elbo_is_below_an_independent_estimate_of_the_density(distribution):
    """Importance sampling of w, from a normal that has nothing to do with the posterior."""
    x, n = tf.constant(X[:1]), 20_000
    proposal = tfd.MultivariateNormalDiag(np.zeros(2), 1.7 * np.ones(2))

    def joint(w):
        log_p = distribution.points_given(w[:, tf.newaxis]).log_prob(tf.repeat(x, n, axis=0))
        return tf.reduce_sum(log_p, axis=-1) + distribution.prior.log_prob(w)

    w = proposal.sample(n, seed=1)
    weights = np.exp(joint(w) - proposal.log_prob(w))
    density, error = weights.mean(), weights.std() / weights.mean() / np.sqrt(n)
    assert error < 0.02
    posterior = distribution.posterior(x[0])
    v = posterior.sample(n, seed=2)
    draws = (joint(v) - posterior.log_prob(v)).numpy()
    spread = draws.std() / np.sqrt(n)
    bound = distribution.elbo(x, num_samples=n, seed=4)
    # The sum of terms that the docstring says, by draws of another kind.
    np.testing.assert_allclose(bound[0], draws.mean(), atol=5 * 1.5 * spread)
    assert bound[0] + 5 * spread < np.log(density) - 5 * error


def test_gradients_are_those_of_finite_differences():
    """Of all variables and of the points, by the adjoint with small steps."""
    distribution = pointflow(solver="rk4", num_steps=60)
    variables = list(distribution.trainable_variables)
    perturb(variables)
    x = tf.Variable(X)

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(distribution.elbo(x, seed=3))
        return value, tape.gradient(value, [x, *variables])

    rng = np.random.default_rng(2)
    _, gradients = run()
    for group in ([x], variables[:8], variables[8:]):
        directions = [rng.normal(size=v.shape) / np.sqrt(v.shape.num_elements()) for v in group]
        expected = sum(
            np.sum(g * d)
            for v, g in zip([x, *variables], gradients, strict=True)
            for w, d in zip(group, directions, strict=True)
            if v is w
        )
        h, values = 1e-5, []
        for step in (h, -2 * h, h):
            for v, d in zip(group, directions, strict=True):
                v.assign_add(step * d)
            values.append(run()[0])
        slope = (values[0] - values[1]) / (2 * h)
        np.testing.assert_allclose(slope, expected, rtol=1e-6)
        assert np.abs(expected) > 1e-2


# Each of the two takes seconds to trace. Above are the gradients of all variables in a graph;
# `test_latent_set.py` trains such a distribution, and `test_compiles_once.py` its solver under XLA.
@pytest.mark.slow
def test_a_step_of_fit_under_xla_equals_an_eager_one():
    """With the gradients of all variables, by the noise of training."""
    results = []
    for options in ({"jit_compile": True}, {"run_eagerly": True, "jit_compile": False}):
        # `test_adjoint.py` compiles the adjoint.
        distribution = pointflow(solver="euler", num_steps=2, gradient="direct")
        variables = distribution.trainable_variables
        perturb(variables)
        before = [v.numpy() for v in variables]
        model = tfpf.FlowModel(distribution)
        model.compile(keras.optimizers.SGD(1.0), **options)
        loss = model.fit(X, shuffle=False, verbose=0).history["loss"]
        steps = [v.numpy() - old for v, old in zip(variables, before, strict=True)]
        assert all(np.abs(step).max() > 1e-6 for step in steps)
        results.append([loss, *steps])
    for compiled, other in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, other, rtol=1e-8, atol=1e-8)


def test_samples_are_the_same_sets_for_a_seed(distribution):
    x = distribution.sample(3, seed=tf.constant([1, 2]), num_points=5)
    assert x.shape == [3, 5, D] and x.dtype == tf.float64
    again = distribution.sample(3, seed=tf.constant([1, 2]), num_points=5)
    np.testing.assert_array_equal(again, x)
    assert len(np.unique(np.ravel(x))) == 3 * 5 * D
    assert distribution.reconstruct(X, seed=1).shape == X.shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    """A point far off; in float32 the square of 1e30 is infinite, and so is the bound."""
    distribution = pointflow(dtype)
    perturb(distribution.trainable_variables)
    x = np.stack([X[0]] * 4).astype(dtype)
    x[1, 2], x[2, 2, 0], x[3] = 1e30, -1e30, 1e10
    bound = distribution.elbo(x, seed=1)
    assert not np.isnan(bound).any()
    is_finite = [True, dtype == "float64", dtype == "float64", True]
    np.testing.assert_array_equal(np.isfinite(bound), is_finite)
    np.testing.assert_array_equal(np.isneginf(bound), np.logical_not(is_finite))
    assert np.isfinite(distribution.posterior(x).mean()).all()


def circles(num_sets, seed, num_points=16):
    """Points near circles about the origin, of random radius."""
    rng = np.random.default_rng(seed)
    radius = rng.uniform(0.3, 1.7, size=[num_sets, 1, 1])
    angle = rng.uniform(0.0, 2.0 * np.pi, size=[num_sets, num_points])
    x = radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return (x + 0.05 * rng.normal(size=x.shape)).astype("float32"), radius[:, 0, 0]


def log_density_of_fitted_normals(x):
    """Per point, of the best normal of each set, which is given the set itself."""
    centred = x - x.mean(axis=1, keepdims=True)
    covariance = np.einsum("nmi,nmj->nij", centred, centred) / x.shape[1]
    return np.mean(-0.5 * np.linalg.slogdet(covariance)[1] - np.log(2.0 * np.pi) - 1.0)


@pytest.mark.slow
def test_fit_learns_circles_and_is_saved(tmp_path):
    x, _ = circles(640, 0)
    test, radius = circles(192, 1)
    options = {
        "latent_size": 1,
        "hidden_units": (32, 32),
        "prior_units": (8,),
        "point_units": (32, 32),
        "set_units": (32,),
        "seed": 0,
    }
    # Late in training eight steps of Euler cannot be followed back, so the adjoint would be NaN.
    steps = {"solver": "euler", "num_steps": 8, "gradient": "direct"}
    distribution = tfpf.flows.pointflow(D, **steps, **options)
    model = tfpf.FlowModel(distribution)
    # With XLA it takes longer, all in all: it compiles for nine seconds.
    # A rate that falls: with a constant one, rounding decides whether the last steps jump.
    rate = keras.optimizers.schedules.CosineDecay(1e-2, 1000)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=10.0), jit_compile=False)
    history = model.fit(x, epochs=100, batch_size=64, verbose=0).history
    assert set(history) == {"loss"} and np.isfinite(history["loss"]).all()
    # Judged by an exact solver: that of training was quick.
    exact = tfpf.flows.pointflow(D, **options)
    for variable, trained in zip(exact.variables, distribution.variables, strict=True):
        variable.assign(trained)
    bound = np.mean(exact.elbo(test)) / test.shape[1]
    assert bound > log_density_of_fitted_normals(test) + 0.3
    # What is drawn anew has the size of what was given: the latent holds it.
    drawn = distribution.reconstruct(test, num_points=64, seed=1).numpy()
    size = np.linalg.norm(drawn, axis=-1).mean(axis=1)
    assert np.corrcoef(size, radius)[0, 1] > 0.95

    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.distribution.elbo(test), distribution.elbo(test))
    np.testing.assert_array_equal(
        loaded.distribution.sample(2, seed=tf.constant([1, 2]), num_points=3),
        distribution.sample(2, seed=tf.constant([1, 2]), num_points=3),
    )
    assert [v.shape for v in loaded.weights] == [v.shape for v in model.weights]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("event_shape", 0, ValueError),
        ("event_shape", (3, 2), ValueError),
        ("num_points", 0, ValueError),
        ("num_points", 2.5, TypeError),
        ("latent_size", 0, ValueError),
        ("latent_size", None, TypeError),
        ("context_size", -1, ValueError),
        ("num_layers", 0, ValueError),
        ("hidden_units", (4, 0), ValueError),
        ("point_units", (), TypeError),
        ("pooling", "median", ValueError),
        ("solver", "leapfrog", ValueError),
        ("trace", "guessed", ValueError),
        ("gradient", "none", ValueError),
        ("base", "normal", TypeError),
        ("base", tfd.Normal(0.0, 1.0), ValueError),
        ("seed", -1, ValueError),
    ],
    ids=str,
)
def test_arguments(name, value, error):
    with pytest.raises(error, match=f"`{name}`.*Received: "):
        tfpf.flows.pointflow(**{"event_shape": D, name: value})


def test_options_arrive():
    base = tfd.MultivariateNormalDiag(tf.Variable([5.0, 5.0]), [0.1, 0.1])
    distribution = pointflow("float32", num_points=M, base=base, context_size=3, num_layers=2)
    assert distribution.event_shape == [M, D]
    x = tfpf.condition(distribution, np.ones([3], "float32")).sample(4, seed=1)
    np.testing.assert_allclose(x, np.full([4, M, D], 5.0), atol=0.6)
    assert any(v is base.loc for v in distribution.trainable_variables)
    with pytest.raises(ValueError, match="needs a context"):
        distribution.sample(2, seed=1)
