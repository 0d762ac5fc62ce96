"""What every registered bijector owes: one suite over `cases.CASES`.

Parts owe everything. What is made of parts, as recipes are, owes what their combination could
break. What the tests of one case share is built once.

Arguments of the second half of a round trip go through `tf.identity`, or TFP's memory would
answer instead of the bijector.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import KINDS, PARTS, WHOLES, D, made_case, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

DIRECTIONS = ("forward", "inverse")


class Part:
    """A case, and what its tests share."""

    def __init__(self, case):
        self.case = case
        self._made = {}
        # Layers in a row multiply: the condition of the whole may be better than that of its parts.
        self.round_trip_scale = 0.2 if hasattr(case.make, "flow") else 0.5

    def made(self, dtype="float64", scale=0.5):
        """The bijector away from the identity; tests leave its variables as they are."""
        key = dtype, scale
        if key not in self._made:
            self._made[key] = made_case(self.case, dtype, scale)
        return self._made[key]

    def points(self, dtype="float64", shape=(4, D), seed=1):
        return tf.constant(self.case.domain(np.random.default_rng(seed), shape), dtype)

    @functools.cached_property
    def moved(self):
        """Points, and where `forward` takes them."""
        x = self.points(shape=(2, 3, D))
        return x, self.made().forward(x)

    @functools.cached_property
    def round_trips(self):
        """For each direction: points x, y of x by it, z of y by the other one, and dz/dy."""
        bijector = self.made(scale=self.round_trip_scale)
        x = self.points(shape=(100, D))
        y = bijector.forward(x)
        # At once of y and of points, which are not forward's: a search takes as long for both.
        both, of_both = jacobian(bijector.inverse, tf.concat([y, x], axis=0))
        u = both[len(x) :]
        return {
            "forward": (x, y, both[: len(x)], of_both[: len(x)]),
            "inverse": (x, u, *jacobian(bijector.forward, u)),
        }


def assert_equal(first, second, tolerance):
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), first, second
    )


shared = functools.cache(Part)


TRACED = [case for case in PARTS if case.is_traced]


def slow_where(is_slow, cases):
    return [pytest.param(case, marks=pytest.mark.slow if is_slow(case) else ()) for case in cases]


# What is traced takes ten times as long. `test_continuous.py` has a test of its equation, of its
# batches of contexts and of far rows; its round trips and log-dets are tested as those of recipes.
@pytest.fixture(scope="module", params=slow_where(lambda case: case.is_traced, PARTS), ids=str)
def part(request):
    return shared(request.param)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def kind(request):
    return shared(request.param)


# Of doubles the parts are in `part`, and what combines them in the same way is here.
@pytest.fixture(
    scope="module", params=slow_where(lambda case: case.is_double, [*WHOLES, *TRACED]), ids=str
)
def whole(request):
    return shared(request.param)


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
        self.compiled = tf.function(self.run, jit_compile=True, autograph=False)

    def run(self, inputs):
        """Value, log-det, their scalar and its gradients, for each direction."""
        results = []
        for direction in DIRECTIONS:
            inputs = [fresh(tensor) for tensor in inputs]
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value, log_det, scalar = self.evaluated(direction, inputs)
            gradients = tape.gradient(scalar, [inputs, self.variables])
            results.append((value, log_det, scalar, gradients))
        return results

    def scalars(self, inputs):
        """The scalar of each direction, as `run` returns it."""
        if self.case.kernel:
            return [of_direction[2] for of_direction in self.compiled(inputs)]
        inputs = [[fresh(tensor) for tensor in inputs] for _ in DIRECTIONS]
        return [self.evaluated(*each)[2] for each in zip(DIRECTIONS, inputs, strict=True)]

    def evaluated(self, direction, inputs):
        bijector = self.bound(inputs)
        value = getattr(bijector, direction)(inputs[0])
        log_det = getattr(bijector, f"{direction}_log_det_jacobian")(inputs[0], 1)
        # Of the value by `asinh`, which bends little however large it is: finite differences of
        # a sine would be off by h^2 (dy/dt)^2.
        scalar = tf.reduce_sum(tf.asinh(value)) + tf.reduce_sum(log_det)
        return value, log_det, scalar

    def bound(self, inputs):
        if hasattr(self.case.make, "raw"):
            return self.case.make.new(inputs[1])
        if self.case.context_size:
            return tfpf.condition(self.bijector, inputs[1])
        return self.bijector


def test_shapes(kind):
    """Of a batch and of one point; those of the way back from a batch are the chain's, below."""
    bijector, (x, y) = kind.made(), kind.moved
    assert bijector.forward_event_shape([D]) == [D]
    assert y.shape == x.shape and y.dtype == tf.float64
    assert bijector.forward_log_det_jacobian(x, 1).shape == (2, 3)
    point = x[1, 2]
    moved = bijector.forward(point)
    np.testing.assert_allclose(moved, y[1, 2], rtol=kind.case.float64, atol=1e-12)
    assert moved.shape == [D]
    assert bijector.forward_log_det_jacobian(point, 1).shape == []
    moved = fresh(moved)
    assert bijector.inverse(moved).shape == [D]
    assert bijector.inverse_log_det_jacobian(moved, 1).shape == []


