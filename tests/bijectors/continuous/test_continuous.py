"""The continuous bijector: solvers, times, traces, gradients, reports."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfd = tfp.distributions
B = tfpf.bijectors

RNG = np.random.default_rng(0)
X = tf.constant(RNG.normal(size=[4, 2]))
TIGHT = {"rtol": 1e-11, "atol": 1e-11}


def vector_field(context_size=0, seed=1, dtype="float64"):
    field = tfpf.layers.VectorField(2, (8,), context_size=context_size, seed=seed, dtype=dtype)
    field.build()
    perturb([v.value for v in field.variables], scale=1.0)
    return field


def growth(t, z):
    """z' = 2 t z, so that z(t_1) = z(t_0) exp(t_1^2 - t_0^2)."""
    return 2.0 * t * z


@pytest.mark.parametrize(
    ("options", "tolerance", "times"),
    [
        (TIGHT, 1e-9, (0.5, -1.0)),  # the next test has (0, 3)
        ({"solver": "rk4", "num_steps": 30}, 1e-4, (1.0, 0.0)),
        ({"solver": "rk4", "num_steps": 60}, 1e-4, (-2.0, -0.5)),
        ({"solver": "euler", "num_steps": 100, "gradient": "direct"}, 0.05, (0.0, 1.0)),
    ],
    ids=lambda value: value.get("solver", "adaptive") if isinstance(value, dict) else str(value),
)
def test_closed_form(times, options, tolerance):
    bijector = B.Continuous(growth, event_size=2, t0=times[0], t1=times[1], **options)
    rate = times[1] ** 2 - times[0] ** 2
    y, log_det = bijector.forward_and_log_det(X)
    np.testing.assert_allclose(y, X * np.exp(rate), rtol=tolerance)
    np.testing.assert_allclose(log_det, [2 * rate] * 4, rtol=tolerance, atol=tolerance)
    back = bijector.inverse(tf.identity(y))
    np.testing.assert_allclose(back, X, rtol=2 * tolerance)


def test_errors_scale_with_the_tolerance():
    """Of value, log-det and round trip, for z' = z (1 - z), whose solution is logistic."""
    x, decay = np.exp(-(X**2)), np.exp(-3.0)
    y, slope = x / (x + (1.0 - x) * decay), decay / (x + (1.0 - x) * decay) ** 2
    errors = []
    for tolerance in (1e-4, 1e-8):
        options = {"t1": 3.0, "event_size": 2, "rtol": tolerance, "atol": tolerance}
        bijector = B.Continuous(lambda t, z: z * (1.0 - z), **options)
        y_, log_det = bijector._forward_and_log_det(tf.constant(x))
        back = bijector.inverse(tf.identity(y_))
        pairs = ((y_, y), (log_det, np.log(slope).sum(-1)), (back, x))
        errors.append([np.abs(a - b).max() for a, b in pairs])
    # Of a step by definition, of the whole within some factor.
    assert np.all(np.array(errors) < 20 * np.array([[1e-4], [1e-8]]))
    assert np.all(np.array(errors[0]) > 20 * np.array(errors[1]))


def test_one_solution_for_each_log_prob_and_sample(monkeypatch):
    """And `sample` without densities takes no derivatives."""
    continuous = B.Continuous(growth, event_size=2, solver="rk4", num_steps=20)
    flow = tfpf.distributions.Flow(
        tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), 2), tfp.bijectors.Chain([continuous])
    )
    calls = []
    integrate = B.Continuous._integrate

    def counted(self, rows, context, noise, start, stop, with_log_det):
        calls.append(with_log_det)
        return integrate(self, rows, context, noise, start, stop, with_log_det)

    monkeypatch.setattr(B.Continuous, "_integrate", counted)
    flow.log_prob(X)
    assert calls == [True]
    samples, log_prob = flow.experimental_sample_and_log_prob(3, seed=[1, 2])
    assert calls == [True, True]
    plain = flow.sample(3, seed=[1, 2])
    assert calls == [True, True, False]
    np.testing.assert_allclose(plain, samples, rtol=1e-3)
    np.testing.assert_allclose(flow.log_prob(samples), log_prob, rtol=1e-3)


