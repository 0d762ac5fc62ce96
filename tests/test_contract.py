"""What every registered bijector owes: one suite over `cases.CASES`.

Parts owe everything. What is made of parts, as recipes are, owes what their combination could
break. All tests of one case stand together, so that what they share is built, or compiled, once.

Arguments of the second half of a round trip go through `tf.identity`, or TFP's memory would
answer instead of the bijector.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import PARTS, WHOLES, D, made_case, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

DIRECTIONS = ("forward", "inverse")


class Part:
    """A case, and what its tests share."""

    def __init__(self, case):
        self.case = case
        self._made = {}

    def made(self, dtype="float64", scale=0.5):
        """The bijector away from the identity; tests leave its variables as they are."""
        key = dtype, scale
        if key not in self._made:
            self._made[key] = made_case(self.case, dtype, scale)
        return self._made[key]

    def points(self, dtype="float64", shape=(4, D), seed=1):
        return tf.constant(self.case.domain(np.random.default_rng(seed), shape), dtype)

    def traced(self, *functions):
        """The functions, as graphs where eager loops would take minutes."""
        if "Continuous" not in self.case.covers:
            return functions
        return [tf.function(function, autograph=False) for function in functions]

    @functools.cached_property
    def differentiated(self):
        """The case with its gradients, compiled once."""
        return Differentiated(self)


def assert_xla_equals_eager(differentiated, tolerance):
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        differentiated.compiled(differentiated.inputs),
        differentiated.run(differentiated.inputs),
    )


@pytest.fixture(scope="module", params=PARTS, ids=str)
def part(request):
    return Part(request.param)


@pytest.fixture(scope="module", params=WHOLES, ids=str)
def whole(request):
    return Part(request.param)


def fresh(x):
    return tf.identity(x)


def jacobian(function, x):
    """Returns y and dy/dx of shape `[N, D, D]`, by one gradient of D copies of each row."""
    copies = tf.repeat(x, D, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        y = function(copies)
        # The i-th copy of a row has the gradient of y_i.
        picked = tf.reduce_sum(y * tf.tile(tf.eye(D, dtype=x.dtype), [len(x), 1]))
    return y[::D], tf.reshape(tape.gradient(picked, copies), [-1, D, D]).numpy()


class Differentiated:
    """Both directions of a case with their gradients, as one function.

    Its inputs are points, and what the bijector is made of: a context, or raw parameters.
    """

    def __init__(self, part):
        case = self.case = part.case
        rng = np.random.default_rng(2)
        self.bijector = case.make("float64")
        perturb(self.bijector.variables)
        self.inputs = [part.points()]
        if case.context_size:
            self.inputs.append(tf.constant(rng.normal(size=[4, case.context_size])))
        if hasattr(case.make, "raw"):
            self.inputs.append(tf.constant(case.make.raw))
        self.variables = list(self.bijector.trainable_variables)
        # One program for both directions, since compiling takes the time.
        self.compiled = tf.function(self.run, jit_compile=case.kernel, autograph=False)

    def run(self, inputs):
        """Value, log-det, their scalar and its gradients, for each direction."""
        return [self.run_direction(direction, inputs) for direction in DIRECTIONS]

    def run_direction(self, direction, inputs):
        inputs = [fresh(tensor) for tensor in inputs]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            bijector = self.bound(inputs)
            value = getattr(bijector, direction)(inputs[0])
            log_det = getattr(bijector, f"{direction}_log_det_jacobian")(inputs[0], 1)
            # Of the value by `asinh`, which bends little however large it is: finite differences of
            # a sine would be off by h^2 (dy/dt)^2.
            scalar = tf.reduce_sum(tf.asinh(value)) + tf.reduce_sum(log_det)
        return value, log_det, scalar, tape.gradient(scalar, [inputs, self.variables])

    def bound(self, inputs):
        if hasattr(self.case.make, "raw"):
            return self.case.make.new(inputs[1])
        if self.case.context_size:
            return tfpf.condition(self.bijector, inputs[1])
        return self.bijector


def test_shapes(part):
    bijector = part.made("float32")
    assert bijector.forward_event_shape([D]) == [D]
    for batch in ((), (2, 3)):
        x = part.points("float32", (*batch, D))
        y = bijector.forward(x)
        assert y.shape == x.shape and y.dtype == tf.float32
        assert bijector.forward_log_det_jacobian(x, 1).shape == batch
        y = fresh(y)
        assert bijector.inverse(y).shape == x.shape
        assert bijector.inverse_log_det_jacobian(y, 1).shape == batch


def test_perturbed_case_moves_points_and_each_on_its_own(part):
    bijector = part.made()
    x = part.points(shape=(50, D))
    y = bijector.forward(x)
    assert np.abs(y - x).max() > 0.1
    np.testing.assert_allclose(bijector.forward(x[7:8]), y[7:8], rtol=part.case.float64, atol=1e-12)


def test_round_trip(part):
    """To the tolerance times the norm of the Jacobian of the way back.

    What comes back cannot be more exact than that: y itself is known to a rounding only.
    """
    # Layers in a row multiply: the condition of the whole may be better than that of its parts.
    scale = 0.2 if hasattr(part.case.make, "flow") else 0.5
    maps = {}
    for dtype in ("float32", "float64"):
        bijector = part.made(dtype, scale)
        maps[dtype] = part.traced(bijector.forward, bijector.inverse)
    x = part.points(shape=(100, D))
    for there, back in ((0, 1), (1, 0)):
        _, dx_dy = jacobian(maps["float64"][back], maps["float64"][there](x))
        norm = np.maximum(1.0, np.linalg.norm(dx_dy, ord=2, axis=(1, 2)))
        for dtype, functions in maps.items():
            z = tf.cast(x, dtype)
            y = functions[there](z)
            size = 1.0 + np.abs(z).max(-1) + np.abs(y).max(-1)
            error = np.abs(functions[back](fresh(y)) - z).max(-1) / (norm * size)
            assert error.max() <= getattr(part.case, dtype), dtype


def test_log_dets_are_those_of_jacobians_and_opposite(part):
    bijector = part.made()
    x = part.points()
    y, dy_dx = jacobian(*part.traced(bijector.forward), x)
    _, expected = np.linalg.slogdet(dy_dx)
    forward = bijector.forward_log_det_jacobian(fresh(x), 1)
    np.testing.assert_allclose(forward, expected, rtol=1e-10, atol=1e-10)
    _, expected = np.linalg.slogdet(jacobian(*part.traced(bijector.inverse), y)[1])
    inverse = bijector.inverse_log_det_jacobian(fresh(y), 1)
    np.testing.assert_allclose(inverse, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forward, -inverse, rtol=1e-9, atol=1e-9)


def test_gradients_are_those_of_finite_differences_and_xla_equals_eager(part):
    """Along random directions: of each input alone, and of all variables together."""
    d = part.differentiated
    if part.case.kernel:
        assert_xla_equals_eager(d, 1e-9)
    rng = np.random.default_rng(2)
    start = [fresh(variable) for variable in d.variables]
    gradients = [of_direction[3] for of_direction in d.compiled(d.inputs)]
    assert all(gradient is not None for gradient in tf.nest.flatten(gradients))

    def at(step, along_inputs, along_variables):
        for variable, value, along in zip(d.variables, start, along_variables, strict=True):
            variable.assign(value + step * along)
        moved = [x + step * along for x, along in zip(d.inputs, along_inputs, strict=True)]
        return np.array([of_direction[2] for of_direction in d.compiled(moved)])

    def check(along_inputs, along_variables):
        # Splines have kinks in the second derivative: the error is of order h, not h^2.
        h = 1e-6
        along = (along_inputs, along_variables)
        numeric = (at(h, *along) - at(-h, *along)) / (2 * h)
        for direction, number, of_direction in zip(DIRECTIONS, numeric, gradients, strict=True):
            flat = zip(tf.nest.flatten(of_direction), tf.nest.flatten(list(along)), strict=True)
            exact = sum(np.sum(gradient * v) for gradient, v in flat)
            np.testing.assert_allclose(exact, number, rtol=1e-5, atol=1e-6, err_msg=direction)

    zeros = [[np.zeros(t.shape) for t in tensors] for tensors in (d.inputs, d.variables)]
    of_inputs, of_variables = (
        [rng.normal(size=t.shape) for t in tensors] for tensors in (d.inputs, d.variables)
    )
    for i in range(len(d.inputs)):
        check(zeros[0][:i] + of_inputs[i : i + 1] + zeros[0][i + 1 :], zeros[1])
    if d.variables:
        check(zeros[0], of_variables)
    at(0.0, *zeros)


@pytest.mark.parametrize("case", [case for case in PARTS if not hasattr(case.make, "raw")], ids=str)
def test_variables_are_seen_through_tfp(case):
    bijector = case.make("float32")
    names = {id(variable) for variable in bijector.trainable_variables}
    assert names or case.name == "standardize"  # whose variables are not trained
    chain = tfb.Chain([tfb.Invert(tfb.Chain([bijector, tfb.Permute([2, 0, 1])])), tfb.Tanh()])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [D])
    distribution = tfd.TransformedDistribution(base, chain)
    seen = distribution.trainable_variables
    assert {id(variable) for variable in seen} == names
    assert len(seen) == len(names)
    assert {id(v) for v in bijector.variables} <= {id(v) for v in distribution.variables}


def test_works_unchanged_in_chain_invert_and_blockwise(part):
    bijector = part.made()
    x = part.points()
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


def test_copy_shares_variables_and_values(part):
    bijector = part.made()
    copy = bijector.copy()
    x = part.points()
    np.testing.assert_array_equal(copy.forward(fresh(x)), bijector.forward(x))
    assert {id(v) for v in copy.variables} == {id(v) for v in bijector.variables}


def test_batch_shape_and_slices(part):
    case, bijector = part.case, part.made()
    if hasattr(case.make, "raw"):
        assert bijector.experimental_batch_shape(x_event_ndims=0) == [D]
        x = part.points(shape=[D])
        np.testing.assert_allclose(bijector[1].forward(x[1]), bijector.forward(x)[1], rtol=1e-12)
    assert bijector.experimental_batch_shape(x_event_ndims=1) == []
    if not case.context_size:
        return
    contexts = np.random.default_rng(5).normal(size=[2, 4, case.context_size])
    batch = tfpf.condition(bijector, contexts)
    assert batch.experimental_batch_shape(x_event_ndims=1) == [2, 4]
    x = part.points()
    y = batch.forward(x)
    assert y.shape == [2, 4, D]
    np.testing.assert_allclose(batch[1].forward(fresh(x)), y[1], rtol=1e-12)
    one = tfpf.condition(bijector, contexts[1, 2])
    np.testing.assert_allclose(one.forward(x[2]), y[1, 2], rtol=1e-12)
    assert np.abs(y[0] - y[1]).max() > 1e-3


def test_extreme_inputs(part):
    """Never NaN, and finite in float32 wherever float64 says that float32 can represent it."""
    huge = np.array([0.0, 1e-30, -1e-30, 3.0, -3.0, 1e15, -1e15, 1e30, -1e30])
    points = np.stack(np.meshgrid(huge, huge, huge), -1).reshape(-1, 3)
    results = {}
    for dtype in ("float32", "float64"):
        bijector = part.made(dtype)
        results[dtype] = []
        for direction in DIRECTIONS:
            value = getattr(bijector, direction)
            log_det = getattr(bijector, f"{direction}_log_det_jacobian")

            def both(x, value=value, log_det=log_det):
                return value(x), log_det(x, 1)

            x = tf.constant(points, dtype)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y, nats = part.traced(both)[0](x)
            gradients = tape.gradient(nats, [x, *bijector.trainable_variables])
            for result in (y, nats, *gradients):
                assert result is None or not np.isnan(result).any()
            results[dtype] += [y.numpy(), nats.numpy()]
    for single, double in zip(*results.values(), strict=True):
        representable = np.abs(double) < 0.1 * np.finfo("float32").max
        assert np.isfinite(single[representable]).all()


def test_whole_shapes_and_round_trip(whole):
    for dtype in ("float32", "float64"):
        bijector = whole.made(dtype, 0.1)
        tolerance = getattr(whole.case, dtype)
        x = whole.points(dtype, (2, 25, D))
        y = bijector.forward(x)
        assert y.shape == x.shape and y.dtype == dtype
        back = bijector.inverse(fresh(y))
        np.testing.assert_allclose(back, x, rtol=tolerance, atol=tolerance)
        z = bijector.inverse(fresh(x))
        np.testing.assert_allclose(bijector.forward(fresh(z)), x, rtol=tolerance, atol=tolerance)


def test_whole_log_dets_are_those_of_jacobians_and_opposite(whole):
    bijector = whole.made()
    y = whole.points()
    x, dx_dy = jacobian(bijector.inverse, y)
    assert np.abs(x - y).max() > 0.1
    _, expected = np.linalg.slogdet(dx_dy)
    y = fresh(y)
    inverse = bijector.inverse_log_det_jacobian(y, 1)
    assert inverse.shape == [4]
    np.testing.assert_allclose(inverse, expected, rtol=1e-9, atol=1e-9)
    forward = bijector.forward_log_det_jacobian(fresh(x), 1)
    np.testing.assert_allclose(forward, -inverse, rtol=1e-8, atol=1e-8)


# The kernels of a recipe are those of its parts, which the contract compiles; fits compile whole
# recipes.
@pytest.mark.slow
def test_whole_under_xla_equals_eager(whole):
    assert_xla_equals_eager(whole.differentiated, 1e-8)