def test_perturbed_case_moves_points(part):
    x, y, *_ = part.round_trips["forward"]
    assert np.abs(y - x).max() > 0.1


def test_round_trip(part):
    """To the tolerance times the norm of the Jacobian of the way back.

    What comes back cannot be more exact than that: y itself is known to a rounding only.
    """
    bijector = part.made("float32", part.round_trip_scale)
    x32 = tf.cast(part.round_trips["forward"][0], tf.float32)
    y32 = bijector.forward(x32)
    z32, u32 = tf.split(bijector.inverse(tf.concat([y32, x32], axis=0)), 2)
    trips32 = {"forward": (x32, y32, z32), "inverse": (x32, u32, bijector.forward(u32))}
    for direction, (x, y, z, dz_dy) in part.round_trips.items():
        norm = np.maximum(1.0, np.linalg.norm(dz_dy, ord=2, axis=(1, 2)))
        for dtype, trip in (("float64", (x, y, z)), ("float32", trips32[direction])):
            assert all(points.shape == (100, D) and points.dtype == dtype for points in trip)
            start, middle, end = trip
            size = 1.0 + np.abs(start).max(-1) + np.abs(middle).max(-1)
            error = np.abs(end - start).max(-1) / (norm * size)
            assert error.max() <= getattr(part.case, dtype), dtype