def test_gradients_reach_all_that_the_field_is_made_of():
    """`contract` has the finite differences; here variables, captured tensors and the context."""
    w, v = tf.constant(RNG.normal(size=[2, 2])), tf.Variable(RNG.normal(size=[2, 2]))
    context = tf.constant(RNG.normal(size=[4, 2]))

    def field(t, z, context):
        return tf.tanh(z @ w + t) @ v + 0.3 * tf.sin(context * z)

    options = {"solver": "rk4", "num_steps": 60, "event_size": 2, "context_size": 2}
    adjoint, direct = (B.Continuous(field, gradient=g, **options) for g in ("adjoint", "direct"))

    def loss(x, w_, context_, unbound=adjoint):
        nonlocal w
        w = w_
        bijector = tfpf.condition(unbound, context_)
        y = bijector.forward(x)
        return tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(bijector.forward_log_det_jacobian(x, 1))

    inputs, found = [X, w, context], []
    for unbound in (adjoint, direct):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(*inputs, unbound)
        found.append(tape.gradient(value, [*inputs, v]))
    evaluate = tf.function(loss, autograph=False)
    h, start = 1e-5, tf.identity(v)
    for i, gradients in enumerate(zip(*found, strict=True)):
        direction = tf.constant(RNG.normal(size=gradients[0].shape))
        ends = []
        for step in (h, -h):
            moved = list(inputs)
            if i < 3:
                moved[i] = moved[i] + step * direction
            else:
                v.assign(start + step * direction)
            ends.append(evaluate(*moved))
        v.assign(start)
        numeric = (ends[0] - ends[1]) / (2 * h)
        for gradient in gradients:
            np.testing.assert_allclose(tf.reduce_sum(gradient * direction), numeric, rtol=1e-5)


def test_direct_gradients_have_second_derivatives():
    weights = tf.constant(RNG.normal(size=[2, 2]))
    options = {"event_size": 2, "solver": "euler", "num_steps": 2, "gradient": "direct"}
    bijector = B.Continuous(lambda t, z: tf.tanh(z @ weights + t), **options)

    @tf.function(autograph=False)
    def first(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(bijector.forward(x) ** 2)
        return tape.gradient(value, x)

    with tf.GradientTape() as tape:
        tape.watch(X)
        g = first(X)
    direction = tf.constant(RNG.normal(size=[4, 2]))
    found = tape.gradient(g, X, output_gradients=direction)
    numeric = (first(X + 1e-6 * direction) - first(X - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-8)


def test_what_a_bare_function_closes_over_is_seen_anew():
    rate = 1.0
    options = {"solver": "euler", "num_steps": 1}
    bijector = B.Continuous(lambda t, z: rate * z, event_size=2, **options)
    np.testing.assert_allclose(bijector.forward(X), 2.0 * X, rtol=1e-12)
    rate = 2.0
    np.testing.assert_allclose(bijector.forward(tf.identity(X)), 3.0 * X, rtol=1e-12)


def test_noise_is_unbiased_in_training_new_in_each_step_and_absent_elsewhere():
    field = vector_field(dtype="float32")
    noise = B.HutchinsonNoise(seed=3)
    options = {"solver": "euler", "num_steps": 4}
    estimated = B.Continuous(field, trace="hutchinson", noise=noise, **options)
    exact = B.Continuous(field, **options)
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    flow = tfpf.distributions.Flow(base, estimated)
    model = tfpf.FlowModel(flow)
    # Equal rows, each with its own noise.
    x = tf.tile(tf.cast(X[:1], tf.float32), [4000, 1])
    expected = tfpf.distributions.Flow(base, exact).log_prob(x[:1])
    np.testing.assert_allclose(flow.log_prob(x[:2]), [expected[0]] * 2, rtol=1e-6)
    np.testing.assert_array_equal(model(x[:2]), flow.log_prob(x[:2]))
    first, second = (model(x, training=True).numpy() for _ in range(2))
    error = first.std() / np.sqrt(first.size)
    assert 0 < error < 0.02 and np.all(np.abs(first - second).max() > 10 * error)
    for estimate in (first, second):
        assert abs(estimate.mean() - expected) < 4 * error


def test_training_mode_reaches_the_parts_behind():
    """Fields run in inference mode; a dropout in a coupling behind one does not."""
    network = tfpf.layers.MLP(2, (16,), dropout=0.5, output_initializer="normal", seed=1)
    network.build((None, 1))
    coupling = B.Coupling(network, mask=[True, False])
    options = {"solver": "euler", "num_steps": 2}
    chain = tfp.bijectors.Chain([B.Continuous(vector_field(dtype="float32"), **options), coupling])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, chain))
    x = tf.cast(X, tf.float32)
    first, second = (model(x, training=True).numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-6
    np.testing.assert_array_equal(model(x), model.distribution.log_prob(x))


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_noise_in_inference_is_always_the_same(distribution):
    noise = B.HutchinsonNoise(distribution, in_inference=True, seed=3)
    e = noise(X)
    assert e.dtype == X.dtype and e.shape == X.shape
    np.testing.assert_array_equal(noise(X), e)
    other = B.HutchinsonNoise(distribution, in_inference=True, seed=4)(tf.zeros([50, 2]))
    assert np.any(other[:4] != tf.cast(e, tf.float32))
    many = B.HutchinsonNoise(distribution, seed=1)(tf.zeros([20_000, 2]), training=True)
    np.testing.assert_allclose(np.cov(np.transpose(many)), np.eye(2), atol=0.04)
    assert B.HutchinsonNoise(distribution)(X) is None


def test_regularizer_adds_to_the_loss_of_training_alone():
    """For z' = f constant, the integral of |f|^2 over [0, 2] is 2 |f|^2, whichever way."""
    field = tfpf.layers.VectorField(2, (4,), seed=0)
    field.build()
    field.network._output.bias.assign([1.0, -2.0])
    regularizer = tfpf.layers.TransportRegularizer(kinetic=0.1, jacobian=5.0)
    options = {"solver": "euler", "num_steps": 2}
    bijector = B.Continuous(field, t1=2.0, regularizer=regularizer, **options)
    flow = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), bijector)
    model = tfpf.FlowModel(flow)
    model.compile("sgd", run_eagerly=True)
    x = tf.cast(X, tf.float32)
    likelihood = -np.mean(flow.log_prob(x))
    np.testing.assert_allclose(model.evaluate(x, verbose=0), likelihood, rtol=1e-6)
    history = model.fit(x, verbose=0).history
    np.testing.assert_allclose(history["loss"], [likelihood + 0.1 * 2 * 5], rtol=1e-5)
    bijector.forward(x)
    assert regularizer.losses == []


