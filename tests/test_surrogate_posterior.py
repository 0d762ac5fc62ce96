"""A flow over the latents of a joint distribution, in its structure and within its support."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

SMALL = {"num_layers": 1, "hidden_units": (8,), "seed": 1}
DATA = np.array([0.5, -0.3, 0.8], "float32")


def parts():
    return {
        "scale": tfd.HalfNormal(1.0),
        "correlation": tfd.CholeskyLKJ(3, 2.0),
        "x": lambda scale: tfd.Sample(tfd.Normal(0.0, scale), 3),
        "y": lambda x: tfd.Independent(tfd.Normal(x, 0.5), 1),
    }


def named():
    """The one with a latent of more numbers than its flow has: of a Cholesky factor."""
    return tfd.JointDistributionNamedAutoBatched(parts()).experimental_pin(y=DATA)


def sequential():
    joint = tfd.JointDistributionSequentialAutoBatched(
        [
            tfd.HalfNormal(1.0),
            lambda scale: tfd.Sample(tfd.Normal(0.0, scale), 3),
            lambda x: tfd.Independent(tfd.Normal(x, 0.5), 1),
        ]
    )
    return joint.experimental_pin([None, None, DATA])


def coroutine():
    @tfd.JointDistributionCoroutineAutoBatched
    def joint():
        scale = yield tfd.HalfNormal(1.0, name="scale")
        x = yield tfd.Sample(tfd.Normal(0.0, scale), 3, name="x")
        yield tfd.Independent(tfd.Normal(x, 0.5), 1, name="y")

    return joint.experimental_pin(y=DATA)


def not_batched():
    root = tfd.JointDistributionCoroutine.Root

    @tfd.JointDistributionCoroutine
    def joint():
        yield root(tfd.HalfNormal(1.0, name="scale"))
        x = yield root(tfd.Sample(tfd.Normal(0.0, 1.0), 3, name="x"))
        yield tfd.Independent(tfd.Normal(x, 0.5), 1, name="y")

    return joint.experimental_pin(y=DATA)


@pytest.mark.parametrize("make", [named, sequential, coroutine, not_batched])
def test_samples_have_the_structure_and_the_support_of_the_model(make):
    pinned = make()
    posterior = tfpf.surrogate_posterior(pinned, **SMALL)
    assert posterior.batch_shape == []
    tf.nest.assert_same_structure(posterior.dtype, pinned.dtype)
    draw, log_prob = posterior.experimental_sample_and_log_prob(5, seed=[1, 2])
    tf.nest.assert_same_structure(draw, pinned.dtype)
    assert [t.shape for t in tf.nest.flatten(draw)] == [
        [5, *shape] for shape in tf.nest.flatten(pinned.event_shape)
    ]
    assert np.isfinite(pinned.unnormalized_log_prob(draw)).all()
    np.testing.assert_allclose(posterior.log_prob(draw), log_prob, rtol=1e-4)
    single = tf.nest.map_structure(lambda t: t[0], draw)
    np.testing.assert_allclose(posterior.log_prob(single), log_prob[0], rtol=1e-4)


def test_the_density_is_that_of_the_flow_and_of_the_constraint():
    """Of an unmoved flow: a standard normal in log scale and logits."""

    @tfd.JointDistributionCoroutineAutoBatched
    def joint():
        scale = yield tfd.LogNormal(np.float64(0.0), 1.0, name="scale")
        level = yield tfd.Uniform(np.float64(0.0), 2.0, name="level")
        yield tfd.Normal(level, scale, name="y")

    posterior = tfpf.surrogate_posterior(joint.experimental_pin(y=np.float64(0.3)), **SMALL)
    draw = posterior.sample(7, seed=1)
    assert draw.scale.dtype == tf.float64
    unit = tfd.Normal(np.float64(0.0), 1.0)
    expected = tfd.LogNormal(np.float64(0.0), 1.0).log_prob(draw.scale)
    expected += tfd.TransformedDistribution(unit, tfb.Sigmoid(np.float64(0.0), 2.0)).log_prob(
        draw.level
    )
    np.testing.assert_allclose(posterior.log_prob(draw), expected, rtol=1e-8)


def normal_model():
    """y ~ N(m, 1), m ~ N(0, 1): the posterior of m is N(y / 2, 1 / 2)."""

    @tfd.JointDistributionCoroutineAutoBatched
    def joint():
        m = yield tfd.Normal(0.0, 1.0, name="m")
        scale = yield tfd.HalfNormal(1.0, name="scale")
        yield tfd.Normal(m, 1.0 + 0.0 * scale, name="y")

    return joint.experimental_pin(y=2.0)


def fitted(train):
    pinned = normal_model()
    posterior = tfpf.surrogate_posterior(pinned, **SMALL)
    train(posterior, pinned.unnormalized_log_prob)
    m = posterior.sample(4000, seed=1).m.numpy()
    np.testing.assert_allclose(m.mean(), 1.0, atol=0.1)
    np.testing.assert_allclose(m.std(), np.sqrt(0.5), rtol=0.1)


def test_a_variational_model_compiles_once_and_fits_it(monkeypatch):
    """Under XLA each step was compiled anew: 2 s where this takes a millisecond."""
    traced = []

    def train(posterior, target):
        model = tfpf.VariationalModel(posterior, target, num_samples=64, seed=1)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(steps_per_epoch=1, verbose=0)
        program = model._programs._by_key["gradients"]
        text = program.get_concrete_function(tf.constant([0, 0])).graph.as_graph_def()
        traced.extend(node.op for node in text.node)
        model.fit(steps_per_epoch=300, verbose=0)
        draw = posterior.sample(3, seed=1)
        np.testing.assert_allclose(model(draw), posterior.log_prob(draw))

    fitted(train)
    # The gradient of such a call is what makes constants of all that goes into it.
    assert "Exp" in traced and "PartitionedCall" not in traced


@pytest.mark.slow  # Six seconds; our own model fits it above.
def test_tfp_fits_it():
    def train(posterior, target):
        tfp.vi.fit_surrogate_posterior(
            target,
            posterior,
            optimizer=keras.optimizers.Adam(1e-2),
            num_steps=300,
            sample_size=64,
            seed=1,
        )

    fitted(train)


def test_weights_are_saved_alone(tmp_path):
    pinned = normal_model()
    posteriors = [tfpf.surrogate_posterior(pinned, **SMALL) for _ in range(2)]
    models = [tfpf.VariationalModel(q, pinned.unnormalized_log_prob) for q in posteriors]
    for variable in posteriors[0].trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    models[0].save_weights(tmp_path / "of.weights.h5")
    models[1].load_weights(tmp_path / "of.weights.h5")
    draw = posteriors[0].sample(3, seed=1)
    np.testing.assert_array_equal(*(q.log_prob(draw) for q in posteriors))
    with pytest.raises(ValueError, match="cannot be saved"):
        models[0].save(tmp_path / "of.keras")


# --- Bad input -------------------------------------------------------------------------------


def test_what_is_no_pinned_joint_distribution_is_refused():
    for value in (
        None,
        tfd.Normal(0.0, 1.0),
        tfd.JointDistributionSequential([tfd.Normal(0, 1.0)]),
    ):
        with pytest.raises(TypeError, match="experimental_pin.*Received: "):
            tfpf.surrogate_posterior(value)
    with pytest.raises(TypeError, match="`recipe` must return.*Received: "):
        tfpf.surrogate_posterior(named(), lambda size, dtype: None)
    with pytest.raises(ValueError, match="`recipe` must return.*7 dimensions.*Received: "):
        tfpf.surrogate_posterior(named(), lambda size, dtype: tfpf.flows.iaf(2, **SMALL))
    with pytest.raises(ValueError, match="no batch shape.*Received: "):
        joint = tfd.JointDistributionSequential(
            [tfd.Normal([0.0, 1.0], 1.0), lambda m: tfd.Normal(m, 1.0)]
        )
        tfpf.surrogate_posterior(joint.experimental_pin([None, [0.0, 0.0]]))


@pytest.mark.parametrize(
    ("latent", "message"),
    [
        (lambda: tfd.Bernoulli(0.5), "continuous latents"),
        (lambda: tfd.Normal(np.float64(0.0), 1.0), "one float dtype"),
        (lambda: Unknown(), "known constraints"),
    ],
    ids=["discrete", "dtypes", "unconstrained"],
)
def test_latents_that_a_flow_cannot_be_over(latent, message):
    joint = tfd.JointDistributionSequentialAutoBatched(
        [tfd.Normal(0.0, 1.0), latent(), lambda _, m: tfd.Normal(m, 1.0)]
    )
    with pytest.raises(ValueError, match=f"`pinned` must have.*{message}.*Received: "):
        tfpf.surrogate_posterior(joint.experimental_pin([None, None, 1.0]), **SMALL)


class Unknown(tfd.Distribution):
    """A distribution whose support nobody knows."""

    def __init__(self):
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, False, True, name="Unknown")

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return tf.TensorShape([])

    def _sample_n(self, n, seed=None):
        return tf.random.stateless_normal([n], [1, 2])

    def _log_prob(self, x):
        return -x * x