def test_log_dets_are_those_of_jacobians_and_opposite(part):
    bijector = part.made(scale=part.round_trip_scale)
    x, y, _, dx_dy = (t[:4] for t in part.round_trips["forward"])
    _, z, _, dx_dz = (t[:4] for t in part.round_trips["inverse"])
    of_x, of_z = tf.split(bijector.forward_log_det_jacobian(tf.concat([x, z], axis=0), 1), 2)
    np.testing.assert_allclose(of_z, np.linalg.slogdet(dx_dz)[1], rtol=1e-10, atol=1e-10)
    of_y = bijector.inverse_log_det_jacobian(fresh(y), 1)
    np.testing.assert_allclose(of_y, np.linalg.slogdet(dx_dy)[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(of_x, -of_y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "case",
    [
        # What its equation is made of has the same test in test_continuous.py and test_adjoint.py.
        pytest.param(case, marks=pytest.mark.slow) if case.is_traced else case
        for case in PARTS
    ],
    ids=str,
)
def test_gradients_are_those_of_finite_differences_and_xla_equals_eager(case):
    """Along a random direction: of each input alone and of all variables, or of all together."""
    d = Differentiated(Part(case))
    results = d.run(d.inputs)
    gradients = [of_direction[3] for of_direction in results]
    assert all(gradient is not None for gradient in tf.nest.flatten(gradients))
    if case.kernel:
        assert_equal(d.compiled(d.inputs), results, 1e-9)
    start = [fresh(variable) for variable in d.variables]

    def at(along, step):
        along_inputs, along_variables = along
        for variable, value, v in zip(d.variables, start, along_variables, strict=True):
            variable.assign(value + step * v)
        moved = [x + step * v for x, v in zip(d.inputs, along_inputs, strict=True)]
        return np.array(d.scalars(moved))

    rng = np.random.default_rng(2)
    together = [[rng.normal(size=t.shape) for t in tensors] for tensors in (d.inputs, d.variables)]
    directions = each_alone(*together) if case.kernel else [together]
    for along in directions:
        # Splines have kinks in the second derivative: the error is of order h, not h^2.
        h = 1e-6
        numeric = (at(along, h) - at(along, -h)) / (2 * h)
        for direction, number, of_direction in zip(DIRECTIONS, numeric, gradients, strict=True):
            flat = zip(tf.nest.flatten(of_direction), tf.nest.flatten(along), strict=True)
            exact = sum(np.sum(gradient * v) for gradient, v in flat)
            np.testing.assert_allclose(exact, number, rtol=1e-5, atol=1e-6, err_msg=direction)
    for variable, value in zip(d.variables, start, strict=True):
        variable.assign(value)


def each_alone(inputs, variables):
    """The direction along each input, then that along all variables, if there are any."""
    no_inputs, no_variables = ([np.zeros_like(t) for t in ts] for ts in (inputs, variables))
    for i in range(len(inputs)):
        yield no_inputs[:i] + inputs[i : i + 1] + no_inputs[i + 1 :], no_variables
    if variables:
        yield no_inputs, variables


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


def test_works_unchanged_in_chain_invert_and_blockwise(kind):
    bijector, (x, y) = kind.made(), kind.moved
    chain = tfb.Chain([bijector, tfb.Invert(bijector), tfb.Scale(tf.constant(2.0, tf.float64))])
    doubled, log_det = chain.forward(x), chain.forward_log_det_jacobian(x, 1)
    assert doubled.shape == x.shape and log_det.shape == x.shape[:-1]
    np.testing.assert_allclose(doubled, 2 * x, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(log_det, np.full([2, 3], D * np.log(2)), rtol=1e-7)
    blocks = tfb.Blockwise([bijector, tfb.Identity()], block_sizes=[D, 1])
    both = blocks.forward(tf.concat([x, tf.ones([2, 3, 1], tf.float64)], axis=-1))
    np.testing.assert_allclose(both[..., :D], y, rtol=1e-12)
    np.testing.assert_allclose(both[..., D:], 1.0)


def test_copy_shares_variables_and_values(kind):
    bijector = kind.made()
    copy = bijector.copy()
    x, y = kind.moved
    np.testing.assert_array_equal(copy.forward(fresh(x)), y)
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
    if hasattr(part.case.make, "raw"):  # elementwise: what stands beside a number does not matter
        points = np.tile(huge[:, np.newaxis], [1, D])
    results = {}
    for dtype in ("float32", "float64"):
        bijector = part.made(dtype)
        results[dtype] = []
        for direction in DIRECTIONS:
            value = getattr(bijector, direction)
            log_det = getattr(bijector, f"{direction}_log_det_jacobian")
            x = tf.constant(points, dtype)
            gradients = ()
            # `test_continuous.py` has the other direction of what is traced.
            if not (part.case.is_traced and direction == "forward"):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    y, nats = value(x), log_det(x, 1)
                gradients = tape.gradient(nats, [x, *bijector.trainable_variables])
            else:
                y, nats = value(x), log_det(x, 1)
            for result in (y, nats, *gradients):
                assert result is None or not np.isnan(result).any()
            results[dtype] += [y.numpy(), nats.numpy()]
    for single, double in zip(*results.values(), strict=True):
        representable = np.abs(double) < 0.1 * np.finfo("float32").max
        assert np.isfinite(single[representable]).all()


def test_whole_shapes_and_round_trip(whole):
    bijector = whole.made("float32", 0.1)
    x = whole.points("float32", (2, 25, D))
    y = bijector.forward(x)
    assert y.shape == x.shape and y.dtype == tf.float32
    tolerance = whole.case.float32
    np.testing.assert_allclose(bijector.inverse(fresh(y)), x, rtol=tolerance, atol=tolerance)


def test_whole_log_dets_are_those_of_jacobians_and_opposite(whole):
    """And the other round trip."""
    bijector, tolerance = whole.made(), whole.case.float64
    y = whole.points()
    x, dx_dy = jacobian(bijector.inverse, y)
    assert np.abs(x - y).max() > 0.1
    y, x = fresh(y), fresh(x)
    inverse = bijector.inverse_log_det_jacobian(y, 1)
    assert inverse.shape == [4] and x.dtype == inverse.dtype == tf.float64
    np.testing.assert_allclose(inverse, np.linalg.slogdet(dx_dy)[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(bijector.forward(x), y, rtol=tolerance, atol=tolerance)
    forward = bijector.forward_log_det_jacobian(x, 1)
    np.testing.assert_allclose(forward, -inverse, rtol=1e-8, atol=1e-8)


# The kernels of a recipe are those of its parts, which the contract compiles, as those of one part
# may be of another; fits compile whole recipes.
@pytest.mark.slow
@pytest.mark.parametrize("case", [*WHOLES, *(case for case in PARTS if not case.kernel)], ids=str)
def test_others_under_xla_equal_eager(case):
    d = Differentiated(Part(case))
    assert_equal(d.compiled(d.inputs), d.run(d.inputs), 1e-8)
