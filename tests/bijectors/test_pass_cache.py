"""One evaluation per pass, nothing stale, nothing that leaks out of its graph."""

import dataclasses
import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import RECIPES, C, D, perturb, recipe
from tensorflow_probability.python.bijectors import bijector as bijector_lib
from tensorflow_probability.python.distributions import transformed_distribution
from tensorflow_probability.python.internal import cache_util

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

X = np.random.default_rng(0).normal(size=[4, D])
# One for each recipe, with a context where there is such a case.
EACH_ONCE = {case.covers[0]: case for case in RECIPES}
# How exact its steps are does not matter here.
FEW_STEPS = {"hidden_units": (16,), "solver": "euler", "num_steps": 3, "context_size": C}
EACH_ONCE["ffjord"] = dataclasses.replace(
    EACH_ONCE["ffjord"], make=recipe(tfpf.flows.ffjord, **FEW_STEPS)
)
EACH_ONCE = list(EACH_ONCE.values())
# One for each way in which layers compute, where going through all recipes takes long.
KINDS = {
    "real_nvp",
    "iaf",
    "bnaf",
    "recurrent",
    "sylvester",
    "ffjord",
    "residual",
}
each_kind = pytest.mark.parametrize(
    "case", [case for case in EACH_ONCE if case.covers[0] in KINDS], ids=str
)
# Those of `Coupling` and `Autoregressive`, but for `recurrent`, which samples without calls.
# Those left out have other transformers, which call no network.
CONDITIONED = {"real_nvp", "maf", "iaf", "flow_plus_plus", "umnn"}
NETWORKS = [case for case in EACH_ONCE if CONDITIONED & set(case.covers)]
each_with_networks = pytest.mark.parametrize("case", NETWORKS, ids=str)


@functools.cache
def made_once(case):
    """A flow, and the values of its variables."""
    flow = case.make.flow("float64")
    perturb(flow.variables)
    if case.context_size:
        flow = tfpf.condition(flow, np.random.default_rng(1).normal(size=[C]))
    return flow, [variable.numpy() for variable in flow.variables]


def made_flow(case):
    """The flow, which tests may move: it is put back here."""
    flow, values = made_once(case)
    for variable, value in zip(flow.variables, values, strict=True):
        variable.assign(value)
    return flow


def move(flow):
    """An update, as of an optimizer."""
    perturb(flow.variables, seed=11, scale=0.3)


@pytest.fixture
def calls(monkeypatch):
    """Counts how often a network is evaluated: called, or unit by unit."""
    counted = []

    def count(cls, name):
        original = getattr(cls, name)

        def call(self, *args, **kwargs):
            counted.append(self)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(cls, name, call)

    count(tfpf.layers.MLP, "__call__")
    count(tfpf.layers.MADE, "generate")
    return counted


def num_networks(flow):
    """How many layers have a network, each of which has to be evaluated once in any direction."""
    parts = [getattr(part, "bijector", part) for part in flow.bijector.bijectors]
    conditioned = (tfpf.bijectors.Autoregressive, tfpf.bijectors.Coupling)
    return sum(isinstance(part, conditioned) for part in parts)


@each_with_networks
def test_one_conditioner_call_per_log_prob(case, calls):
    flow = made_flow(case)
    calls.clear()
    flow.log_prob(X)
    assert len(calls) == num_networks(flow) > 0


@each_with_networks
def test_one_conditioner_call_per_sample_and_log_prob(case, calls):
    flow = made_flow(case)
    calls.clear()
    flow.experimental_sample_and_log_prob(3, seed=0)
    assert len(calls) == num_networks(flow) > 0


@pytest.mark.parametrize("case", RECIPES[1:4], ids=str)
def test_a_graph_holds_each_conditioner_once(case, calls):
    flow = made_flow(case)
    function = tf.function(lambda x: flow.log_prob(x), autograph=False)
    calls.clear()
    function.get_concrete_function(tf.TensorSpec([4, D], tf.float64))
    assert len(calls) == len(set(map(id, calls)))


def test_one_evaluation_of_each_block_network_per_log_prob(monkeypatch):
    cls = tfpf.bijectors.BlockAutoregressive
    original, counted = cls._inverse_and_log_det, []
    monkeypatch.setattr(
        cls, "_inverse_and_log_det", lambda self, y: counted.append(self) or original(self, y)
    )
    flow = tfpf.flows.bnaf(D, num_layers=2, seed=0, dtype="float64")
    counted.clear()
    flow.log_prob(X)
    assert len(counted) == len(set(map(id, counted))) == 2