def test_regularizer_of_the_jacobian():
    field = tfpf.layers.VectorField(2, (), seed=0)
    field.build()
    matrix = np.array([[0.1, -0.2], [0.3, 0.0], [0.0, 0.0]], "float32")
    field.network._output.kernel.assign(matrix)
    regularizer = tfpf.layers.TransportRegularizer(jacobian=2.0)
    bijector = B.Continuous(field, solver="euler", num_steps=2, regularizer=regularizer)
    flow = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), bijector)
    model = tfpf.FlowModel(flow)
    model(tf.cast(X, tf.float32), training=True)
    np.testing.assert_allclose(model.losses, [2.0 * np.sum(matrix**2)], rtol=1e-5)


def test_what_is_not_solved_is_nan_or_an_error():
    options = {"event_size": 2, "max_num_steps": 2}
    fast = B.Continuous(lambda t, z: 50.0 * tf.sin(50.0 * t) * z, **options)
    assert all(np.all(np.isnan(part)) for part in fast._inverse_and_log_det(X))
    checked = B.Continuous(fast.field, validate_args=True, **options)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not solved"):
        checked.forward(X)
    # One row that blows up leaves the other alone.
    blow_up = B.Continuous(lambda t, z: z**2, event_size=1)
    y = tf.function(blow_up.forward, autograph=False)(tf.constant([[0.5], [3.0]], tf.float64))
    np.testing.assert_allclose(y, [[1.0], [np.nan]], rtol=1e-4)


