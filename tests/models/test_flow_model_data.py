"""The data that `fit`, `evaluate` and `predict` take, and what they refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.models._batches import batches

tfd = tfp.distributions

RNG = np.random.default_rng(0)
X = RNG.normal(size=[10, 2]).astype("float32")
CONTEXT = RNG.normal(size=[10, 3]).astype("float32")
WEIGHT = RNG.uniform(size=10).astype("float32")


def made_model(context_size=0, eager=False):
    """A model of a distribution that costs little: data pass alike to all of them.

    A `MultivariateNormalDiag` costs six times as much.
    """
    distribution = tfd.Independent(tfd.Normal(tf.Variable([0.0, 0.0]), [1.0, 2.0]), 1)
    if context_size:
        network = tfpf.layers.MLP(2, (), context_size=context_size, seed=0)
        network.build((None, 1), (None, context_size))
        coupling = tfpf.bijectors.Coupling(network, mask=[True, False], context_size=context_size)
        distribution = tfpf.distributions.Flow(distribution, coupling)
    perturb(distribution.variables)
    model = tfpf.FlowModel(distribution)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False, run_eagerly=eager)
    return model


@pytest.fixture(scope="module")
def model():
    """A model that learning rate zero leaves as it is, and which needs no graph."""
    return made_model(eager=True)


@pytest.fixture(scope="module")
def conditional():
    return made_model(context_size=3, eager=True)


@pytest.fixture(scope="module")
def in_graph():
    return [made_model(context_size=size) for size in (0, 3)]


def log_prob(model, context=None):
    flow = model.distribution if context is None else tfpf.condition(model.distribution, context)
    return flow.log_prob(X).numpy()


class Batches(keras.utils.PyDataset):
    """Two batches, of seven and three rows."""

    def __init__(self, *arrays, wrap=tuple):
        super().__init__()
        self.arrays, self.wrap = arrays, wrap

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(0, 7) if index == 0 else slice(7, 10)
        return self.wrap([array[rows] for array in self.arrays])


def dataset(*arrays, wrap=lambda *tensors: tensors):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(4).map(wrap)


def generator(*arrays):
    for rows in (slice(0, 5), slice(5, 10)):
        yield tuple(None if array is None else array[rows] for array in arrays)


UNWEIGHTED = {
    "array": lambda: X,
    "list": lambda: X.tolist(),
    "tensor": lambda: tf.constant(X),
    "float64": lambda: X.astype("float64"),
    "dataset": lambda: dataset(X, wrap=lambda x: x),
    "dataset_of_tuples": lambda: dataset(X),
    "dataset_float64": lambda: dataset(X.astype("float64")),
    "dataset_without_weights": lambda: dataset(X, wrap=lambda x: (x, None)),
    "py_dataset": lambda: Batches(X, wrap=lambda arrays: arrays[0]),
    "py_dataset_of_tuples": lambda: Batches(X),
    "generator": lambda: generator(X),
}
WEIGHTED = {
    "dataset": lambda: dataset(X, WEIGHT, wrap=lambda x, w: (x, None, w)),
    "dataset_float64": lambda: dataset(X, WEIGHT.astype("float64"), wrap=lambda x, w: (x, None, w)),
    "dataset_of_pairs": lambda: dataset(X, WEIGHT, wrap=lambda x, w: ((x,), w)),
    "py_dataset": lambda: Batches(X, WEIGHT, wrap=lambda arrays: ((arrays[0],), arrays[1])),
    "generator": lambda: generator(X, None, WEIGHT),
}
CONDITIONAL = {
    "dataset": lambda: dataset(CONTEXT, X),
    "dataset_float64": lambda: dataset(CONTEXT.astype("float64"), X.astype("float64")),
    "py_dataset": lambda: Batches(CONTEXT, X),
    "generator": lambda: generator(CONTEXT, X),
}
CONDITIONAL_WEIGHTED = {
    "dataset": lambda: dataset(CONTEXT, X, WEIGHT),
    "py_dataset": lambda: Batches(CONTEXT, X, WEIGHT),
    "generator": lambda: generator(CONTEXT, X, WEIGHT),
}


def by_name(forms):
    return pytest.mark.parametrize("data", forms.values(), ids=forms.keys())


def assert_loss(model, data, expected):
    loss = model.fit(data(), verbose=0).history["loss"]
    np.testing.assert_allclose(loss, [expected], rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(data(), verbose=0), expected, rtol=1e-5)


@by_name(UNWEIGHTED)
def test_unweighted_forms(model, data):
    assert_loss(model, data, -log_prob(model).mean())


@by_name(WEIGHTED)
def test_weighted_forms(model, data):
    expected = np.average(-log_prob(model), weights=WEIGHT)
    assert abs(expected + log_prob(model).mean()) > 0.01
    assert_loss(model, data, expected)


@by_name(CONDITIONAL)
def test_conditional_forms(conditional, data):
    assert_loss(conditional, data, -log_prob(conditional, CONTEXT).mean())


@by_name(CONDITIONAL_WEIGHTED)
def test_conditional_weighted_forms(conditional, data):
    expected = np.average(-log_prob(conditional, CONTEXT), weights=WEIGHT)
    assert_loss(conditional, data, expected)


def test_batches_of_unknown_numbers_of_rows_in_a_graph(in_graph):
    plain, conditional = in_graph
    values = -log_prob(plain)
    loss = plain.fit(dataset(X), verbose=0).history["loss"]
    np.testing.assert_allclose(loss, [values.mean()], rtol=1e-5)
    for data in (WEIGHTED["dataset_of_pairs"](), WEIGHTED["generator"]()):
        expected = np.average(values, weights=WEIGHT)
        np.testing.assert_allclose(plain.evaluate(data, verbose=0), expected, rtol=1e-5)
    values = -log_prob(conditional, CONTEXT)
    loss = conditional.fit(dataset(CONTEXT, X, WEIGHT), verbose=0).history["loss"]
    np.testing.assert_allclose(loss, [np.average(values, weights=WEIGHT)], rtol=1e-5)


def test_predict_takes_datasets(in_graph):
    model, conditional = in_graph
    for data in (dataset(X), Batches(X), generator(X)):
        np.testing.assert_allclose(model.predict(data, verbose=0), log_prob(model), rtol=1e-5)
    for data in (dataset(CONTEXT, X), Batches(CONTEXT, X)):
        np.testing.assert_allclose(
            conditional.predict(data, verbose=0), log_prob(conditional, CONTEXT), rtol=1e-5
        )


VALIDATION = {
    "x": lambda: X[:7],
    "list": lambda: (X[:7].tolist(),),
    "(x,)": lambda: (X[:7],),
    "(x, None)": lambda: (X[:7], None),
    "(x, None, None)": lambda: (X[:7], None, None),
    "dataset": lambda: dataset(X[:7]),
    "generator": lambda: (batch for batch in [(X[:7],)]),
}


@by_name(VALIDATION)
def test_validation_forms(model, data):
    history = model.fit(X, validation_data=data(), verbose=0).history
    np.testing.assert_allclose(history["val_loss"][0], -log_prob(model)[:7].mean(), rtol=1e-5)
    np.testing.assert_allclose(history["loss"][0], -log_prob(model).mean(), rtol=1e-5)


@pytest.mark.parametrize("batch_size", [3, None])
def test_weighted_validation(model, batch_size):
    expected = np.average(-log_prob(model), weights=WEIGHT)
    data = (X, None, WEIGHT)
    history = model.fit(X, validation_data=data, validation_batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(history.history["val_loss"][0], expected, rtol=1e-5)


def test_conditional_validation(conditional):
    values = -log_prob(conditional, CONTEXT)
    for data, expected in (
        ((CONTEXT, X), values.mean()),
        ((CONTEXT, X, WEIGHT), np.average(values, weights=WEIGHT)),
        (dataset(CONTEXT, X), values.mean()),
    ):
        history = conditional.fit(CONTEXT, X, validation_data=data, verbose=0).history
        np.testing.assert_allclose(history["val_loss"][0], expected, rtol=1e-5)


def test_validation_split_takes_the_last_rows_with_their_weights(model, conditional):
    values = -log_prob(model)
    history = model.fit(X, sample_weight=WEIGHT, validation_split=0.3, verbose=0).history
    expected = np.average(values[7:], weights=WEIGHT[7:])
    np.testing.assert_allclose(history["val_loss"][0], expected, rtol=1e-5)
    expected = np.average(values[:7], weights=WEIGHT[:7])
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-5)
    values = -log_prob(conditional, CONTEXT)
    history = conditional.fit(CONTEXT, X, validation_split=0.3, verbose=0).history
    np.testing.assert_allclose(history["val_loss"][0], values[7:].mean(), rtol=1e-5)


def test_batches_of_arrays_have_one_shape_and_hold_every_row_once():
    rows = np.arange(10.0, dtype="float32")
    for shuffle in (False, True):
        data = batches((rows[:, np.newaxis], rows), None, 4, shuffle)
        assert data.cardinality() == 3
        parts = list(data)
        assert {x.shape.as_list()[0] for (x, _), _, _ in parts} == {4}
        kept = [y.numpy()[w.numpy() > 0] for (_, y), w, _ in parts]
        np.testing.assert_array_equal(np.sort(np.concatenate(kept)), rows)
        assert sum(float(tf.reduce_sum(w)) for _, w, _ in parts) == 10.0
        for (_, y), _, index in parts:
            np.testing.assert_array_equal(y, rows[index])


def test_batch_is_no_larger_than_the_data():
    ((x,), weight, _), *others = batches((X,), None, 256, False)
    assert not others and x.shape == [10, 2] and weight.shape == [10]


def test_ragged_last_batch_compiles_only_once():
    model = made_model()
    model.compile(jit_compile=True)
    model.fit(X, batch_size=4, epochs=2, verbose=0)
    assert model.train_function is not None
    traces = []
    original = model.call
    model.call = lambda inputs: traces.append(inputs) or original(inputs)
    model.fit(X, batch_size=4, epochs=2, verbose=0)
    assert not traces


# --- Refused -------------------------------------------------------------------------------


def refused(error, call, *words):
    with pytest.raises(error) as info:
        call()
    message = str(info.value)
    assert "Received: " in message
    for word in words:
        assert word in message


NAN = X.copy()
NAN[[3, 5], 1] = [np.nan, np.inf]

BAD_X = {
    "nan": (lambda: NAN, ValueError, ("`x` must be finite", "2 rows", "row 3")),
    "integer": (lambda: X.astype(int), TypeError, ("`x` must be floating", "int64")),
    "boolean": (lambda: X > 0, TypeError, ("`x` must be floating", "bool")),
    "string": (lambda: X.astype(str), TypeError, ("`x` must be floating",)),
    "wrong_event": (lambda: CONTEXT, ValueError, ("`x` must have shape [N, 2]", "(10, 3)")),
    "one_row": (lambda: X[0], ValueError, ("`x` must have shape [N, 2]", "(2,)")),
    "extra_axis": (lambda: X[:, None], ValueError, ("`x` must have shape [N, 2]", "(10, 1, 2)")),
    "empty": (lambda: X[:0], ValueError, ("`x` must have rows", "(0, 2)")),
    "none": (lambda: None, ValueError, ("`x` must be an array",)),
    "mapping": (lambda: {"x": X}, ValueError, ("`x` must be an array", "dict")),
    "number": (lambda: 3.0, ValueError, ("`x` must be an array", "float")),
}


@by_name(BAD_X)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_bad_x(model, method, data):
    make, error, words = data
    refused(error, lambda: getattr(model, method)(make(), verbose=0), *words)


@by_name({key: value for key, value in BAD_X.items() if key not in ("none", "mapping", "number")})
def test_bad_validation_data(model, data):
    make, error, words = data
    refused(error, lambda: model.fit(X, validation_data=(make(),), verbose=0), *words)


def test_context_where_none_is_taken(model, in_graph):
    words = ("takes no context", "(10, 3)", "(10, 2)")
    refused(ValueError, lambda: model.fit(CONTEXT, X), *words)
    refused(ValueError, lambda: model.evaluate(CONTEXT, X), *words)
    refused(ValueError, lambda: model.predict((CONTEXT, X)), *words)
    refused(ValueError, lambda: model.fit(X, validation_data=(CONTEXT, X)), *words)
    refused(
        ValueError, lambda: in_graph[0].fit(dataset(CONTEXT, X)), "takes no context", "(None, 3)"
    )


def test_missing_context(conditional, in_graph):
    words = ("`(context, x)`", "(10, 2)")
    refused(ValueError, lambda: conditional.fit(X), *words)
    refused(ValueError, lambda: conditional.evaluate(X), *words)
    refused(ValueError, lambda: conditional.predict(X), *words)
    refused(ValueError, lambda: conditional.fit(CONTEXT, X, validation_data=X), *words)
    refused(ValueError, lambda: in_graph[1].fit(dataset(X)), "`(context, x)`", "(None, 2)")
    with pytest.raises(ValueError, match=r"`\(context, x\)`"):
        conditional(X)


def test_bad_context(conditional):
    def fit(context):
        return lambda: conditional.fit(context, X, verbose=0)

    refused(ValueError, fit(CONTEXT[:, :2]), "`context` must have shape [N, 3]", "(10, 2)")
    refused(ValueError, fit(CONTEXT[0]), "`context` must have shape [N, 3]", "(3,)")
    refused(ValueError, fit(CONTEXT * np.nan), "`context` must be finite")
    refused(ValueError, fit(CONTEXT[:5]), "same number of rows", "5 and 10")
    refused(TypeError, fit(CONTEXT.astype(str)), "`context` must be numbers")
    conditional.fit((CONTEXT > 0).astype(int), X, verbose=0)  # a label is a fine context


def test_bad_sample_weight(model):
    def fit(weight):
        return lambda: model.fit(X, sample_weight=weight, verbose=0)

    refused(ValueError, fit(WEIGHT[:9]), "`sample_weight` must have shape [10]", "(9,)")
    refused(ValueError, fit(WEIGHT[:, None]), "`sample_weight` must have shape [10]", "(10, 1)")
    refused(ValueError, fit(-WEIGHT), "no negative number")
    refused(ValueError, fit(WEIGHT * np.nan), "`sample_weight` must be finite")
    refused(ValueError, fit(0 * WEIGHT), "`sample_weight` must have a positive number")


@pytest.mark.parametrize(
    ("batch_size", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError), ("8", TypeError)]
)
def test_bad_batch_size(model, batch_size, error):
    words = ("`batch_size` must be an integer of at least 1", repr(batch_size))
    for method in ("fit", "evaluate", "predict"):
        refused(error, lambda: getattr(model, method)(X, batch_size=batch_size), *words)  # noqa: B023
    refused(
        error,
        lambda: model.fit(X, validation_data=X, validation_batch_size=batch_size, verbose=0),
        *words,
    )


@pytest.mark.parametrize("share", [1.0, -0.1, 1.5, 0.95])
def test_bad_validation_split(model, share):
    refused(ValueError, lambda: model.fit(X, validation_split=share), f"validation_split={share}")


def test_validation_data_of_too_many_parts(model):
    refused(
        ValueError, lambda: model.fit(X, validation_data=(X, None, WEIGHT, 3)), "`validation_data`"
    )


def test_what_a_dataset_has_itself_is_not_taken_beside_it(model):
    """Keras's own `fit` would say so, too; silence would lose the weights."""
    for name, value in (("sample_weight", WEIGHT), ("y", X), ("validation_split", 0.3)):
        refused(ValueError, lambda: model.fit(dataset(X), **{name: value}), f"`{name}`")  # noqa: B023
    refused(ValueError, lambda: model.evaluate(dataset(X), sample_weight=WEIGHT), "sample_weight")