def test_value_and_log_det_of_a_bijector_share_one_call(calls):
    flow = made_flow(RECIPES[1])
    part = flow.bijector.bijectors[0]
    x = tf.constant(X)
    calls.clear()
    y = part.forward(x)
    part.forward_log_det_jacobian(x, 1)
    part.inverse_log_det_jacobian(y, 1)
    assert part.inverse(y) is x
    assert len(calls) == 1


# --- Nothing stale ---------------------------------------------------------------------------


# The next test sees the same of other kinds; the recipes left out have layers of these.
@pytest.mark.parametrize(
    "case",
    [
        case
        for case in EACH_ONCE
        if case.covers[0] in ("real_nvp", "umnn", "flow_plus_plus", "planar", "radial", "maf")
    ],
    ids=str,
)
def test_log_prob_of_the_same_tensor_follows_the_variables(case):
    flow = made_flow(case)
    x = tf.constant(X)
    before = flow.log_prob(x)
    move(flow)
    after = flow.log_prob(x)
    assert np.abs(after - before).max() > 1e-2
    np.testing.assert_array_equal(after, flow.log_prob(tf.identity(x)))


@each_kind
def test_gradients_in_eager_training_follow_the_variables(case):
    """Two steps on one and the same tensor, with and without fresh copies of it."""

    def train(fresh):
        flow = made_flow(case)
        x = tf.constant(X)
        for _ in range(2):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(flow.log_prob(tf.constant(X) if fresh else x))
            gradients = tape.gradient(loss, flow.trainable_variables)
            assert all(gradient is not None for gradient in gradients)
            for gradient, variable in zip(gradients, flow.trainable_variables, strict=True):
                variable.assign_sub(0.1 * gradient)
        return loss.numpy(), [variable.numpy() for variable in flow.trainable_variables]

    same, fresh = train(False), train(True)
    np.testing.assert_allclose(same[0], fresh[0], rtol=1e-10)
    for a, b in zip(same[1], fresh[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def check_update_after(draw, flow):
    x = draw()
    before = flow.log_prob(x)
    move(flow)
    after = flow.log_prob(x)
    np.testing.assert_array_equal(after, flow.log_prob(tf.constant(x.numpy())))
    assert np.abs(after - before).max() > 1e-2


@each_kind
def test_sample_and_log_prob_then_update_then_log_prob(case):
    flow = made_flow(case)
    check_update_after(lambda: flow.experimental_sample_and_log_prob(4, seed=0)[0], flow)


@pytest.mark.parametrize("case", RECIPES[1:4:2], ids=str)
def test_sample_then_update_then_log_prob(case):
    flow = made_flow(case)
    check_update_after(lambda: flow.sample(4, seed=0), flow)


@pytest.mark.parametrize(
    "evaluate_with",
    [
        lambda flow, x: flow.prob(x),
        lambda flow, x: flow.unnormalized_log_prob(x),
        lambda flow, x: flow.experimental_local_measure(x, backward_compat=True)[0],
        lambda flow, x: tfd.Sample(flow, [4]).log_prob(x)[tf.newaxis],
        lambda flow, x: tfd.JointDistributionSequential([flow]).log_prob([x]),
    ],
    ids=["prob", "unnormalized_log_prob", "local_measure", "sample", "joint"],
)
def test_other_densities_follow_the_variables(evaluate_with):
    flow = made_flow(RECIPES[1])

    def evaluate(x):
        return evaluate_with(flow, x)

    x = flow.sample(4, seed=0)
    before = evaluate(x)
    move(flow)
    after = evaluate(x)
    np.testing.assert_array_equal(after, evaluate(tf.constant(x.numpy())))
    assert np.abs(after - before).max() > 1e-4


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@each_kind
def test_log_det_alone_follows_the_variables(case, direction):
    """Of a part, on the same tensor, whose other end nobody keeps."""
    flow = made_flow(case)
    parts = [part for part in flow.bijector.bijectors if hasattr(part, "_forward_and_log_det")]
    part = parts[0] if parts else flow.bijector.bijectors[0].bijector
    log_det = getattr(part, f"{direction}_log_det_jacobian")
    x = tf.constant(X)
    before = log_det(x, 1)
    move(flow)
    after = log_det(x, 1)
    np.testing.assert_array_equal(after, log_det(tf.identity(x), 1))
    assert np.abs(after - before).max() > 1e-3


def test_value_first_then_log_det_after_an_update_on_the_same_tensor():
    flow = made_flow(RECIPES[1])
    part = flow.bijector.bijectors[0]
    x = tf.constant(X)
    part.forward(x)
    move(flow)
    np.testing.assert_array_equal(
        part.forward_log_det_jacobian(x, 1), part.forward_log_det_jacobian(tf.identity(x), 1)
    )


def test_log_prob_through_tfp_alone_on_the_same_tensor():
    """A bijector of ours in TFP's own `TransformedDistribution`, without a `Chain` of TFP's."""
    part = made_flow(RECIPES[1]).bijector.bijectors[0]
    base = tfd.Sample(tfd.Normal(tf.constant(0.0, tf.float64), 1.0), [D])
    distribution = tfd.TransformedDistribution(base, part)
    x = tf.constant(X)
    before = distribution.log_prob(x)
    perturb(part.variables, seed=12)
    after = distribution.log_prob(x)
    np.testing.assert_array_equal(after, distribution.log_prob(tf.identity(x)))
    assert np.abs(after - before).max() > 1e-2


def test_nothing_is_remembered_for_longer_than_its_tensors():
    part = made_flow(RECIPES[1]).bijector.bijectors[0]
    cache = part._cache
    start = len(cache.weak_keys(direction="forward")), len(cache.weak_keys(direction="inverse"))
    for _ in range(5):
        x = tf.constant(X)
        y = part.forward(x)
        part.forward_log_det_jacobian(x, 1)
        part.inverse(tf.identity(y))
    del x, y
    end = len(cache.weak_keys(direction="forward")), len(cache.weak_keys(direction="inverse"))
    assert end == start


# --- Graphs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_no_tensor_leaks_between_two_functions_over_one_eager_tensor(method):
    """TFP issue 840: here both ends are kept alive on purpose, within and without the graph."""
    part = made_flow(RECIPES[1]).bijector.bijectors[0]
    x = tf.constant(X)
    kept = []

    def evaluate():
        y = getattr(part, method)(x)
        log_det = getattr(part, f"{method}_log_det_jacobian")(x, 1)
        kept.extend([y, log_det])
        return y, log_det

    expected = [value.numpy() for value in evaluate()]
    first = tf.function(evaluate, autograph=False)
    second = tf.function(evaluate, autograph=False)
    third = tf.function(evaluate, autograph=False, jit_compile=True)
    for function in (first, second, third):
        for value, wanted in zip(function(), expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-10)
    for value, wanted in zip(evaluate(), expected, strict=True):
        assert tf.is_tensor(value) and not isinstance(value, tf.__internal__.SymbolicTensor)
        np.testing.assert_array_equal(value, wanted)


def test_functions_see_updated_variables():
    flow = made_flow(RECIPES[1])
    x = tf.constant(X)
    function = tf.function(lambda: flow.log_prob(x), autograph=False)
    before = function()
    move(flow)
    np.testing.assert_allclose(function(), flow.log_prob(x), rtol=1e-10)
    assert np.abs(function() - before).max() > 1e-2


def test_inside_loops_and_branches():
    """The same tensor of the outer graph, seen in the outer graph and within two others."""
    case = dataclasses.replace(RECIPES[3], make=recipe(tfpf.flows.iaf, num_layers=1))
    flow = made_flow(case)  # with loops of its own
    expected = flow.log_prob(X)

    @tf.function(autograph=False)
    def function(x):
        outside = flow.log_prob(x)

        def body(i, total):
            inner = tf.cond(
                i % 2 == 0, lambda: flow.log_prob(x), lambda: flow.log_prob(x) + 0.0 * outside
            )
            return i + 1, total + inner

        _, total = tf.while_loop(lambda i, _: i < 3, body, (0, tf.zeros_like(outside)))
        return outside, total

    outside, total = function(tf.constant(X))
    np.testing.assert_allclose(outside, expected, rtol=1e-8)
    np.testing.assert_allclose(total, 3 * expected, rtol=1e-8)


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_within_a_branch_first_and_then_outside(method):
    """What the branch has computed is kept alive, but it is no value of the outer graph."""
    part = made_flow(RECIPES[1]).bijector.bijectors[0]
    evaluate = getattr(part, method)
    expected = evaluate(X)
    kept = []

    def branch(x):
        kept.append(evaluate(x))
        return kept[-1]

    @tf.function(autograph=False)
    def function(x):
        inside = tf.cond(x[0, 0] < 9.0, lambda: branch(x), lambda: x)
        return inside, evaluate(x)

    for value in function(tf.constant(X)):
        np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_samples_of_one_function_are_scored_by_another():
    flow = made_flow(RECIPES[1])
    sample = tf.function(
        lambda: flow.experimental_sample_and_log_prob(4, seed=(0, 1)), autograph=False
    )
    log_prob = tf.function(lambda x: flow.log_prob(x), autograph=False)
    x, expected = sample()
    np.testing.assert_allclose(log_prob(x), expected, rtol=1e-8)


# --- Dropout ---------------------------------------------------------------------------------


class Masks(keras.layers.Layer):
    """t = 0 and s = a random mask: then log |dx/dy| = log (x_B / y_B) if one mask was drawn."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.dropout = keras.layers.Dropout(0.5, seed=0, dtype="float64")
        self.built = True

    def call(self, x, training=None):
        s = self.dropout(tf.ones_like(x[:, :1]), training=training)
        return tf.concat([tf.zeros_like(s), s], axis=-1)


class Training(keras.layers.Layer):
    """Calls a function in Keras's training mode, as `FlowModel.fit` does."""

    def __init__(self, function):
        super().__init__(dtype="float64")
        self.function = function

    def call(self, x):
        return self.function(x)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_value_and_log_det_see_the_same_dropout_mask(direction):
    bijector = tfpf.bijectors.Coupling(Masks(), mask=[True, True, False])

    def both(x):
        y = getattr(bijector, direction)(x)
        return y, getattr(bijector, f"{direction}_log_det_jacobian")(x, 1)

    x = tf.ones([64, 3], tf.float64)
    y, log_det = Training(both)(x, training=True)
    assert len(np.unique(log_det)) == 2, "dropout has to be active, and not for every row"
    np.testing.assert_allclose(np.log(y[:, 2]), log_det, atol=1e-12)
    y, log_det = Training(both)(tf.identity(x), training=False)
    assert len(np.unique(log_det)) == 1


def test_log_prob_in_training_mode_has_one_mask():
    bijector = tfb.Chain([tfpf.bijectors.Coupling(Masks(), mask=[True, True, False])])
    base = tfd.Sample(tfd.Normal(tf.constant(0.0, tf.float64), 1.0), [3])
    flow = tfpf.distributions.Flow(base, bijector)
    x = tf.ones([64, 3], tf.float64)
    values = np.unique(Training(flow.log_prob)(x, training=True).numpy().round(9))
    constant = -1.5 * np.log(2 * np.pi) - 1.0
    # s = 0 or 2 (dropout doubles what it keeps): log p = constant - exp(-s)^2 / 2 - s.
    expected = [constant - np.exp(-4.0) / 2 - 2.0, constant - 0.5]
    np.testing.assert_allclose(values, expected, atol=1e-8)


# --- What is used of TFP's private parts -----------------------------------------------------


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_tfp_is_of_the_minor_release_whose_cache_we_know():
    assert tfp.__version__.split(".")[:2] == ["0", "25"], (
        "PassCache stands on internals of TFP 0.25: read cache_util.py of the new release, then "
        "change this test and the bound in setup.cfg"
    )


def test_private_api_of_the_cache():
    base, greedy = cache_util.BijectorCache, cache_util.BijectorCacheWithGreedyAttrs
    assert issubclass(greedy, base)
    names = ["self", "forward_name", "inverse_name", "bijector", "bijector_class", "storage"]
    assert parameters(base.__init__) == names
    assert parameters(tfpf.bijectors.FlowBijector._cache.__class__.__init__) == names
    assert parameters(base._lookup) == ["self", "input", "forward_name", "inverse_name", "kwargs"]
    assert parameters(base._attributes) == ["self", "input", "fn_name", "kwargs"]
    assert parameters(base._get_or_create_edge) == ["self", "input", "forward_name", "kwargs"]
    for cls in (base, greedy):
        assert parameters(cls._invoke) == ["self", "input", "fn_name", "kwargs", "attributes"]
    fields = cache_util._DirectedFunctionInvocation._fields
    assert fields == ("input_ref", "output_ref", "attributes", "dependencies")
    # Every path into the cache goes through the two methods that PassCache overrides.
    for name in ("forward", "inverse"):
        assert f"self._lookup({'x' if name == 'forward' else 'y'}" in inspect.getsource(
            getattr(base, name)
        )
        assert "self._attributes(" in inspect.getsource(getattr(base, f"{name}_attributes"))


def test_bijectors_of_tfp_ask_the_cache_as_we_expect():
    source = inspect.getsource(bijector_lib.Bijector)
    for words in (
        "self._cache.forward(",
        "self._cache.inverse(",
        "self._cache.forward_attributes(",
        "self._cache.inverse_attributes(",
        "attrs['ildj']",
    ):
        assert words in source, words


def test_transformed_distribution_has_the_hook_that_flow_overrides():
    cls = transformed_distribution._TransformedDistribution
    assert parameters(cls.experimental_local_measure) == ["self", "y", "backward_compat", "kwargs"]
    assert "experimental_local_measure" in inspect.getsource(cls._log_prob)
