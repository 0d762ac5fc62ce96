"""Weights of a flow against an unnormalised target, whose k and normaliser are known."""

import known_flows
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.diagnostics._pareto import fit_generalized_pareto

tfb, tfd = tfp.bijectors, tfp.distributions
importance = tfpf.diagnostics.importance
LOG_Z = np.log(2 * np.pi)


def target(x):
    return -0.5 * tf.reduce_sum(x**2, axis=-1)


def scaled(scale):
    return tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Scale(scale))


def test_an_exact_flow():
    result = importance(known_flows.unconditional(), target)
    assert abs(result.log_normalizer - LOG_Z) < 1e-5 and abs(result.elbo - LOG_Z) < 1e-5
    assert result.effective_samples > 3999 and result.pareto_k < result.limit
    np.testing.assert_allclose(np.exp(result.smoothed_log_weights).sum(), 1.0)
    assert result.samples.shape == (4000, 2)


@pytest.mark.parametrize("scale", [0.8, 0.6, 0.45, 1.5])
def test_a_narrow_flow_has_the_shape_that_it_must(scale):
    """w = c exp(a |x|^2), 2 a = s^-2 - 1, and |x|^2 / s^2 is chi-squared of two: k = 1 - s^2.

    For two dimensions P(w > y) falls as y^(-1 / k) with 1 / k = 1 / (2 a s^2). Of a wider flow
    weights are bounded, and k is at most zero.
    """
    result = importance(scaled(scale), target, num_samples=20_000)
    k = 1 - scale**2
    if k > 0:
        assert abs(result.pareto_k - k) < 0.12
    else:
        assert result.pareto_k < 0.1
    assert (result.pareto_k > result.limit) == (scale == 0.45)
    # E_q[log w] = log Z - KL(q, p).
    kl = 2 * (-np.log(scale) + (scale**2 - 1) / 2)
    assert abs(result.elbo - (LOG_Z - kl)) < 0.05
    if k < 0.5:
        assert abs(result.log_normalizer - LOG_Z) < 4 * result.log_normalizer_error
        # E[w]^2 / E[w^2].
        exact = (2 * scale**2 - 1) / scale**4
        assert abs(result.effective_samples / 20_000 - exact) < 0.05


def test_a_shifted_flow_loses_samples():
    """E[w]^2 / E[w^2] = exp(-|shift|^2) of two normals."""
    result = importance(known_flows.unconditional("shifted"), target)
    assert abs(result.effective_samples / 4000 - np.exp(-0.5)) < 0.05
    assert abs(result.elbo - (LOG_Z - 0.25)) < 0.05


def test_a_flow_that_ignores_its_context():
    def posterior(x):
        return target(x - 2.0)

    exact, ignoring = (
        importance(known_flows.conditional(kind), posterior, context=[2.0])
        for kind in ("exact", "ignores context")
    )
    assert exact.effective_samples > 3999
    assert ignoring.effective_samples < 1000 and ignoring.elbo < LOG_Z - 2


def test_the_target_of_a_variational_model_is_taken():
    model = tfpf.VariationalModel(tfpf.flows.nice(2, num_layers=2, hidden_units=(4,)), target)
    result = importance(model, num_samples=200)
    assert abs(result.log_normalizer - LOG_Z) < 1e-4 and result.num_samples == 200


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.7, 1.2])
def test_fit_of_the_generalised_pareto(k):
    uniform = np.random.default_rng(1).uniform(size=20_000)
    excess = np.sort(3.0 * np.expm1(-k * np.log(uniform)) / k)
    fitted, sigma = fit_generalized_pareto(excess)
    assert abs(fitted - k) < 0.04 and abs(sigma - 3.0) < 0.15


def test_smoothing_does_less_harm_than_the_largest_weights():
    """Over 50 draws of weights with an infinite variance, whose mean is one."""
    from tfp_flows.diagnostics._pareto import pareto_smoothed

    rng = np.random.default_rng(1)
    plain, smoothed, shapes = [], [], []
    for _ in range(50):
        log_w = -0.6 * np.log(rng.uniform(size=1000)) + np.log(0.4)
        new, k = pareto_smoothed(log_w)
        plain.append(np.exp(log_w).mean())
        smoothed.append(np.exp(new + log_w.max()).mean())
        shapes.append(k)
    assert abs(np.mean(shapes) - 0.6) < 0.1
    assert np.abs(np.array(smoothed) - 1).mean() < np.abs(np.array(plain) - 1).mean()


def test_weights_without_a_tail():
    from tfp_flows.diagnostics._pareto import pareto_smoothed

    assert pareto_smoothed(np.zeros(100))[1] == -np.inf
    one = np.full(100, -50.0)
    one[3] = 0.0
    assert pareto_smoothed(one)[1] == np.inf


def test_a_target_that_is_zero_somewhere():
    def half(x):
        return tf.where(x[..., 0] > 0, target(x), -np.inf)

    result = importance(known_flows.unconditional(), half)
    assert abs(result.log_normalizer - (LOG_Z - np.log(2))) < 0.05
    assert abs(result.effective_samples - 2000) < 100


def test_text_and_picture():
    result = importance(scaled(0.45), target)
    assert "not to be trusted" in str(result) and "nats" in str(result)
    assert "(good" in str(importance(scaled(1.1), target))
    ax = result.plot()
    assert result.plot(ax) is ax and ax.get_xscale() == "log"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, TypeError, "`target_log_prob_fn`"),
        ({"target_log_prob_fn": 3}, TypeError, "`target_log_prob_fn`"),
        ({"target_log_prob_fn": lambda x: x}, ValueError, "`target_log_prob_fn`"),
        ({"target_log_prob_fn": lambda x: np.nan * x[:, 0]}, ValueError, "400 NaN|4000 NaN"),
        ({"target_log_prob_fn": target, "num_samples": 10}, ValueError, "`num_samples`"),
        ({"target_log_prob_fn": target, "context": [1.0]}, ValueError, "`context`|`flow`"),
    ],
)
def test_bad_input(arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        importance(known_flows.unconditional(), **arguments)
    assert "Received: " in str(caught.value)


def test_a_missing_context():
    with pytest.raises(ValueError, match="`context`.*Received: context=None"):
        importance(known_flows.conditional(), target)
    with pytest.raises(ValueError, match="`context` must be one context"):
        importance(known_flows.conditional(), target, context=[[1.0], [2.0]])