def test_bad_batches_of_a_dataset():
    model = made_model()
    with pytest.raises(TypeError, match="floating point"):
        model.fit(dataset(X.astype(int)), verbose=0)
    with pytest.raises(ValueError, match=r"shape \[N, 2\].*Received: x.shape=\(None, 3\)"):
        made_model().fit(dataset(CONTEXT), verbose=0)


@pytest.mark.parametrize("weight", [np.ones([4, 1], "float32"), np.float32(2.0)])
def test_weights_of_a_batch_that_are_not_one_for_each_row(in_graph, weight):
    with pytest.raises(ValueError, match=r"`sample_weight` must have a number for each row"):
        in_graph[0].train_on_batch(X[:4], None, weight)
    batches_of_it = tf.data.Dataset.from_tensors((X[:4], weight)).map(lambda x, w: (x, None, w))
    with pytest.raises(ValueError, match=r"Received: sample_weight.shape=.*x.shape=\(4, 2\)"):
        in_graph[0].fit(batches_of_it, verbose=0)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {}, {"jit_compile": True}], ids=str)
def test_bad_batches_after_good_ones_leave_the_good_ones(options):
    """TensorFlow traces a step for any shape once it has met several."""
    model = made_model()
    model.compile(keras.optimizers.SGD(0.0), **{"jit_compile": False, **options})
    loss = model.train_on_batch(X)
    bad = r"shape \[N, 2\]|expected shape \[\?,2\]|its method `batch`"
    for rows in (np.zeros([10, 3], "float32"), X[:, 0]):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=bad):
            model.train_on_batch(rows)
        np.testing.assert_allclose(model.train_on_batch(X), loss, rtol=1e-6)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        model.evaluate(tf.data.Dataset.from_tensor_slices(X), verbose=0)
    with pytest.raises(ValueError, match=r"shape \[N, 2\]"):
        model.evaluate(tf.data.Dataset.from_tensors(X).batch(1), verbose=0)
    np.testing.assert_allclose(model.evaluate(X, verbose=0), loss, rtol=1e-6)


