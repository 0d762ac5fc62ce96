"""Tests of a flow against data are right on an exact flow and see one that is wrong."""

import known_flows
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
d = tfpf.diagnostics

OPTIONS = {"coverage": {"num_samples": 60}, "sbc": {"num_samples": 59}}
TESTS = [d.latent_normality, d.coverage, d.c2st, d.sbc]


def run(test, *arguments, **options):
    """With samples enough for a test."""
    return test(*arguments, **OPTIONS.get(test.__name__, {}), **options)


@pytest.fixture(scope="module")
def results():
    return {
        (test.__name__, name): run(test, flow, x, context)
        for name, flow, x, context, _ in known_flows.cases()
        for test in TESTS
    }


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_an_exact_flow_passes_and_a_wrong_one_does_not(test, results):
    for name, *_, is_exact in known_flows.cases():
        p_value = results[test.__name__, name].p_value
        assert (p_value > 0.05) if is_exact else (p_value < 0.05), (name, p_value)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_p_values_of_an_exact_flow_are_not_small_more_often_than_they_say(test):
    """Over 12 data sets: below 0.1 in 6 of them once in two thousand times."""
    small, flow = 0, known_flows.conditional()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        context = rng.normal(size=(100, 1))
        x = context + rng.normal(size=(100, 2))
        small += run(test, flow, x, context, seed=seed).p_value < 0.1
    assert small < 6


def test_numbers_of_latents(results):
    exact, narrow = (results["latent_normality", name] for name in ("exact", "narrow"))
    np.testing.assert_allclose(exact.scores, known_flows.X, atol=1e-6)
    np.testing.assert_allclose(narrow.deviations, known_flows.X.std(axis=0) / 0.6, rtol=1e-5)
    shifted = results["latent_normality", "shifted"]
    np.testing.assert_allclose(shifted.means, known_flows.X.mean(axis=0) - 0.5, atol=1e-6)


def test_only_the_context_tells_of_a_flow_that_ignores_it(results):
    """Its marginal is right, so that all else fits."""
    for name in ("latent_normality", "coverage", "sbc"):
        result = results[name, "conditional ignores context"]
        assert result.context_p_value < 1e-6
    assert results["coverage", "conditional ignores context"].uniform_p_value > 0.01
    assert results["sbc", "conditional ignores context"].column_p_values.min() > 0.01
    assert results["coverage", "conditional exact"].context_p_value > 0.05
    assert results["coverage", "exact"].context_p_value is None


def test_numbers_of_coverage(results):
    """A region of level a of a normal in two dimensions ends where |x|^2 = -2 log(1 - a)."""
    for name, scale in (("exact", 1.0), ("narrow", 0.6)):
        result = results["coverage", name]
        squares = np.sum(known_flows.X**2, axis=1) / scale**2
        np.testing.assert_allclose(result.credibilities, 1 - np.exp(-squares / 2), atol=0.05)
    result = results["coverage", "exact"]
    inside = np.abs(result.shares - result.levels) <= result.bands + 1e-9
    assert inside.mean() > 0.8
    assert (results["coverage", "narrow"].shares[10:-5] < result.levels[10:-5]).all()


def test_ranks(results):
    result = results["sbc", "conditional exact"]
    assert result.ranks.shape == (400, 2) and result.num_samples == 59
    assert result.ranks.min() >= 0 and result.ranks.max() <= 59
    low, high = result.band_low[:, np.newaxis], result.band_high[:, np.newaxis]
    assert ((low <= result.ecdf) & (result.ecdf <= high)).all()
    # The band holds a whole curve, so it is wider than that of one point.
    middle = len(result.points) // 2
    p = result.points[middle]
    assert result.band_high[middle] - p > 2 * np.sqrt(p * (1 - p) / 400)
    # Of a flow that is half as far as the data, ranks pile up at the end.
    shifted = results["sbc", "conditional shifted"]
    assert shifted.ranks.mean() < 27


def test_ties_are_no_fault():
    """A density that is the same everywhere, and data of a discrete distribution."""
    uniform = tfd.Independent(tfd.Uniform([0.0, 0.0], 1.0), 1)
    x = np.random.default_rng(1).uniform(size=(300, 2))
    assert d.coverage(uniform, x).p_value > 0.05
    coins = tfd.Independent(tfd.Bernoulli(probs=[0.5, 0.5], dtype="float32"), 1)
    assert d.sbc(coins, np.random.default_rng(1).integers(0, 2, size=(300, 2))).p_value > 0.05


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_latents_of_a_base_that_is_no_normal(scale):
    base = tfd.Sample(tfd.Uniform(0.0, 1.0), 2)
    flow = tfpf.distributions.Flow(base, tfb.Scale([2.0, 3.0]))
    x = np.random.default_rng(1).uniform(size=(300, 2)) * [2.0 * scale, 3.0]
    assert (d.latent_normality(flow, x).p_value > 0.05) == (scale == 1.0)


def test_a_base_that_takes_a_context():
    network = tfpf.layers.MLP(4, ())
    network.build((None, 1))
    kernel, _ = network.weights
    kernel.assign([[1.0, 0.0, 1.0, 0.0]])
    base = tfpf.distributions.ConditionalNormal(network, event_size=2, context_size=1)
    flow = tfpf.distributions.Flow(base, tfb.Scale(2.0))
    x, context = 2 * known_flows.GIVEN_CONTEXT, known_flows.CONTEXT
    assert d.latent_normality(flow, x, context).p_value > 0.05
    assert d.latent_normality(flow, x, context[::-1]).p_value < 0.001


