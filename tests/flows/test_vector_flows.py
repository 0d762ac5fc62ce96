"""Planar, radial, Sylvester and continuous flows fitted by reverse KL to known normalisers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions

GAUSSIAN = tfd.MultivariateNormalTriL([0.5, -0.5], [[1.0, 0.0], [0.9, 0.45]])
HEAVY = tfd.MultivariateStudentTLinearOperator(
    4.0, [0.5, -0.3], tf.linalg.LinearOperatorIdentity(2)
)
CONTEXT = np.random.default_rng(0).normal(size=[32, 2]).astype("float32")


def elbo(flow, log_prob, num_samples=256, num_steps=1000):
    """In nats; zero where the flow has become the density."""
    model = tfpf.VariationalModel(flow, log_prob, num_samples, seed=1)
    rate = keras.optimizers.schedules.CosineDecay(0.03, num_steps)
    model.compile(keras.optimizers.Adam(rate), jit_compile=True)
    model.fit(steps_per_epoch=num_steps, verbose=0)
    return model.evaluate(steps=200, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_layers", "log_prob"),
    [
        ("planar", 8, GAUSSIAN.log_prob),
        ("radial", 8, HEAVY.log_prob),
        ("sylvester", 4, GAUSSIAN.log_prob),
    ],
    ids=["planar", "radial", "sylvester"],
)
def test_reaches_the_density(name, num_layers, log_prob):
    flow = getattr(tfpf.flows, name)(2, num_layers=num_layers, seed=1)
    assert abs(elbo(flow, log_prob)) <= 0.02


def banana(x):
    """Of the volume pi: sqrt(2 pi) sqrt(2 pi / 4)."""
    return -0.5 * x[:, 0] ** 2 - 2.0 * (x[:, 1] - 0.5 * x[:, 0] ** 2) ** 2


@pytest.mark.slow
def test_continuous_flow_reaches_the_density():
    """Fitted with fixed steps, whose errors reverse KL could exploit, and judged without them."""
    field = tfpf.layers.VectorField(2, (32,), seed=1)
    field.build()
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    options = {"solver": "rk4", "num_steps": 6, "gradient": "direct"}
    flow = tfpf.distributions.Flow(base, tfpf.bijectors.Continuous(field, **options))
    model = tfpf.VariationalModel(flow, banana, num_samples=128, seed=2)
    rate = keras.optimizers.schedules.CosineDecay(0.03, 1600)
    model.compile(keras.optimizers.Adam(rate), jit_compile=True)
    model.fit(steps_per_epoch=1600, verbose=0)
    judge = tfpf.bijectors.Continuous(field, rtol=1e-6, atol=1e-6)
    x, log_q = tfpf.distributions.Flow(base, judge).experimental_sample_and_log_prob(
        20_000, seed=tf.constant([1, 2])
    )
    gaps = np.log(np.pi) - (banana(x) - log_q)
    error = 3 * np.std(gaps) / np.sqrt(20_000)
    assert error < 0.005
    assert -error <= np.mean(gaps) <= 0.02


@pytest.mark.slow
def test_amortized_posterior_is_that_of_each_context():
    """Place and correlation differ from context to context; no single density would do."""

    def posterior(c):
        zero = tf.zeros_like(c[..., 0])
        rows = [
            tf.stack([zero + 0.8, zero], -1),
            tf.stack([0.5 * tf.tanh(c[..., 1]), 0.6 + zero], -1),
        ]
        return tfd.MultivariateNormalTriL(0.5 * c, tf.stack(rows, axis=-2))

    flow = tfpf.flows.sylvester(2, num_layers=2, hidden_units=(32,), context_size=2, seed=1)
    bound = tfpf.condition(flow, CONTEXT)
    best_single = tfd.MultivariateNormalTriL(tf.zeros(2), tf.eye(2))
    gap = tfd.kl_divergence(best_single, posterior(CONTEXT))
    assert tf.reduce_mean(gap) > 0.3
    assert abs(elbo(bound, posterior(CONTEXT).log_prob, 16)) <= 0.02