def test_eager_steps_take_arrays(model):
    expected = -np.mean(model.distribution.log_prob(X))
    np.testing.assert_allclose(model.train_on_batch(X), expected, rtol=1e-6)
    np.testing.assert_allclose(model.test_on_batch(X), expected, rtol=1e-6)
    assert model.predict_on_batch(X).shape == (10,)
    with pytest.raises(TypeError, match="A batch must be .*Received: parts of types list, "):
        model.train_on_batch(X.tolist())


def test_what_rows_cannot_have_is_named(model):
    with pytest.raises(ValueError, match="`class_weight` must not .*Received: class_weight="):
        model.fit(X, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="`x` must have .*Received: .*masked elements"):
        model.fit(np.ma.masked_array(X, X > 1.0), verbose=0)
    with pytest.raises(ValueError, match="`x` must have batches.*Received: x="):
        model.evaluate(tf.data.Dataset.from_tensor_slices(X).take(0).batch(4), verbose=0)


def test_weights_that_are_negative_are_named(model):
    weight = np.ones(10)
    weight[3] = -2.0
    refused(ValueError, lambda: model.fit(X, sample_weight=weight), "negative", "-2.0 as the least")


def test_numbers_beyond_the_dtype_are_no_data(model, conditional):
    x = X.astype("float64")
    x[3] = 1e60
    refused(ValueError, lambda: model.fit(x), "`x` must be finite in float32", "first is row 3")
    context = np.full([10, 3], 1e60)
    refused(ValueError, lambda: conditional.fit(context, X), "`context` must be finite in float32")


