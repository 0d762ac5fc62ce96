"""Whole numbers beside real ones: a bound of the log-density, and whole samples."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.distributions import WholeColumns

tfd = tfp.distributions


def normal(dtype=np.float64):
    """Of two columns, the second of which holds whole numbers from -3 to 2."""
    return tfd.MultivariateNormalDiag(np.zeros(2, dtype), np.array([0.5, 1.5], dtype))


def made(**options):
    return WholeColumns(normal(), [1], [-3], [2], **{"seed": 1, **options})


X = np.stack([np.linspace(-1, 1, 6), np.arange(-3, 3)], axis=-1)


def test_elbo_is_the_mean_of_the_log_density_over_a_unit_and_a_bound():
    first = tfd.Normal(np.float64(0), 0.5).log_prob(X[:, 0])
    second, k = tfd.Normal(np.float64(0), 1.5), X[:, 1]
    mean = -np.log(1.5) - 0.5 * np.log(2 * np.pi) - (k**2 + k + 1 / 3) / (2 * 1.5**2)
    elbo = made().elbo(X, num_samples=4000)
    np.testing.assert_allclose(elbo, first + mean, atol=0.1)
    exact = first + np.log(second.cdf(k + 1) - second.cdf(k))
    assert np.all(elbo < exact) and np.all(elbo > exact - 0.3)


def test_only_whole_columns_get_noise():
    other = X + [[0.3, 0.0]]
    difference = made().elbo(other) - made().elbo(X)
    first = tfd.Normal(np.float64(0), 0.5)
    expected = first.log_prob(other[:, 0]) - first.log_prob(X[:, 0])
    np.testing.assert_allclose(difference, expected, atol=1e-10)


def test_noise_is_new_in_training_alone():
    flow = made()
    np.testing.assert_array_equal(flow.elbo(X), flow.elbo(X))
    model = tfpf.FlowModel(flow)
    assert np.any(model(X, training=True) != model(X, training=True))


def test_samples_are_whole_and_within_range():
    x = made().sample(1000, seed=1).numpy()
    assert set(x[:, 1]) == {-3, -2, -1, 0, 1, 2} and np.all(x[:, 0] % 1 != 0)


def test_other_values_are_refused_and_impossible_in_a_graph():
    flow = made()
    for value in (0.5, -4.0, 3.0, np.nan):
        x = np.array([[0.0, value], [0.0, 1.0]])
        with pytest.raises(ValueError, match="`x` must hold whole numbers from -3 to 2 in column"):
            flow.elbo(x)
        bound = tf.function(flow.elbo)(x)
        assert bound[0] == -np.inf and np.isfinite(bound[1])
    with pytest.raises(NotImplementedError, match="`elbo"):
        flow.log_prob(X)
    with pytest.raises(ValueError, match="`x` must have shape.*Received: "):
        flow.elbo(np.zeros([4, 3]))


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"distribution": "normal"}, TypeError, "distribution"),
        ({"distribution": tfd.Normal(0.0, 1.0)}, ValueError, "distribution"),
        ({"columns": [1, 1], "low": [0, 0], "high": [1, 1]}, ValueError, "columns"),
        ({"columns": [2]}, ValueError, "columns"),
        ({"columns": []}, ValueError, "columns"),
        ({"columns": 1}, TypeError, "columns"),
        ({"columns": [1.5]}, TypeError, "columns"),
        ({"low": [0.5]}, ValueError, "low"),
        ({"low": [3]}, ValueError, "low"),
        ({"high": [2, 3]}, ValueError, "high"),
        ({"distribution": normal(np.float32), "high": [2**21]}, ValueError, "high"),
    ],
)
def test_bad_input_is_named(change, error, named):
    arguments = {"distribution": normal(), "columns": [1], "low": [-3], "high": [2], **change}
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        WholeColumns(**arguments)


def test_standardize_adapts_behind_the_noise():
    """Also in `Dequantized`: draws of noise count as rows."""
    x = np.random.default_rng(0).binomial(15, 0.3, size=[500, 2])
    small = {"num_layers": 1, "hidden_units": (4,), "seed": 1}
    for wrap in (
        lambda flow: tfpf.distributions.Dequantized(flow, 16, alpha=None),
        lambda flow: WholeColumns(flow, [0, 1], [0, 0], [15, 15]),
    ):
        standardize = tfpf.bijectors.Standardize(2)
        flow = tfpf.distributions.Flow(tfpf.flows.real_nvp(2, **small), standardize)
        tfpf.FlowModel(wrap(flow)).adapt(x)
        assert np.all(standardize.scale != 1.0) and np.all(standardize.mean != 0.0)