def test_columns_that_are_each_normal_and_not_so_together():
    z = np.random.default_rng(3).normal(size=(400, 2))
    z[:, 1] = np.abs(z[:, 1]) * np.sign(z[:, 0])
    result = d.latent_normality(known_flows.unconditional(), z)
    assert result.column_p_values.min() > 0.01 and result.correlation_p_value < 0.001


def test_a_classifier_of_ones_own():
    from sklearn.neighbors import KNeighborsClassifier

    options = {"classifier": KNeighborsClassifier(20)}
    assert d.c2st(known_flows.unconditional("shifted"), known_flows.X, **options).p_value < 0.01


def test_of_more_rows_some_are_taken_by_the_seed(results):
    flow, x = known_flows.unconditional(), known_flows.X
    first, again, other = (
        d.latent_normality(flow, x, num_rows=100, seed=seed).scores for seed in (1, 1, 2)
    )
    assert first.shape == (100, 2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first[:, 0])) == 100
    for test in TESTS:
        again = run(test, *next(known_flows.cases())[1:4])
        assert again.p_value == results[test.__name__, "exact"].p_value


def test_models_are_taken_for_their_distributions():
    flow = tfpf.flows.nice(2, num_layers=2, hidden_units=(4,), seed=1)
    result = d.latent_normality(tfpf.FlowModel(flow), known_flows.X)
    np.testing.assert_array_equal(result.scores, d.latent_normality(flow, known_flows.X).scores)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_text_and_picture(test, results):
    for name in ("exact", "conditional narrow"):
        result = results[test.__name__, name]
        text = str(result)
        assert "400" in text and len(text) < 500
        assert "p = " in text
        ax = result.plot()
        assert ax.get_xlabel() and ax.get_ylabel()
        assert result.plot(ax) is ax


def test_words_for_p_values_are_right(results):
    """A p-value is no chance that the flow is exact; where it is corrected the text says so."""
    for name in ("exact", "conditional exact"):
        result = results["sbc", name]
        tests = "2 columns and the context" if "conditional" in name else "2 columns"
        first, worst = str(result).splitlines()[:2]
        assert first.endswith(
            f"exact posteriors are this uneven with p = {result.p_value:.2g} (the smallest p of "
            f"{tests}, corrected for their number)."
        )
        assert "column" in worst
        text = str(results["coverage", name])
        assert "exact flows deviate this much with p = " in text
        assert ("corrected" in text) == ("conditional" in name)
        text = str(results["latent_normality", name])
        assert "draws of the base deviate this much with p = " in text
        assert "fits worst (latents mix columns)" in text and "\n  latent " in text
    one = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    assert str(d.sbc(one, known_flows.X[:50, :1], num_samples=9)).count("corrected") == 0


def test_a_legend_names_the_columns(results):
    ax = results["sbc", "exact"].plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["column 0", "column 1"]


def test_events_that_are_images():
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [4, 4, 1])
    flow = tfpf.distributions.Flow(base, tfb.Scale(1.0))
    x = np.random.default_rng(1).normal(size=(100, 4, 4, 1))
    for test in TESTS:
        assert run(test, flow, x).p_value > 0.01


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_bad_input(test):
    flow, given = known_flows.unconditional(), known_flows.conditional()
    x, context = known_flows.X, known_flows.CONTEXT
    for arguments, options, error, word in (
        ((tfb.Exp(), x), {}, TypeError, "`flow`"),
        ((flow, x[:, :1]), {}, ValueError, "`x`"),
        ((flow, x[:1]), {}, ValueError, "`x`"),
        ((flow, np.full_like(x, np.nan)), {}, ValueError, "must be finite"),
        ((flow, x, context), {}, ValueError, "`context`"),
        ((given, x), {}, ValueError, "`context`"),
        ((given, x, context[1:]), {}, ValueError, "`context`"),
        ((given, x, context.astype(str)), {}, TypeError, "`context`"),
        ((tfpf.condition(given, context), x), {}, ValueError, "`flow`"),
        ((flow, x), {"num_rows": 1}, ValueError, "`num_rows`"),
        ((flow, x), {"seed": -1}, ValueError, "`seed`"),
    ):
        with pytest.raises(error, match=word) as caught:
            test(*arguments, **options)
        assert "Received: " in str(caught.value)


def test_samples_that_are_not_finite_are_no_number_of_a_test():
    broken = tfpf.distributions.Flow(
        tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Scale(tf.Variable(np.nan))
    )
    for test in TESTS:
        with pytest.raises(ValueError, match="tfp_flows.diagnose"):
            test(broken, known_flows.X)
    with pytest.raises(TypeError, match="`classifier`.*Received"):
        d.c2st(known_flows.unconditional(), known_flows.X, classifier=3)
    with pytest.raises(ValueError, match="20 rows"):
        d.c2st(known_flows.unconditional(), known_flows.X[:19])
    with pytest.raises(ValueError, match="`num_samples`"):
        d.coverage(known_flows.unconditional(), known_flows.X, num_samples=1)
    with pytest.raises(TypeError, match="TransformedDistribution"):
        d.latent_normality(tfd.Sample(tfd.Normal(0.0, 1.0), 2), known_flows.X)