def test_what_stands_alone_or_nested_is_named(model, conditional):
    refused(ValueError, lambda: conditional.fit([CONTEXT, X]), "(context, x)", "of type list")
    refused(TypeError, lambda: model.adapt(dataset(X)), "`x` must be an array")
    for nested in (X.tolist(), [X.tolist()]):
        history = model.fit(X, validation_data=nested, verbose=0).history
        np.testing.assert_allclose(history["val_loss"], [-log_prob(model).mean()], rtol=1e-5)
    nested = [CONTEXT.tolist(), X.tolist()]
    history = conditional.fit(CONTEXT, X, validation_data=nested, verbose=0).history
    expected = -log_prob(conditional, CONTEXT).mean()
    np.testing.assert_allclose(history["val_loss"], [expected], rtol=1e-5)


def test_a_batch_shape_of_two_axes_is_refused():
    loc = tf.Variable(tf.zeros([1, 1, 2]))
    with pytest.raises(ValueError, match=r"not a batch of them.*Received: .*\(1, 1\)"):
        tfpf.FlowModel(tfd.MultivariateNormalDiag(loc))


def test_export_gives_log_densities_of_any_number_of_rows(conditional, tmp_path):
    """Without a context: see `test_variational_model.py`; the method is that of both."""
    conditional.export(str(tmp_path), verbose=False)
    exported = tf.saved_model.load(tmp_path)
    for rows in (slice(None), slice(3)):
        inputs = (CONTEXT[rows], X[rows])
        expected = conditional.predict(inputs, verbose=0)
        np.testing.assert_allclose(exported.serve(inputs), expected, rtol=1e-5)


