"""Tables of columns of different kinds: densities, samples, training, files and bad input."""

import functools

import keras
import numpy as np
import pytest
import scipy.integrate
import tensorflow as tf
from cases import perturb

import tfp_flows as tfpf
from tfp_flows import Column, table_flow

SMALL = {"num_layers": 1, "num_bins": 4, "hidden_units": (8,), "seed": 1}
FEW = {"num_layers": 1, "hidden_units": (8,), "seed": 1}
NAMED = {
    "count": Column("integer", -1, 4),
    "height": "real",
    "hour": Column("angle", 0, 24),
    "income": Column("positive"),
    "share": Column("bounded", 2, 3),
    "delay": Column("positive", 10.0),
}


@functools.cache
def table(num_rows=200):
    rng = np.random.default_rng(0)
    hour = rng.normal(0, 3, num_rows) % 24
    columns = [
        rng.integers(-1, 5, num_rows),
        170 + hour + rng.normal(size=num_rows),
        hour,
        np.exp(rng.normal(8, 1, num_rows)),
        rng.uniform(2.01, 2.99, num_rows),
        10 + rng.gamma(2.0, size=num_rows),
    ]
    return np.stack(columns, axis=-1).astype("float32")


def moved(columns, x, **options):
    """A flow in float64 that has adapted, away from its start; further it would have ridges."""
    flow = table_flow(columns, **{**SMALL, "dtype": "float64", **options})
    tfpf.FlowModel(flow).adapt(x.astype("float64"))
    perturb(flow.trainable_variables, scale=0.4)
    return flow


@pytest.mark.parametrize(
    ("columns", "first", "second"),
    [
        (
            [Column("angle", 0, 24), "positive"],
            np.linspace(0, 24, 100),
            np.geomspace(1e-8, 1e8, 500),
        ),
        (
            [Column("bounded", 2, 3), "real"],
            2 + 1 / (1 + np.exp(-np.linspace(-12, 12, 300))),
            np.linspace(-8, 12, 300),
        ),
    ],
)
def test_density_is_one_in_all(columns, first, second):
    rng = np.random.default_rng(1)
    x = np.stack([rng.uniform(2.1, 2.9, 100), np.exp(rng.normal(0.0, 0.5, 100))], axis=-1)
    flow = moved(columns, x)
    points = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1)
    density = np.exp(flow.log_prob(points.reshape([-1, 2])))
    by_first = scipy.integrate.trapezoid(np.reshape(density, points.shape[:2]), second, axis=1)
    np.testing.assert_allclose(scipy.integrate.trapezoid(by_first, first), 1.0, atol=0.01)


