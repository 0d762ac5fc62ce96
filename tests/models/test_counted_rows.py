"""Rows of weight zero count for nothing: not in the loss, its gradient, nor in statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.models._batches import batches
from tfp_flows.models._counted_rows import counted_index, counted_rows

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 0.9, size=[8, 2]).astype("float32")
C = RNG.normal(size=[8, 3]).astype("float32")
WEIGHT = np.float32([1.0, 0.0, 2.0, 0.0, 0.5, 0.0, 1.0, 3.0])
IDLE = WEIGHT == 0
SPOILED = np.where(IDLE[:, None], np.float32([[1.0, np.nan]]), X)


def weighted(x, weight=WEIGHT, context=None):
    parts = (x, weight) if context is None else (context, x, weight)
    dataset = tf.data.Dataset.from_tensor_slices(parts).batch(4)
    return dataset if context is not None else dataset.map(lambda x, w: (x, None, w))


def sigmoid_flow():
    base = tfd.Independent(tfd.Normal(tf.Variable([0.1, -0.2]), [1.0, 2.0]), 1)
    return tfpf.distributions.Flow(base, tfb.Sigmoid())


def bare_beta():
    """Whose density at one is infinite, and the gradient NaN; of TFP alone."""
    concentration = tfp.util.TransformedVariable([1.5, 1.2], tfb.Exp())
    return tfd.Independent(tfd.Beta(concentration, [0.5, 0.5]), 1)


def normed_flow():
    base = tfd.Independent(tfd.Normal(tf.Variable([0.1, -0.2]), [1.0, 2.0]), 1)
    return tfpf.distributions.Flow(base, tfb.Chain([tfb.Sigmoid(), B.BatchNorm(2)]))


def trained(distribution, data, optimizer="adam", objective="likelihood", **options):
    model = tfpf.FlowModel(distribution, objective=objective)
    model.compile(optimizer, **options)
    loss = model.fit(data, verbose=0).history["loss"][0]
    return model, loss, model.evaluate(data, verbose=0)


def assert_same(one, other):
    for weight, expected in zip(one[0].get_weights(), other[0].get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(one[1:], other[1:], rtol=1e-5)


OPTIONS = {
    "xla": {"jit_compile": True},
    "eager": {"jit_compile": False, "run_eagerly": True},
    "several steps": {"jit_compile": False, "steps_per_execution": 2},
    "xla, whole": {"jit_compile": True, "optimizer": "sgd"},
}


# Of two optimizers under XLA the one whose update is compiled apart stays.
MARKS = {"xla, whole": pytest.mark.slow}


@pytest.mark.parametrize(
    "options", [pytest.param(OPTIONS[n], id=n, marks=MARKS.get(n, ())) for n in OPTIONS]
)
def test_what_they_hold_changes_nothing(options):
    """One model from the same start twice, so that its steps are compiled once."""
    model = tfpf.FlowModel(sigmoid_flow())
    model.compile(**{"optimizer": "adam", **options})
    model.optimizer.build(model.trainable_weights)
    variables = [*model.weights, *model.optimizer.variables]
    start = [variable.numpy() for variable in variables]
    reached = []
    for x in (SPOILED, X):
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        loss = model.fit(weighted(x), verbose=0).history["loss"][0]
        losses = [loss, model.evaluate(weighted(x), verbose=0)]
        assert np.isfinite(losses).all()
        reached.append([*model.get_weights(), losses])
    assert np.any(reached[0][0] != start[0])
    for one, other in zip(*reached, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def eager(distribution, data, **options):
    return trained(distribution, data, jit_compile=False, run_eagerly=True, **options)


def test_accumulated_gradients():
    def optimizer():
        return keras.optimizers.Adam(0.1, gradient_accumulation_steps=2)

    spoiled = eager(sigmoid_flow(), weighted(SPOILED), optimizer=optimizer())
    assert_same(spoiled, eager(sigmoid_flow(), weighted(X), optimizer=optimizer()))


@pytest.mark.parametrize("made", [bare_beta, normed_flow])
def test_distributions_of_others_and_batch_norm(made):
    x = np.where(IDLE[:, None], 1.0, X).astype("float32")
    assert_same(eager(made(), weighted(x)), eager(made(), weighted(X)))


def test_a_context_that_is_not_finite():
    def flow():
        network = tfpf.layers.MLP(4, (), seed=0)
        network.build((None, 3))
        return tfpf.distributions.ConditionalNormal(network, 2, 3)

    spoiled = np.where(IDLE[:, None], np.nan, C).astype("float32")
    made = eager(flow(), weighted(SPOILED, context=spoiled))
    assert_same(made, eager(flow(), weighted(X, context=C)))


def test_flow_matching_and_whole_numbers():
    def matched(x):
        keras.utils.set_random_seed(0)
        flow = tfpf.flows.ffjord(2, hidden_units=(4,), solver="euler", num_steps=1, seed=1)
        return eager(flow, weighted(x), objective="flow_matching")

    assert_same(matched(SPOILED), matched(X))

    def dequantized(x):
        flow = tfd.Independent(tfd.Normal(tf.Variable([0.0, 0.0]), 1.0), 1)
        flow = tfpf.distributions.Dequantized(flow, 4, seed=1)
        return eager(flow, weighted(x))

    whole = (4 * X).astype("int32")
    spoiled = np.where(IDLE[:, None], 7, whole).astype("int32")
    assert_same(dequantized(spoiled), dequantized(whole))


def test_boundary_rows_in_arrays():
    x = np.where(IDLE[:, None], 1.0, X).astype("float32")
    for data in (SPOILED, x):
        model = tfpf.FlowModel(sigmoid_flow())
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False, run_eagerly=True)
        if data is SPOILED:
            with pytest.raises(ValueError, match="`x` must be finite.*first is row 1.*column 1"):
                model.fit(data, sample_weight=WEIGHT, verbose=0)
            continue
        validation = (data, None, WEIGHT)
        history = model.fit(
            data, sample_weight=WEIGHT, batch_size=2, validation_data=validation, verbose=0
        ).history
        assert np.isfinite([history["loss"], history["val_loss"]]).all()


def test_a_batch_without_weight_changes_nothing():
    """Not even the moments of Adam, which would move the weights on."""
    model = tfpf.FlowModel(normed_flow())
    model.compile(keras.optimizers.Adam(0.1), jit_compile=False)
    model.fit(weighted(X), verbose=0)
    before = [np.array(v.value) for v in (*model.weights, *model.optimizer.variables)]
    weight = np.where(np.arange(8) < 4, 0.0, WEIGHT).astype("float32")
    data = weighted(np.full_like(X, np.nan), weight).take(1)
    with pytest.raises(ValueError, match="`sample_weight` must have a positive number"):
        model.fit(data, verbose=0)
    after = [np.array(v.value) for v in (*model.weights, *model.optimizer.variables)]
    for this, that in zip(after, before, strict=True):
        np.testing.assert_array_equal(this, that)
    nan_then_good = np.where(np.arange(8)[:, None] < 4, np.nan, X).astype("float32")
    history = model.fit(weighted(nan_then_good, weight), verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_each_row_is_replaced_by_another_one_in_turn():
    counted = np.flatnonzero(WEIGHT)
    expected = [i if WEIGHT[i] else counted[i % 5] for i in range(8)]
    np.testing.assert_array_equal(counted_index(WEIGHT), expected)
    for run in (counted_rows, tf.function(counted_rows, jit_compile=True, autograph=False)):
        np.testing.assert_array_equal(run(tf.range(8), tf.constant(WEIGHT)), expected)
    for (x,), _, _ in batches((SPOILED,), WEIGHT, 3, True):
        assert np.isfinite(x).all()


def test_act_norm_starts_at_the_first_batch_with_weight():
    part = B.ActNorm(2)
    flow = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), part)
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False, run_eagerly=True)
    weight = np.where(np.arange(8) < 4, 0.0, WEIGHT).astype("float32")
    model.fit(weighted(SPOILED, weight), verbose=0)
    np.testing.assert_allclose(part.shift, X[4:][weight[4:] > 0].mean(0), rtol=1e-5)
