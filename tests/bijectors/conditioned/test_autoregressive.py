"""Autoregressive: orders, the sequential direction, and what is refused."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import autoregressive, made, mlp, perturb

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, Autoregressive, RationalQuadraticSpline
from tfp_flows.layers import MADE

tfb = tfp.bijectors

RNG = np.random.default_rng(0)
ORDERS = [(0, 1, 2), (2, 1, 0), (1, 2, 0)]


def to_order(order):
    """A conditioner that keeps the order: h_i holds the sum of what comes before i, and half."""
    order = np.asarray(order)
    position = np.argsort(order)
    before = (position[np.newaxis, :] < position[:, np.newaxis]).astype("float32")

    def conditioner(y):
        total = y @ tf.constant(before.T, y.dtype)
        return tf.stack([total, total / 2.0], axis=-1)

    return conditioner


def by_hand(x, order):
    y, log_det = np.zeros_like(x), np.zeros(len(x))
    for k, i in enumerate(order):
        total = y[:, list(order[:k])].sum(-1)
        y[:, i] = np.exp(total / 2) * x[:, i] + total
        log_det += total / 2
    return y, log_det


def counted(conditioner):
    calls = []

    def wrapped(y, **kwargs):
        tf.py_function(lambda: calls.append(1), [], [])
        return conditioner(y, **kwargs)

    return wrapped, calls


# --- Orders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_forward_and_inverse_follow_the_order(order):
    bijector = Autoregressive(to_order(order), order=order, dtype="float64")
    x = 0.5 * RNG.normal(size=[5, 3])
    expected, log_det = by_hand(x, order)
    np.testing.assert_allclose(bijector.forward(x), expected, rtol=1e-10)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), log_det, rtol=1e-10)
    np.testing.assert_allclose(bijector.inverse(expected), x, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(expected), -log_det, rtol=1e-8)
    assert bijector.order == order


@pytest.mark.parametrize("order", ORDERS)
def test_jacobian_is_triangular_in_the_order(order):
    network = made(Affine, {}, "float64", order)
    perturb(v.value for v in network.variables)
    bijector = Autoregressive(network)
    assert bijector.order == order
    y = tf.constant(RNG.normal(size=[1, 3]))
    with tf.GradientTape() as tape:
        tape.watch(y)
        x = bijector.inverse(y)
    jacobian = tape.batch_jacobian(x, y)[0].numpy()[np.ix_(order, order)]
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0.0)
    assert np.all(np.diag(jacobian) > 0)
    assert np.all(np.abs(jacobian[np.tril_indices(3, -1)]) > 0)


def test_natural_order_of_any_size():
    def conditioner(y):
        return tf.zeros([*y.shape, 2])

    bijector = Autoregressive(conditioner)
    assert bijector.order is None
    for size in (1, 2, 4):
        x = RNG.normal(size=[3, size]).astype("float32")
        np.testing.assert_array_equal(bijector.forward(x), x)


def test_one_dimension():
    bijector = Autoregressive(to_order((0,)), order=(0,))
    x = np.array([[2.0], [-1.0]], "float32")
    np.testing.assert_array_equal(bijector.forward(x), x)


@pytest.mark.parametrize("order", [(0, 0, 1), (1, 2, 3), (), ((0, 1),), (0.5, 1.0), (0, 2)])
def test_order_that_is_no_permutation(order):
    with pytest.raises(ValueError, match="`order` must be a permutation of range.*Received: order"):
        Autoregressive(to_order((0, 1, 2)), order=order)


def test_order_that_is_not_the_conditioners():
    network = made(Affine, {}, "float32", (2, 0, 1))
    with pytest.raises(
        ValueError, match=r"`order` must be that .*\(2, 0, 1\). Received: order=\(0"
    ):
        Autoregressive(network, order=(0, 1, 2))
    assert Autoregressive(network, order=(2, 0, 1)).order == (2, 0, 1)


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size(method):
    bijector = Autoregressive(made(Affine, {}, "float32"))
    match = r"`autoregressive` acts on events of 3 .*Received: .*\(5, 4\)"
    with pytest.raises(ValueError, match=match):
        getattr(bijector, method)(tf.zeros([5, 4]))


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_unknown_size(method):
    function = getattr(Autoregressive(made(Affine, {}, "float32")), method)
    match = "`autoregressive` acts on events of one axis of known size. Received: "
    with pytest.raises(ValueError, match=match):
        tf.function(function).get_concrete_function(tf.TensorSpec(None))


@pytest.mark.parametrize("order", ORDERS)
def test_inverted_transformer(order):
    """x_i = tau(y_i; h_i(y_<i))."""
    conditioner = to_order(order)
    bijector = Autoregressive(conditioner, order=order, invert_transformer=True, dtype="float64")
    y = 0.5 * RNG.normal(size=[5, 3])
    shift, log_scale = np.moveaxis(conditioner(tf.constant(y)), -1, 0)
    x = np.exp(log_scale) * y + shift
    np.testing.assert_allclose(bijector.inverse(y), x, rtol=1e-12)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(y), log_scale.sum(-1), rtol=1e-12)
    np.testing.assert_allclose(bijector.forward(x), y, rtol=1e-10)
    assert bijector.copy().invert_transformer


# --- Number of calls -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_conditioner_runs_once_in_inverse_and_once_a_dimension_in_forward(size, graph):
    order = tuple(range(size))[::-1]
    conditioner, calls = counted(to_order(order))
    bijector = Autoregressive(conditioner, order=order)
    calls.clear()
    x = tf.constant(0.1 * RNG.normal(size=[4, size]), tf.float32)
    forward, inverse = bijector.forward, bijector.inverse
    if graph:
        forward, inverse = tf.function(forward), tf.function(inverse)
    y = tf.identity(forward(x))
    assert len(calls) == size
    calls.clear()
    inverse(y)
    assert len(calls) == 1


def test_sampling_with_density_costs_no_more_than_sampling():
    conditioner, calls = counted(to_order((0, 1, 2)))
    bijector = Autoregressive(conditioner, order=(0, 1, 2))
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), [3])
    flow = tfp.distributions.TransformedDistribution(base, bijector)
    calls.clear()
    flow.experimental_sample_and_log_prob(4, seed=0)
    assert len(calls) == 3
    calls.clear()
    flow.log_prob(tf.ones([4, 3]))
    assert len(calls) == 1


def test_invert_swaps_the_costs():
    conditioner, calls = counted(to_order((0, 1, 2)))
    bijector = tfb.Invert(Autoregressive(conditioner, order=(0, 1, 2)))
    calls.clear()
    bijector.forward(tf.ones([4, 3]))
    assert len(calls) == 1


def test_sequential_direction_draws_no_dropout():
    """Else another mask in each step, and no y would solve the equation."""
    network = MADE(3, 2, (16,), dropout=0.5, seed=1)
    network.build((None, 3))
    perturb(v.value for v in network.variables)
    bijector = Autoregressive(network)

    class Training(keras.layers.Layer):
        def call(self, x, training=None):
            return bijector.forward(x)

    x = tf.constant(RNG.normal(size=[4, 3]), tf.float32)
    y = Training()(x, training=True)
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, rtol=1e-4, atol=1e-4)


# --- The structure under validate_args -------------------------------------------------------


def test_validate_args_finds_a_conditioner_that_breaks_the_order():
    for order in ORDERS:
        Autoregressive(to_order(order), order=order, validate_args=True)
    match = "must be autoregressive.*`ar` whose numbers for coordinate 0 depend on coordinate 2"
    with pytest.raises(ValueError, match=match):
        Autoregressive(to_order((2, 0, 1)), order=(0, 2, 1), validate_args=True, name="ar")
    Autoregressive(to_order((2, 0, 1)), order=(0, 2, 1))


def test_validate_args_finds_a_conditioner_that_sees_its_own_coordinate():
    def conditioner(y):
        return tf.stack([y, y], axis=-1)

    with pytest.raises(ValueError, match="coordinate 0 depend on coordinate 0"):
        Autoregressive(conditioner, order=(0, 1), validate_args=True)


def test_validate_args_finds_a_plain_network_behind_a_last_layer_of_zeros():
    network = mlp(3, 6, "float32")
    with pytest.raises(ValueError, match="must be autoregressive"):
        Autoregressive(network, order=(0, 1, 2), validate_args=True)
    assert not np.any(network.weights[-2])


def test_validate_args_finds_rows_that_depend_on_each_other():
    def conditioner(y):
        return tf.stack([tf.cumsum(y, axis=0) - y, y * 0.0], axis=-1)

    with pytest.raises(ValueError, match="must compute each row on its own"):
        Autoregressive(conditioner, order=(0, 1), validate_args=True)


@pytest.mark.parametrize("residual", [False, True])
def test_validate_args_accepts_made(residual):
    make = autoregressive(Affine, order=(2, 0, 1), residual=residual)
    network = make("float32").conditioner
    before = [weight.numpy() for weight in network.weights]
    Autoregressive(network, validate_args=True)
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("conditioner", [None, 1.0, "made"])
def test_conditioner_that_cannot_be_called(conditioner):
    with pytest.raises(TypeError, match="`conditioner` must be callable as .*Received: condition"):
        Autoregressive(conditioner)


def test_conditioner_that_is_not_built():
    with pytest.raises(ValueError, match="`conditioner` must be built .*Received: conditioner=<MA"):
        Autoregressive(MADE(3, 2, (4,)))


def test_conditioner_that_does_not_fit_the_transformer():
    network = made(Affine, {}, "float32")
    with pytest.raises(ValueError) as info:
        Autoregressive(network, RationalQuadraticSpline, {"num_bins": 4})
    message = str(info.value)
    assert "`autoregressive` must give 11 numbers" in message
    assert "[N, 3, 11] or [N, 33]" in message and "Received: shape (2, " in message


@pytest.mark.parametrize("transformer", [None, "affine", tfb.Scale, Affine(0.0)])
def test_transformer_that_is_no_class_of_one(transformer):
    with pytest.raises(TypeError, match="`transformer` must be a class with .*Received: transform"):
        Autoregressive(to_order((0, 1)), transformer)


def test_keywords_that_the_transformer_does_not_know():
    with pytest.raises(TypeError, match="keywords of `Affine`.*Received: .*'bins': 3"):
        Autoregressive(to_order((0, 1)), Affine, {"bins": 3})


@pytest.mark.parametrize("value,error", [(-1, ValueError), (1.5, TypeError)])
def test_context_size(value, error):
    with pytest.raises(error, match="`context_size` must be an integer of at least 0. Received: "):
        Autoregressive(to_order((0, 1)), context_size=value)


def test_context_that_does_not_fit():
    match = r"`autoregressive` takes no `context`.*Received: .*\(4, 2\)"
    with pytest.raises(ValueError, match=match):
        Autoregressive(to_order((0, 1)), context=tf.zeros([4, 2]))
    make = autoregressive(Affine, context_size=2)
    match = r"must have shape \[..., 2\] for the part 'autoregressive'\. Received: context of shape"
    with pytest.raises(ValueError, match=match):
        make("float32").copy(context=tf.zeros([4, 3]))


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_context_that_is_missing(method):
    bijector = autoregressive(Affine, context_size=2)("float32")
    with pytest.raises(ValueError, match=r"needs a context .*\[..., 2\].*Received: context=None"):
        getattr(bijector, method)(tf.zeros([3, 3]))


# --- All coordinates at once -----------------------------------------------------------------


# The contract has an affine one that is not inverted.
@pytest.mark.parametrize(
    ("transformer", "kwargs", "options"),
    [(Affine, {}, {"invert_transformer": True}), (RationalQuadraticSpline, {"num_bins": 5}, {})],
    ids=["affine_inverted", "spline"],
)
def test_jacobi_gives_what_one_by_one_gives(transformer, kwargs, options):
    network = MADE(
        6, transformer.params_size(**kwargs), (12, 12), "tanh", "random", 2, seed=1, dtype="float64"
    )
    network.build((None, 6), (None, 2))
    perturb((v.value for v in network.variables), scale=1.0)
    x, context = tf.constant(RNG.normal(size=[4, 6])), tf.constant(RNG.normal(size=[4, 2]))

    def everything(conditioner, solver):
        with tf.GradientTape() as tape:
            tape.watch([x, context])
            bijector = Autoregressive(
                conditioner,
                transformer,
                kwargs,
                network.order,
                solver=solver,
                context=context,
                context_size=2,
                **options,
            )
            there = tf.identity(x)
            y, log_det = bijector.forward(there), bijector.forward_log_det_jacobian(there, 1)
            total = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(tf.square(log_det))
        variables = [v.value for v in network.trainable_variables]
        return [y, log_det, *tape.gradient(total, [x, context, *variables])]

    exact = everything(lambda y, context: network(y, context=context), "sequential")
    for ours, expected in zip(everything(network, "jacobi"), exact, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


def test_jacobi_calls_the_conditioner_as_often_as_coordinates_depend_on_others():
    before = tf.constant(np.diag([0.5, 0.0, 0.5, 0.0, 0.5], -1).T)  # three pairs
    conditioner, calls = counted(lambda y: tf.stack([y @ before, 0.0 * y], axis=-1))
    bijector = Autoregressive(conditioner, order=range(6), solver="jacobi", dtype="float64")
    calls.clear()
    x = tf.constant(RNG.normal(size=[3, 6]))
    y = bijector.forward(x)
    # It starts at x, where the first of each pair stays: the second, nothing more; and one call
    # that gradients go through.
    assert len(calls) == 3
    np.testing.assert_allclose(y[:, 1::2], x[:, 1::2] + 0.5 * x[:, ::2], rtol=1e-12)


def test_jacobi_has_forward_mode():
    """Along all weights at once, beside what one coordinate after the other gives.

    Of that one twice in reverse mode, which is linear in u: forward mode traces each operation.
    """
    x = tf.constant(np.random.default_rng(0).normal(size=[3, 2]))

    def made_bijector(solver):
        rng = np.random.default_rng(1)
        w, b = tf.Variable(rng.normal(size=[2, 4])), tf.Variable(rng.normal(size=[2, 2]))
        mask = tf.constant([[0.0, 0.0, 1.0, 1.0], [0.0] * 4], tf.float64)

        def network(x):
            return tf.reshape(tf.tanh(x) @ (mask * w), [-1, 2, 2]) + b

        bijector = Autoregressive(network, solver=solver, dtype=tf.float64)
        return bijector, [w, b], [0.1 * tf.ones_like(w), 0.1 * tf.ones_like(b)]

    bijector, weights, tangents = made_bijector("jacobi")
    with tf.autodiff.ForwardAccumulator(weights, tangents) as accumulator:
        y = bijector.forward(x)
    bijector, weights, tangents = made_bijector("sequential")
    with tf.GradientTape() as outer:
        u = tf.ones_like(x)
        outer.watch(u)
        with tf.GradientTape() as tape:
            y_ = bijector.forward(x)
        gradients = tape.gradient(y_, weights, output_gradients=u)
    expected = outer.gradient(gradients, u, output_gradients=tangents)
    np.testing.assert_allclose(accumulator.jvp(y), expected, rtol=1e-8)


def test_jacobi_drops_no_units():
    network = MADE(3, 2, (16,), dropout=0.5, seed=1)
    network.build((None, 3))
    perturb(v.value for v in network.variables)
    x = RNG.normal(size=[5, 3]).astype("float32")
    inputs = keras.Input([3])
    layer = _Forward(Autoregressive(network, solver="jacobi"))
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(model(x, training=True), model(x, training=False), rtol=1e-6)


class _Forward(keras.layers.Layer):
    def __init__(self, bijector):
        super().__init__()
        self.bijector = bijector

    def call(self, x):
        return self.bijector.forward(x)


RECIPES = {
    "maf": tfpf.flows.maf,
    "iaf": tfpf.flows.iaf,
    "neural_spline": functools.partial(tfpf.flows.neural_spline, autoregressive=True),
    "umnn": functools.partial(tfpf.flows.umnn, integrand_units=(4,)),
    "naf": functools.partial(tfpf.flows.naf, num_units=4),
    "sos": functools.partial(tfpf.flows.sos, num_polynomials=1, degree=2),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_pass_the_solver_on(name, tmp_path):
    def make(**kwargs):
        flow = RECIPES[name](2, num_layers=1, hidden_units=(4,), seed=1, dtype="float64", **kwargs)
        perturb(flow.variables)
        return flow

    flow = make(solver="jacobi")
    layers = [part for part in tfpf._tree.walk(flow.bijector) if isinstance(part, Autoregressive)]
    assert [layer.solver for layer in layers] == ["jacobi"]
    with pytest.raises(ValueError, match="`solver` must be one of.*Received: solver='newton'"):
        make(solver="newton")
    if name in ("maf", "naf"):  # of a closed form, and of a search
        seed = tf.constant([1, 2])
        x = flow.sample(4, seed=seed)
        np.testing.assert_allclose(make().sample(4, seed=seed), x, rtol=1e-10, atol=1e-10)
    if name == "maf":
        tfpf.FlowModel(flow).save(tmp_path / "m.keras")
        loaded = keras.saving.load_model(tmp_path / "m.keras").distribution
        (layer,) = [p for p in tfpf._tree.walk(loaded.bijector) if isinstance(p, Autoregressive)]
        assert layer.solver == "jacobi"
        np.testing.assert_array_equal(loaded.sample(4, seed=seed), x)


def test_unknown_solver():
    with pytest.raises(ValueError, match="`solver` must be one of.*Received: solver='newton'"):
        Autoregressive(to_order((0,)), order=(0,), solver="newton")