def test_trains_samples_in_data_units_and_is_saved(tmp_path):
    x, flow = table(), table_flow(NAMED, recipe=tfpf.flows.maf, **FEW)
    assert flow.event_shape == [6] and flow.batch_shape == []
    model = tfpf.FlowModel(flow)
    model.adapt(x)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    losses = model.fit(x, epochs=5, batch_size=100, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    samples = flow.sample(500, seed=1).numpy()
    assert set(samples[:, 0]) <= {-1, 0, 1, 2, 3, 4} and len(set(samples[:, 0])) > 3
    assert np.all((samples[:, 2] >= 0) & (samples[:, 2] < 24))
    assert np.all(samples[:, 3] > 0) and np.all(samples[:, 5] > 10)
    assert np.all((samples[:, 4] > 2) & (samples[:, 4] < 3))
    for i in (1, 3, 5):  # the order and the units of the data
        low, high = np.quantile(x[:, i], [0.01, 0.99])
        assert low < np.median(samples[:, i]) < high
    model.save(tmp_path / "table.keras")
    loaded = keras.saving.load_model(tmp_path / "table.keras")
    elbo = loaded.distribution.elbo(x[:20])
    np.testing.assert_array_equal(elbo, flow.elbo(x[:20]))
    assert np.all(np.isfinite(elbo))


def test_a_table_without_whole_numbers_is_a_flow_with_a_density():
    columns = {name: NAMED[name] for name in list(NAMED)[1:]}
    flow = moved(columns, table()[:, 1:])
    assert isinstance(flow, tfpf.distributions.Flow)
    x, log_prob = flow.experimental_sample_and_log_prob(50, seed=1)
    np.testing.assert_allclose(flow.log_prob(x.numpy()), log_prob, atol=1e-8)
    turned = x.numpy() + 24.0 * (np.arange(5) == 1)
    np.testing.assert_allclose(flow.log_prob(turned), log_prob, atol=1e-8)
    outside = np.where(np.arange(5) == 4, 9.0, x)
    np.testing.assert_array_equal(flow.log_prob(outside), -np.inf)
    with pytest.raises(ValueError, match="`value` must have shape.*Received: "):
        flow.log_prob(np.zeros([3, 6]))


def test_columns_keep_their_order():
    """The density of columns in another order is that of their numbers in that order."""
    x, order = table().astype("float64")[:, 1:], [3, 0, 4, 2]
    columns = [list(NAMED.values())[1:][i] for i in range(5)]
    straight = table_flow([columns[i] for i in sorted(order)], **SMALL, dtype="float64")
    flow = table_flow([columns[i] for i in order], **SMALL, dtype="float64")
    for each, which in ((straight, sorted(order)), (flow, order)):
        tfpf.FlowModel(each).adapt(x[:, which])
    # Both start as standard normals of standardised numbers.
    difference = flow.log_prob(x[:, order]) - straight.log_prob(x[:, sorted(order)])
    np.testing.assert_allclose(difference, 0.0, atol=1e-8)


def test_context_of_angles_and_others():
    flow = table_flow(["angle", "real"], context_size=2, **SMALL, dtype="float64")
    perturb(flow.trainable_variables, scale=1.0)
    contexts = np.random.default_rng(2).normal(size=[3, 2])
    bound = tfpf.condition(flow, contexts)
    x = np.random.default_rng(3).normal(size=[3, 2])
    assert bound.sample(4, seed=1).shape == [4, 3, 2]
    one = [tfpf.condition(flow, c).log_prob(row) for c, row in zip(contexts, x, strict=True)]
    np.testing.assert_allclose(bound.log_prob(x), one, atol=1e-10)


def test_xla_equals_eager():
    kinds = [NAMED["count"], "positive", "real", NAMED["share"]]
    flow = table_flow(kinds, recipe=tfpf.flows.real_nvp, **FEW)
    perturb(flow.trainable_variables, scale=1.0)
    x = np.random.default_rng(4).integers(1, 4, size=[20, 4]) + [0, 0, 0, 1.5]
    x = np.minimum(x, [4, 4, 4, 2.9]).astype("float32")
    compiled = tf.function(flow.elbo, jit_compile=True, autograph=False)
    np.testing.assert_allclose(compiled(x), flow.elbo(x), atol=1e-4)


@pytest.mark.parametrize("kinds", [["angle"], ["angle", "angle"], ["real"], ["positive", "real"]])
def test_few_columns_and_other_recipes(kinds):
    flow = table_flow(kinds, **SMALL)
    assert flow.sample(3, seed=1).shape == [3, len(kinds)]
    flow = table_flow(kinds, recipe=tfpf.flows.maf, **FEW)
    assert flow.sample(3, seed=1).shape == [3, len(kinds)]


def test_ends_of_wide_ranges_of_whole_numbers_have_a_density():
    for high in (1, 1000, 2**20):
        flow = table_flow([Column("integer", 0, high), "real"], **SMALL)
        x = np.array([[0, 0], [high, 0]], "float32")
        assert np.all(np.isfinite(flow.elbo(x, num_samples=500)))


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        (("whole",), ValueError, "kind"),
        (("bounded",), ValueError, "low"),
        (("integer", 0), ValueError, "high"),
        (("integer", 0, 2.5), ValueError, "high"),
        (("bounded", 1, 1), ValueError, "high"),
        (("bounded", 2, 1), ValueError, "high"),
        (("angle", 4), ValueError, "high"),
        (("bounded", 0, float("inf")), ValueError, "high"),
        (("bounded", "0", 1), TypeError, "low"),
        (("bounded", False, 1), TypeError, "low"),
        (("real", 0), ValueError, "low"),
        (("positive", 0, 1), ValueError, "high"),
        (("category",), ValueError, "kind"),
    ],
)
def test_bad_columns_are_named(arguments, error, named):
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        Column(*arguments)


def test_a_category_is_refused_with_the_way_to_do_it():
    with pytest.raises(ValueError, match="one-hot labels.*context_size"):
        table_flow(["real", "category"])


@pytest.mark.parametrize(
    ("columns", "error", "named"),
    [
        ([], ValueError, "columns"),
        ({}, ValueError, "columns"),
        ("real", TypeError, "columns"),
        (3, TypeError, "columns"),
        (["real", 3], TypeError, r"columns\[1\]"),
        ({"a": None}, TypeError, r"columns\['a'\]"),
    ],
)
def test_bad_tables_are_named(columns, error, named):
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        table_flow(columns, **SMALL)


def test_the_kinds_that_are_listed_are_those_that_are_taken():
    with pytest.raises(ValueError, match="'angle'. Received: kind='count'") as caught:
        Column("count")
    assert "category" not in str(caught.value)


def test_a_recipe_of_something_else_is_refused():
    with pytest.raises(TypeError, match="`recipe`.*Received: "):
        table_flow(["real"], recipe=lambda size, **kwargs: "normal")
    with pytest.raises(ValueError, match="`recipe` must return.*over 2 dim.*Received: "):
        table_flow(["real", "real"], recipe=lambda size, **_: tfpf.flows.maf(3, num_layers=1))


def test_data_that_do_not_fit_are_named():
    columns = [Column("integer", 0, 3), "positive"]
    model = tfpf.FlowModel(table_flow(columns, recipe=tfpf.flows.maf, **FEW))
    model.compile(jit_compile=False)
    good = np.ones([8, 2], "float32")
    for x, words in (
        (good[:, :1], r"`x` must have shape \[N, 2\]"),
        (np.ones([8, 3], "float32"), r"`x` must have shape \[N, 2\]"),
        (good * [[4, 1]], "`x` must hold whole numbers from 0 to 3 in column 0"),
        (good * [[0.5, 1]], "`x` must hold whole numbers from 0 to 3 in column 0"),
        (good * [[1, -1]], "`x` must lie inside of the support.*column 1 in"),
    ):
        with pytest.raises(ValueError, match=f"(?s){words}.*Received: "):
            model.fit(x, verbose=0)
    model.evaluate(good.astype("int32"), verbose=0)  # whole numbers may be integers