def test_predict_on_batch_takes_a_pair(conditional):
    together = conditional.predict_on_batch((CONTEXT, X))
    np.testing.assert_allclose(together, log_prob(conditional, CONTEXT), rtol=1e-5)


def test_fractions_are_no_data_of_a_distribution_over_whole_numbers():
    model = tfpf.FlowModel(tfd.Categorical(logits=tf.Variable([0.0, 0.0, 0.0])))
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    model.fit(np.array([0.0, 1.0, 1.0, 2.0]), verbose=0)
    refused(ValueError, lambda: model.fit(np.array([0.0, 1.5])), "whole numbers", "Received: 1.5")


def test_nan_in_a_dataset_stops_training_at_its_step():
    model = made_model(eager=True)
    with pytest.raises(FloatingPointError, match="step 2 of epoch 1.*Received: loss=nan"):
        model.fit(dataset(np.concatenate([X[:4], NAN[:4]])), verbose=0)


def test_adapt_checks_its_data(model):
    flow = tfpf.bijectors.Standardize(2)(tfd.Sample(tfd.Normal(0.0, 1.0), [2]))
    adapted = tfpf.FlowModel(flow)
    refused(ValueError, lambda: adapted.adapt(NAN), "`data` must be finite", "row 3")
    refused(ValueError, lambda: adapted.adapt(CONTEXT), "`data` must have shape [N, 2]")
    refused(TypeError, lambda: adapted.adapt(X.astype(int)), "`data` must be floating")
    refused(ValueError, lambda: adapted.adapt(np.ones([4, 2])), "constant")
    refused(ValueError, lambda: model.adapt(X), "a part that adapts")