def test_extreme_inputs_of_adaptive_steps_never_give_nan():
    """A field that is bounded moves them by a bounded amount, and the good rows as alone.

    In float32, in which 1e30 is close to the largest number; the contract has both dtypes.
    """
    rng = np.random.default_rng(1)
    w, v = (tf.Variable(rng.normal(size=[2, 2]).astype("float32")) for _ in range(2))
    bijector = B.Continuous(lambda t, z: tf.tanh(z @ w + t) @ v, event_size=2)

    @tf.function(autograph=False)
    def solved(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_det = bijector._forward_and_log_det(x)
            loss = tf.reduce_sum(y / (1.0 + tf.abs(x))) + tf.reduce_sum(log_det)
        return y, log_det, *tape.gradient(loss, [x, w, v])

    huge = np.array([0.0, 1e-30, 3.0, -3.0, 1e15, -1e15, 1e30, -1e30])
    x = tf.constant(np.stack(np.meshgrid(huge, huge), -1).reshape(-1, 2), tf.float32)
    results = solved(x)
    for result in results:
        assert np.all(np.isfinite(result))
    # Again as many rows, so that nothing is traced anew.
    small = np.resize(np.flatnonzero(np.abs(x).max(-1) < 10), len(x))
    alone = solved(tf.gather(x, small))[0]
    np.testing.assert_allclose(tf.gather(results[0], small), alone, rtol=1e-4, atol=1e-4)


def test_context_broadcasts():
    unbound = B.Continuous(vector_field(context_size=3), solver="rk4", num_steps=20)
    contexts = RNG.normal(size=[5, 1, 3])
    y = tfpf.condition(unbound, contexts).forward(X)
    assert y.shape == [5, 4, 2]
    one = tfpf.condition(unbound, contexts[2, 0]).forward(X)
    np.testing.assert_allclose(y[2], one, rtol=1e-8, atol=1e-9)
    with pytest.raises(ValueError, match="needs a context.*Received"):
        unbound.forward(X)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"t0": 1.0, "t1": 1.0}, ValueError, "t0"),
        ({"t1": np.inf}, ValueError, "t1"),
        ({"t0": "0"}, TypeError, "t0"),
        ({"solver": "dopri"}, ValueError, "solver"),
        ({"trace": "approximate"}, ValueError, "trace"),
        ({"noise": "uniform"}, ValueError, "noise"),
        ({"noise": 3}, TypeError, "noise"),
        ({"regularizer": 3}, TypeError, "regularizer"),
        ({"gradient": "none"}, ValueError, "gradient"),
        ({"rtol": -1e-3}, ValueError, "rtol"),
        ({"atol": 0.0}, ValueError, "atol"),
        ({"num_steps": 0}, ValueError, "num_steps"),
        ({"max_num_steps": 0}, ValueError, "max_num_steps"),
        ({"event_size": 0}, ValueError, "event_size"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"field": 3}, TypeError, "field"),
        ({"field": tfpf.layers.VectorField(2)}, ValueError, "field"),
        ({"field": lambda t, z: z[:, :1]}, ValueError, "field"),
        ({"field": lambda t, z: tf.reduce_sum(z)}, ValueError, "field"),
        ({"context": np.zeros(3)}, ValueError, "context"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_bad_input_is_named(options, error, named):
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        B.Continuous(**{"field": growth, "event_size": 2, **options})


def test_events_of_another_size():
    with pytest.raises(ValueError, match="events of 2 dimensions.*Received"):
        B.Continuous(growth, event_size=2).forward(tf.zeros([3, 4]))
    with pytest.raises(ValueError, match="events of one axis of known size.*Received"):
        forward = B.Continuous(growth, event_size=2).forward
        tf.function(forward).get_concrete_function(tf.TensorSpec(None))
    with pytest.raises(ValueError, match="`field`.*Received: shape"):
        B.Continuous(lambda t, z: z[:, :1]).forward(tf.zeros([3, 4]))


def test_saved_flow_gives_the_same_densities_and_goes_on_with_its_noise(tmp_path):
    flow = tfpf.flows.ffjord(2, hidden_units=(4,), solver="euler", num_steps=2, kinetic=0.1, seed=1)
    perturb(flow.trainable_variables)
    model = tfpf.FlowModel(flow)
    x = RNG.normal(size=[8, 2]).astype("float32")
    drawn = [model(x, training=True)]
    model.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    np.testing.assert_array_equal(loaded.distribution.log_prob(x), flow.log_prob(x))
    for _ in range(2):
        drawn.append(model(x, training=True))
        np.testing.assert_array_equal(loaded(x, training=True), drawn[-1])
        np.testing.assert_array_equal(loaded.losses, model.losses)
    assert len({value.numpy().tobytes() for value in drawn}) == 3 and model.losses[0] > 0


@pytest.mark.parametrize("gradient", ["adjoint", "direct"])
def test_gradients_of_a_field_that_is_zero_and_oscillates(gradient):
    """z' = w sin(20 t) z: where w = 0 no step has an error, but the gradient's steps have.

    With g = (1 - cos 20) / 20, z = exp(w g) at the end, and the log-det is w g. Under XLA where the
    steps are differentiated; test_adjoint.py compiles the adjoint.
    """
    w = tf.Variable(0.0, dtype=tf.float64)
    options = {"event_size": 1, "dtype": "float64", "max_num_steps": 100}
    bijector = B.Continuous(lambda t, z: w * tf.sin(20.0 * t) * z, gradient=gradient, **options)

    @tf.function(jit_compile=gradient == "direct", autograph=False)
    def derivative(x, of_z):
        with tf.GradientTape() as tape:
            z, log_det = bijector._forward_and_log_det(x)
            value = of_z * tf.reduce_sum(z) + (1.0 - of_z) * tf.reduce_sum(log_det)
        return tape.gradient(value, w)

    g = (1.0 - np.cos(20.0)) / 20.0
    x, one = tf.ones([4, 1], tf.float64), tf.ones([], tf.float64)
    for weight in (0.0, 1e-4, 0.1):
        w.assign(weight)
        for of_z, exact in ((one, 4.0 * g * np.exp(weight * g)), (0.0 * one, 4.0 * g)):
            np.testing.assert_allclose(derivative(x, of_z), exact, atol=4e-5, err_msg=f"{weight}")


@functools.cache
def stiff(gradient, with_log_det):
    """z' = 50 z sin z^2 for 0.1: value, log-det, and gradients of their sums over `n` rows."""
    w = tf.Variable(50.0, dtype=tf.float64)
    options = {"event_size": 1, "dtype": "float64", "t1": 0.1, "max_num_steps": 60}
    bijector = B.Continuous(lambda t, z: w * z * tf.sin(z**2), gradient=gradient, **options)

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, 1], tf.float64), tf.TensorSpec([], tf.int32)],
    )
    def solved(x, n):
        with tf.GradientTape() as tape:
            tape.watch(x)
            parts = bijector._flow(x, bijector.t0, bijector.t1, with_log_det)
            parts = parts if with_log_det else (parts,)
            loss = sum(tf.reduce_sum(part[:n]) for part in parts)
        of_x, of_w = tape.gradient(loss, [x, w])
        return parts, of_x, of_w

    return solved


