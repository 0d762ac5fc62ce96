"""What every registered bijector owes: one suite over `cases.CASES`.

Arguments of the second half of a round trip go through `tf.identity`, or TFP's memory would
answer instead of the bijector.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import CASES, D, each_direction, made_case, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def points(case, dtype="float64", shape=(4, D), seed=1):
    return tf.constant(case.domain(np.random.default_rng(seed), shape), dtype)


def fresh(x):
    return tf.identity(x)


def traced(case, *functions):
    """The functions, as graphs where eager loops would take minutes."""
    if "Continuous" not in case.covers:
        return functions
    return [tf.function(function, autograph=False) for function in functions]


def jacobian(function, x):
    """Returns y and dy/dx of shape `[N, D, D]`, by one gradient of D copies of each row."""
    copies = tf.repeat(x, D, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        y = function(copies)
        # The i-th copy of a row has the gradient of y_i.
        picked = tf.reduce_sum(y * tf.tile(tf.eye(D, dtype=x.dtype), [len(x), 1]))
    return y[::D], tf.reshape(tape.gradient(picked, copies), [-1, D, D]).numpy()


def log_prob_like(bijector, x):
    """A scalar that depends on value and log-det of both directions of use.

    Of y by `asinh`, which bends little however large y is: finite differences of a sine would be
    off by h^2 (dy/dt)^2.
    """
    y = bijector.forward(x)
    return tf.reduce_sum(tf.asinh(y)) + tf.reduce_sum(bijector.forward_log_det_jacobian(x, 1))


def inverse_log_prob_like(bijector, y):
    x = bijector.inverse(y)
    return tf.reduce_sum(tf.asinh(x)) + tf.reduce_sum(bijector.inverse_log_det_jacobian(y, 1))


@each_case
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_shapes(case, batch):
    bijector = made_case(case, "float32")
    x = points(case, "float32", (*batch, D))
    y = bijector.forward(x)
    assert y.shape == x.shape and y.dtype == tf.float32
    assert bijector.forward_log_det_jacobian(x, 1).shape == batch
    assert bijector.inverse(fresh(y)).shape == x.shape
    assert bijector.inverse_log_det_jacobian(fresh(y), 1).shape == batch
    assert bijector.forward_event_shape([D]) == [D]


@each_case
def test_perturbed_case_moves_points_and_each_on_its_own(case):
    bijector = made_case(case)
    x = points(case, shape=(50, D))
    y = bijector.forward(x)
    assert np.abs(y - x).max() > 0.1
    np.testing.assert_allclose(bijector.forward(x[7:8]), y[7:8], rtol=case.float64, atol=1e-12)


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(case, dtype):
    bijector = made_case(case, dtype, scale=0.1)
    x = points(case, dtype, (100, D))
    tolerance = getattr(case, dtype)
    y = bijector.forward(x)
    np.testing.assert_allclose(bijector.inverse(fresh(y)), x, rtol=tolerance, atol=tolerance)
    z = bijector.inverse(fresh(x))
    np.testing.assert_allclose(bijector.forward(fresh(z)), x, rtol=tolerance, atol=tolerance)


@each_case
def test_round_trip_far_from_the_identity(case):
    """To the tolerance times the norm of the Jacobian of the way back.

    What comes back cannot be more exact than that: y itself is known to a rounding only.
    """
    # Layers in a row multiply: the condition of the whole may be better than that of its parts.
    scale = 0.2 if hasattr(case.make, "flow") else 0.5
    maps = {}
    for dtype in ("float32", "float64"):
        bijector = made_case(case, dtype, scale)
        maps[dtype] = traced(case, bijector.forward, bijector.inverse)
    x = points(case, shape=(100, D))
    for there, back in ((0, 1), (1, 0)):
        _, dx_dy = jacobian(maps["float64"][back], maps["float64"][there](x))
        norm = np.maximum(1.0, np.linalg.norm(dx_dy, ord=2, axis=(1, 2)))
        for dtype, functions in maps.items():
            z = tf.cast(x, dtype)
            y = functions[there](z)
            size = 1.0 + np.abs(z).max(-1) + np.abs(y).max(-1)
            error = np.abs(functions[back](fresh(y)) - z).max(-1) / (norm * size)
            assert error.max() <= getattr(case, dtype), dtype


@each_case
def test_log_dets_are_those_of_jacobians_and_opposite(case):
    bijector = made_case(case)
    x = points(case)
    y, dy_dx = jacobian(*traced(case, bijector.forward), x)
    _, expected = np.linalg.slogdet(dy_dx)
    forward = bijector.forward_log_det_jacobian(fresh(x), 1)
    np.testing.assert_allclose(forward, expected, rtol=1e-10, atol=1e-10)
    _, expected = np.linalg.slogdet(jacobian(*traced(case, bijector.inverse), y)[1])
    inverse = bijector.inverse_log_det_jacobian(fresh(y), 1)
    np.testing.assert_allclose(inverse, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forward, -inverse, rtol=1e-9, atol=1e-9)


@each_case
@pytest.mark.parametrize(
    "scalar", [log_prob_like, inverse_log_prob_like], ids=["forward", "inverse"]
)
def test_gradients_are_those_of_finite_differences(case, scalar):
    """Along random directions: of the input and what the bijector is made of, and of variables."""
    rng = np.random.default_rng(2)
    bijector = case.make("float64")
    perturb(bijector.variables)
    inputs = [points(case)]
    if case.context_size:
        inputs.append(tf.constant(rng.normal(size=[4, case.context_size])))
    if hasattr(case.make, "raw"):
        inputs.append(tf.constant(case.make.raw))
    variables = list(bijector.trainable_variables)
    start = [fresh(variable) for variable in variables]

    def evaluate(inputs):
        if hasattr(case.make, "raw"):
            return scalar(case.make.new(inputs[1]), inputs[0])
        if case.context_size:
            return scalar(tfpf.condition(bijector, inputs[1]), inputs[0])
        return scalar(bijector, inputs[0])

    evaluate_in_graph = tf.function(evaluate, autograph=False)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = evaluate(inputs)
    gradients = tape.gradient(value, [inputs, variables])
    assert all(gradient is not None for gradient in tf.nest.flatten(gradients))

    def check(input_directions, variable_directions):
        def along(step):
            for variable, value, direction in zip(
                variables, start, variable_directions, strict=True
            ):
                variable.assign(value + step * direction)
            moved = [x + step * v for x, v in zip(inputs, input_directions, strict=True)]
            return evaluate_in_graph(moved).numpy()

        # Splines have kinks in the second derivative: the error is of order h, not h^2.
        h = 1e-6
        numeric = (along(h) - along(-h)) / (2 * h)
        exact = sum(
            np.sum(gradient * direction)
            for gradient, direction in zip(
                tf.nest.flatten(gradients),
                [*input_directions, *variable_directions],
                strict=True,
            )
        )
        np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-6)

    of_inputs = [rng.normal(size=x.shape) for x in inputs]
    of_variables = [rng.normal(size=v.shape) for v in variables]
    no_inputs = [np.zeros(x.shape) for x in inputs]
    no_variables = [np.zeros(v.shape) for v in variables]
    for i in range(len(inputs)):
        check(no_inputs[:i] + of_inputs[i : i + 1] + no_inputs[i + 1 :], no_variables)
    if variables:
        check(no_inputs, of_variables)


@pytest.mark.parametrize(("case", "direction"), each_direction(CASES))
def test_xla_equals_eager(case, direction):
    bijector = made_case(case)
    variables = list(bijector.trainable_variables)
    value = getattr(bijector, direction)
    log_det = getattr(bijector, f"{direction}_log_det_jacobian")

    def value_and_gradients(x):
        x = fresh(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, nats = value(x), log_det(x, 1)
            scalar = tf.reduce_sum(tf.asinh(y)) + tf.reduce_sum(nats)
        return y, nats, tape.gradient(scalar, [x, variables])

    x = points(case)
    compiled = tf.function(value_and_gradients, jit_compile=True, autograph=False)(x)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9),
        compiled,
        value_and_gradients(x),
    )


@each_case
def test_variables_are_seen_through_tfp(case):
    bijector = case.make("float32")
    names = {id(variable) for variable in bijector.trainable_variables}
    chain = tfb.Chain([tfb.Invert(tfb.Chain([bijector, tfb.Permute([2, 0, 1])])), tfb.Tanh()])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [D])
    distribution = tfd.TransformedDistribution(base, chain)
    seen = distribution.trainable_variables
    assert {id(variable) for variable in seen} == names
    assert len(seen) == len(names)


@each_case
def test_works_unchanged_in_chain_invert_and_blockwise(case):
    bijector = made_case(case)
    x = points(case)
    y = bijector.forward(x)
    chain = tfb.Chain([bijector, tfb.Invert(bijector), tfb.Scale(tf.constant(2.0, tf.float64))])
    np.testing.assert_allclose(chain.forward(x), 2 * x, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(
        chain.forward_log_det_jacobian(fresh(x), 1), [D * np.log(2)] * 4, rtol=1e-7
    )
    blocks = tfb.Blockwise([bijector, tfb.Identity()], block_sizes=[D, 1])
    both = blocks.forward(tf.concat([x, tf.ones([4, 1], tf.float64)], axis=-1))
    np.testing.assert_allclose(both[:, :D], y, rtol=1e-12)
    np.testing.assert_allclose(both[:, D:], 1.0)


@each_case
def test_copy_shares_variables_and_values(case):
    bijector = made_case(case)
    copy = bijector.copy()
    x = points(case)
    np.testing.assert_array_equal(copy.forward(fresh(x)), bijector.forward(x))
    assert {id(v) for v in copy.variables} == {id(v) for v in bijector.variables}


@each_case
def test_batch_shape_and_slices(case):
    bijector = made_case(case)
    if hasattr(case.make, "raw"):
        assert bijector.experimental_batch_shape(x_event_ndims=0) == [D]
        x = points(case, shape=[D])
        np.testing.assert_allclose(bijector[1].forward(x[1]), bijector.forward(x)[1], rtol=1e-12)
    assert bijector.experimental_batch_shape(x_event_ndims=1) == []
    if not case.context_size:
        return
    contexts = np.random.default_rng(5).normal(size=[2, 4, case.context_size])
    batch = tfpf.condition(bijector, contexts)
    assert batch.experimental_batch_shape(x_event_ndims=1) == [2, 4]
    x = points(case)
    y = batch.forward(x)
    assert y.shape == [2, 4, D]
    np.testing.assert_allclose(batch[1].forward(fresh(x)), y[1], rtol=1e-12)
    one = tfpf.condition(bijector, contexts[1, 2])
    np.testing.assert_allclose(one.forward(x[2]), y[1, 2], rtol=1e-12)
    assert np.abs(y[0] - y[1]).max() > 1e-3


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_inputs_never_give_nan(case, dtype):
    bijector = made_case(case, dtype)
    huge = np.array([0.0, 1e-30, -1e-30, 3.0, -3.0, 1e15, -1e15, 1e30, -1e30])
    x = tf.constant(np.stack(np.meshgrid(huge, huge, huge), -1).reshape(-1, 3), dtype)
    for value, log_det in (
        (bijector.forward, bijector.forward_log_det_jacobian),
        (bijector.inverse, bijector.inverse_log_det_jacobian),
    ):
        value, log_det = traced(case, value, log_det)
        x = fresh(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = value(x)
            ldj = log_det(x, 1)
        gradients = tape.gradient(ldj, [x, *bijector.trainable_variables])
        for result in (y, ldj, *gradients):
            assert result is None or not np.isnan(result).any()