def test_predict_takes_a_pair(conditional):
    with pytest.raises(TypeError, match=r"one pair.*Received: batch_size of shape \(5, 2\)"):
        conditional.predict(np.zeros((5, 3), "float32"), np.zeros((5, 2), "float32"))


def weighted(weight):
    return dataset(X, weight, wrap=lambda x, w: (x, None, w))


@pytest.mark.parametrize("kind", ["eager", "graph"])
def test_weights_of_a_dataset_are_checked(model, in_graph, kind):
    made = model if kind == "eager" else in_graph[0]
    good = weighted(WEIGHT)
    expected = made.evaluate(good, verbose=0)
    for value in (-1.0,) if kind == "graph" else (-1.0, np.nan, np.inf):
        bad = WEIGHT.copy()
        bad[5] = value
        words = ("finite numbers, none of them negative", "step 2", "row 1 of that batch")
        refused(ValueError, lambda: made.fit(weighted(bad), verbose=0), *words)  # noqa: B023
        refused(ValueError, lambda: made.evaluate(weighted(bad), verbose=0), *words)  # noqa: B023
    for method in (made.fit, made.evaluate):
        refused(ValueError, lambda: method(weighted(0 * WEIGHT), verbose=0), "only zeros")  # noqa: B023
    np.testing.assert_allclose(made.evaluate(good, verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(made.fit(good, verbose=0).history["loss"], expected, rtol=1e-5)


def test_weights_of_single_batches_are_checked(model):
    for method in (model.train_on_batch, model.test_on_batch):
        refused(ValueError, lambda: method(X, None, -WEIGHT), "none of them negative", "row 0")  # noqa: B023
        refused(ValueError, lambda: method(X, None, 0 * WEIGHT), "only zeros")  # noqa: B023


GAPS = {
    "x": (CONTEXT, X, None),
    "context": (CONTEXT, X, None),
    "sample_weight": (CONTEXT, X, WEIGHT),
}


@pytest.mark.parametrize("name", GAPS)
def test_gaps_are_not_filled(conditional, name):
    """A masked array has numbers where it is masked, which must not be used."""
    parts = dict(zip(("context", "x", "sample_weight"), GAPS[name], strict=True))
    parts[name] = np.ma.masked_greater(parts[name], 0.5)
    context, x, weight = parts.values()
    words = (f"`{name}` must have no gaps", "masked elements")
    refused(ValueError, lambda: conditional.fit(context, x, sample_weight=weight), *words)
    refused(ValueError, lambda: conditional.evaluate(context, x, sample_weight=weight), *words)
    batches_of_it = (each for each in [(context, x) if weight is None else (context, x, weight)])
    refused(ValueError, lambda: conditional.fit(batches_of_it, verbose=0), *words)
    if name != "sample_weight":
        refused(ValueError, lambda: conditional.predict((context, x)), *words)
    if name == "context":
        refused(ValueError, lambda: tfpf.condition(conditional.distribution, context), *words)
    whole = np.ma.masked_greater(X, 100.0)
    assert conditional.predict((CONTEXT, whole), verbose=0).shape == (10,)


def test_what_is_no_dense_array_of_numbers_is_named(model, conditional):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    sparse, words = scipy_sparse.csr_matrix(X), ("must be dense", "csr_matrix")
    for method in (model.fit, model.evaluate, model.predict, model.adapt):
        with pytest.raises(TypeError):
            method(sparse)
    refused(TypeError, lambda: model.fit(sparse), "`x`", *words)
    refused(TypeError, lambda: model.fit(tf.sparse.from_dense(X)), "`x` must be dense")
    refused(
        TypeError, lambda: conditional.fit(scipy_sparse.csr_matrix(CONTEXT), X), "`context`", *words
    )
    refused(TypeError, lambda: model.fit(X, sample_weight=sparse), "`sample_weight`", *words)
    refused(TypeError, lambda: model.fit(X, sample_weight=list("abcdefghij")), "`sample_weight`")
    refused(ValueError, lambda: model.fit(b"abc"), "`x` must be an array", "bytes")


EMPTY = {
    "dataset": lambda: dataset(X).take(0),
    "filtered": lambda: dataset(X).filter(lambda x: False),
    "generator": lambda: (each for each in ()),
}


@by_name(EMPTY)
def test_no_batches(model, data):
    predicted = model.predict(data(), verbose=0)
    assert predicted.shape == (0,) and predicted.dtype == np.float32
    refused(ValueError, lambda: model.fit(data(), verbose=0), "`x` must have batches")
    refused(ValueError, lambda: model.evaluate(data(), verbose=0), "`x` must have batches")
    call = lambda: model.fit(X, validation_data=data(), verbose=0)  # noqa: E731
    refused(ValueError, call, "`validation_data` must have batches")


def test_the_first_bad_number_is_named_by_row_and_column(model, conditional):
    refused(ValueError, lambda: model.fit(NAN), "first is row 3, with nan in column 1")
    context = CONTEXT.copy()
    context[4, 2] = np.inf
    refused(ValueError, lambda: conditional.fit(context, X), "row 4, with inf in column 2")
    refused(ValueError, lambda: model.adapt(NAN), "first is row 3, with nan in column 1")