each_gradient_of_stiff = pytest.mark.parametrize(
    ("gradient", "with_log_det"),
    [
        ("adjoint", True),
        ("direct", False),
        # Six seconds of tracing. Both parts of the solution go through the same loop and the same
        # `where`, which ("direct", False) sees; test_gradients_of_a_field_that_is_zero has the
        # direct gradient of the log-det in closed form.
        pytest.param("direct", True, marks=pytest.mark.slow),
    ],
)


@each_gradient_of_stiff
def test_a_row_that_exhausts_the_steps_is_nan_alone(gradient, with_log_det):
    """At 40, where stable steps are of 2e-5."""
    solved = stiff(gradient, with_log_det)
    parts, of_x, of_w = solved([[0.3], [0.25]], 2)
    parts_, of_x_, of_w_ = solved([[0.3], [0.25], [40.0]], 2)
    assert all(np.isnan(part[2]) for part in parts_)
    for ours, theirs in zip((*parts_, of_x_), (*parts, of_x), strict=True):
        np.testing.assert_allclose(ours[:2], theirs, rtol=1e-9)
    np.testing.assert_allclose(of_w_, of_w, rtol=1e-9)


@each_gradient_of_stiff
def test_gradients_of_a_flow_that_contracts(gradient, with_log_det):
    """dy/dx = f(y) / f(x), whose logarithm is the log-det.

    The first row ends in sqrt(pi), after 31 e-folds: -87.3 by one way back.
    """
    x = np.array([[0.5], [0.3], [1.2]])
    parts, found, _ = stiff(gradient, with_log_det)(x, 3)
    y = parts[0].numpy()
    f = [50.0 * z * np.sin(z**2) for z in (x, y)]
    slope = [50.0 * (np.sin(z**2) + 2.0 * z**2 * np.cos(z**2)) for z in (x, y)]
    if with_log_det:
        expected = f[1] / f[0] + (slope[1] - slope[0]) / f[0]
        np.testing.assert_allclose(expected[0], -56.7095, rtol=1e-4)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    else:
        np.testing.assert_allclose(found, f[1] / f[0], rtol=1e-4, atol=1e-3)
