"""`fit` says once that data are not standardised, or beyond the splines."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors
X = np.random.default_rng(0).normal(size=[64, 2]).astype("float32")
FAR = (X * [1.0, 20.0] + [0.0, 100.0]).astype("float32")
SMALL = {"num_layers": 1, "hidden_units": (2,), "seed": 0}


def messages(flow, x, context=None, fits=1, **options):
    """The warnings of so many calls of `fit`."""
    model = tfpf.FlowModel(flow)
    model.compile("sgd", run_eagerly=True)
    data = (x,) if context is None else (context, x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        for _ in range(fits):
            model.fit(*data, epochs=0, verbose=0, **options)  # said before the first epoch
    ours = [entry for entry in caught if "where the flow begins to learn" in str(entry.message)]
    assert all(entry.filename == __file__ for entry in ours)
    return [str(entry.message) for entry in ours]


@pytest.mark.parametrize("recipe", ["maf", "real_nvp", "neural_spline", "planar", "sos"])
def test_columns_far_from_standard_are_told_once(recipe):
    options = {**SMALL, **({"hidden_units": (4,)} if recipe != "planar" else {})}
    (message,) = messages(getattr(tfpf.flows, recipe)(2, **options), FAR, fits=2)
    assert "`tfp_flows.bijectors.Standardize`" in message
    assert "Received: 1 of 2 columns" in message and "column 1 with a mean of" in message


@pytest.mark.parametrize(
    ("mean", "scale", "warns"),
    [
        *((0.0, 1.0, False), (2.0, 1.0, False), (4.0, 1.0, True), (-4.0, 1.0, True)),
        *((0.0, 8.0, False), (0.0, 13.0, True), (0.0, 0.15, False), (0.0, 0.08, True)),
        *((20.0, 9.0, False), (0.5, 0.0, False), (50.0, 0.0, True)),
    ],
)
def test_what_counts_as_far(mean, scale, warns):
    x = ((X - X.mean(0)) / X.std(0) * scale + mean).astype("float32")
    assert len(messages(tfpf.flows.maf(2, **SMALL), x)) == warns


def test_rows_in_a_regular_order():
    x = np.tile([[-1.0, 0.0], [1.0, 0.0]], [1000, 1]) + 0.05 * np.resize(X, [2000, 2])
    x[:, 1] = np.resize(X[:, 1], 2000)
    assert messages(tfpf.flows.maf(2, **SMALL), x.astype("float32")) == []


def test_rows_outside_of_every_spline():
    flow = tfpf.flows.neural_spline(2, bound=1.0, **SMALL)
    (message,) = messages(flow, X)
    assert "outside of [-1, 1]" in message and "Standardize" in message
    assert "larger `bound`" in message and "unit scale" not in message
    assert messages(tfpf.flows.neural_spline(2, bound=3.0, **SMALL), X) == []
    itself = B.RationalQuadraticSpline.new(tf.Variable(tf.zeros([2, 23])), bound=1.0)
    flow = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), itself)
    (message,) = messages(flow, X)
    assert "outside of [-1, 1]" in message


def test_standardize_is_asked_to_adapt_and_then_says_nothing():
    flow = B.Standardize(2)(tfpf.flows.maf(2, **SMALL))
    (message,) = messages(flow, FAR)
    assert "let `Standardize` learn" in message and "`model.adapt`" in message
    tfpf.FlowModel(flow).adapt(FAR)
    assert messages(flow, FAR) == []
    narrow = B.Standardize(2)(tfpf.flows.neural_spline(2, bound=0.5, **SMALL))
    tfpf.FlowModel(narrow).adapt(FAR)
    (message,) = messages(narrow, FAR)
    assert "larger `bound`" in message


def test_parts_before_the_first_trained_layer_are_passed():
    x = 100.0 * tf.nn.sigmoid(3.0 * X).numpy()
    flow = tfpf.flows.maf(2, **SMALL)
    assert len(messages(flow, x)) == 1
    outer = tfb.Chain([tfb.Sigmoid(0.0, 100.0), tfb.Permute([1, 0])])
    assert messages(tfpf.distributions.Flow(flow, outer), x) == []
    flow = tfpf.distributions.Flow(flow, tfb.Chain([tfb.Exp(), tfb.Invert(tfb.Scale(0.01))]))
    (message,) = messages(flow, np.exp(X))
    assert "standard deviation of 0.0" in message


def silent():
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    shift, scale = tf.Variable([0.0, 0.0]), tf.Variable([1.0, 1.0])
    network = tfpf.flows.maf(2, **SMALL)
    return {
        "act_norm": tfpf.distributions.Flow(network, B.ActNorm(2)),
        "batch_norm": tfpf.distributions.Flow(network, B.BatchNorm(2)),
        "affine of TFP": tfpf.distributions.Flow(base, tfb.Shift(shift)(tfb.Scale(scale))),
        "no flow": tfd.MultivariateNormalDiag(shift, scale),
    }


@pytest.mark.parametrize("name", silent())
def test_what_learns_location_and_scale_itself(name):
    assert messages(silent()[name], FAR) == []


def test_images_are_not_looked_at():
    flow = tfpf.flows.glow((2, 2, 2), num_scales=1, num_layers=1, hidden_channels=(2,))
    assert messages(flow, 100.0 + np.ones([32, 2, 2, 2], "float32")) == []


def test_rows_of_weight_zero_and_too_few_rows_do_not_count():
    weight = np.where(np.arange(128) < 64, 1.0, 0.0)
    x = np.concatenate([X, FAR])
    flow = tfpf.flows.maf(2, **SMALL)
    assert messages(flow, x, sample_weight=weight) == []
    assert messages(flow, FAR[:4]) == []


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (FAR[:32],)


def generated():
    yield (FAR[:32],)
    yield (FAR[32:],)


SOURCES = {
    "dataset": lambda: tf.data.Dataset.from_tensor_slices(FAR).batch(32),
    "PyDataset": Batches,
    "generator": generated,
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_first_batch_of_other_sources(source):
    assert len(messages(tfpf.flows.maf(2, **SMALL), SOURCES[source]())) == 1


def test_a_generator_is_not_used_up():
    model = tfpf.FlowModel(tfpf.flows.maf(2, **SMALL))
    model.compile("sgd", run_eagerly=True)
    count = []
    with pytest.warns(UserWarning, match="Standardize"):
        counts = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: count.append(1))
        model.fit(generated(), verbose=0, callbacks=[counts])
    assert len(count) == 2


def test_conditional_flows():
    flow = tfpf.flows.maf(2, context_size=1, **SMALL)
    assert len(messages(flow, FAR, np.ones([64, 1], "float32"))) == 1
    assert messages(flow, X, 100.0 * np.ones([64, 1], "float32")) == []
