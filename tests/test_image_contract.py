"""What every registered bijector of images owes: `test_contract.py` for events of three axes.

And of two: it runs over series in time, too.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from audio_cases import CASES as AUDIO_CASES
from image_cases import CASES, bound, made, points

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

ALL = [*CASES, *AUDIO_CASES]
# As in `cases.py`: a recipe stands for a bijector of which it is the only case.
PARTS = [
    case
    for case in ALL
    if not hasattr(case.make, "flow") or set(case.covers) & set(tfpf.bijectors.__all__)
]


class Image:
    """A case, and what its tests share."""

    def __init__(self, case):
        self.case = case
        self._made = {}

    def made(self, dtype="float64"):
        """The bijector away from the identity; tests leave its variables as they are."""
        if dtype not in self._made:
            self._made[dtype] = made(self.case, dtype)
        return self._made[dtype]

    def directions(self, dtype="float64"):
        """Both ways, `(map, log-det, event axes of the input, its shape)`, base to image first."""
        case, bijector = self.case, self.made(dtype)
        return (
            (
                bijector.forward,
                bijector.forward_log_det_jacobian,
                len(case.input_shape),
                case.input_shape,
            ),
            (bijector.inverse, bijector.inverse_log_det_jacobian, len(case.shape), case.shape),
        )

    def with_gradients(self, points):
        """Value, log-det, their scalar and its gradients, for each direction and its points."""
        variables = list(self.made().trainable_variables)
        results = []
        for z, direction in zip(points, self.directions(), strict=True):
            z = fresh(z)
            with tf.GradientTape() as tape:
                tape.watch(z)
                value, nats, scalar = evaluated(direction, z)
            results.append((value, nats, scalar, tape.gradient(scalar, [z, *variables])))
        return results

    def scalars(self, points):
        """The scalar of each direction, as `with_gradients` returns it."""
        if self.case.kernel:
            return [of_direction[2] for of_direction in self.compiled(points)]
        pairs = zip(self.directions(), points, strict=True)
        return [evaluated(direction, fresh(z))[2] for direction, z in pairs]

    @functools.cached_property
    def compiled(self):
        """One program for both directions, since compiling takes the time."""
        self.made()  # Its variables are not to be made within the program.
        return tf.function(self.with_gradients, jit_compile=True, autograph=False)

    @functools.cached_property
    def points(self):
        return [points(shape, (2,)) for *_, shape in self.directions()]


# What holds recipes to no more than their combination could break, but for those whose networks no
# part has.
PARTS_AND_NETWORKS = [
    case
    for case in ALL
    if case in PARTS or case.name in ("flow_plus_plus_images", "residual_images")
]
shared = functools.cache(Image)


# Of these, `multiscale` has the structure. Their transformers are those of `test_contract.py`, the
# spline with a network of images is `coupling_channels_spline_context`, and `test_image_recipes.py`
# holds the density of either to that of its samples.
SLOW = ("flow_plus_plus_images", "neural_spline_images")


@pytest.fixture(
    scope="module",
    params=[pytest.param(c, marks=pytest.mark.slow if c.name in SLOW else ()) for c in ALL],
    ids=str,
)
def image(request):
    return shared(request.param)


@pytest.fixture(scope="module", params=PARTS, ids=str)
def part(request):
    return shared(request.param)


def fresh(x):
    return tf.identity(x)


def evaluated(direction, z):
    map_, log_det, event_ndims, _ = direction
    value, nats = map_(z), log_det(z, event_ndims)
    return value, nats, tf.reduce_sum(tf.asinh(value)) + tf.reduce_sum(nats)


def size_of(shape):
    return int(np.prod(shape))


def jacobian(function, x):
    """dy/dx of one image, `[D, D]`, by one gradient of D copies of it: a row is for one output."""
    size = size_of(x.shape)
    copies = tf.broadcast_to(x, [size, *x.shape])
    with tf.GradientTape() as tape:
        tape.watch(copies)
        y = tf.reshape(function(copies), [size, size])
        one_each = tf.reduce_sum(tf.linalg.diag_part(y))
    return tf.reshape(tape.gradient(one_each, copies), [size, size])


def test_event_shapes(image):
    case, bijector = image.case, image.made("float32")
    assert bijector.forward_min_event_ndims == len(case.input_shape)
    assert bijector.inverse_min_event_ndims == len(case.shape)
    for shape in (bijector.forward_event_shape, bijector.forward_event_shape_tensor):
        assert tuple(shape(case.input_shape)) == case.shape
    for shape in (bijector.inverse_event_shape, bijector.inverse_event_shape_tensor):
        assert tuple(shape(case.shape)) == case.input_shape


def test_shapes_and_round_trip(image):
    """From either side; recipes go there and back in float64 in the test below, without a batch."""
    case, batch = image.case, (2, 3)
    for dtype in ("float32", "float64") if case in PARTS else ("float32",):
        bijector, tolerance = image.made(dtype), getattr(case, dtype)
        x = points(case.input_shape, batch, dtype)
        y = bijector.forward(x)
        assert y.shape == (*batch, *case.shape) and y.dtype == dtype
        assert bijector.forward_log_det_jacobian(x, len(case.input_shape)).shape == batch
        # One evaluation of the inverse, of what was an output and of what was none.
        given = points(case.shape, batch, dtype)
        both = tf.stack([y, given])
        back, source = bijector.inverse(both)
        assert back.shape == x.shape and back.dtype == dtype
        assert bijector.inverse_log_det_jacobian(both, len(case.shape)).shape == (2, *batch)
        close = functools.partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance)
        close(back, x)
        close(bijector.forward(fresh(source)), given)


def test_log_det_is_that_of_the_jacobian_and_opposite(image):
    """Of a recipe the Jacobian is that of its density, and the way back only opposite."""
    is_part, ways = image.case in PARTS, image.directions()
    ways = ways if is_part else ways[::-1]
    z = start = points(ways[0][3], ())
    expected, tolerance = None, image.case.float64
    for map_, log_det, event_ndims, _ in ways:
        last = expected
        if is_part or last is None:
            sign, expected = np.linalg.slogdet(jacobian(map_, z))
            assert abs(sign) == 1.0
        else:
            expected = -last
        z = fresh(z)
        nats = log_det(z, event_ndims)
        assert nats.shape == ()
        np.testing.assert_allclose(nats, expected, atol=1e-8)
        z = map_(z)
    assert z.shape == start.shape and z.dtype == start.dtype
    np.testing.assert_allclose(z, start, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(expected, -last, atol=1e-8)


def assert_xla_equals_eager(image):
    results = image.with_gradients(image.points)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8),
        image.compiled(image.points),
        results,
    )
    return results


def test_gradients_are_those_of_finite_differences_and_xla_equals_eager(part):
    """Along one random direction of the input and every variable together."""
    run = assert_xla_equals_eager if part.case.kernel else lambda p: p.with_gradients(p.points)
    gradients = [of_direction[3] for of_direction in run(part)]
    rng = np.random.default_rng(2)
    variables = list(part.made().trainable_variables)
    start = [fresh(variable) for variable in variables]
    along_points = [rng.normal(size=z.shape) for z in part.points]
    along_variables = [rng.normal(size=v.shape) for v in variables]

    def at(step):
        for variable, old, along in zip(variables, start, along_variables, strict=True):
            variable.assign(old + step * along)
        moved = [z + step * along for z, along in zip(part.points, along_points, strict=True)]
        return np.array(part.scalars(moved))

    above, below = at(1e-6), at(-1e-6)
    at(0.0)
    for i, of_direction in enumerate(gradients):
        along = [along_points[i], *along_variables]
        exact = sum(np.sum(g * v) for g, v in zip(of_direction, along, strict=True))
        numeric = (above[i] - below[i]) / 2e-6
        np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-5)


# As in `test_contract.py`: the kernels of these are those of others, compiled above.
@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in ALL if case not in PARTS or not case.kernel], ids=str
)
def test_others_under_xla_equal_eager(case):
    assert_xla_equals_eager(Image(case))


def test_variables_are_seen_and_shared_by_copies(image):
    case, bijector = image.case, image.made("float32")
    names = [id(variable) for variable in bijector.trainable_variables]
    assert len(set(names)) == len(names)
    assert names or case.covers == ("Squeeze",)
    chain = tfb.Chain([tfb.Invert(tfb.Invert(bijector)), tfb.Scale(2.0)])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), case.input_shape)
    seen = tfd.TransformedDistribution(base, chain).trainable_variables
    assert sorted(id(variable) for variable in seen) == sorted(names)
    copy = bijector.copy()
    assert {id(v) for v in copy.variables} == {id(v) for v in bijector.variables}


def test_context_gives_a_batch_shape_and_slices(part):
    case = part.case
    if not case.context_size:
        assert part.made().experimental_batch_shape() == []
        return
    batch = bound(case, part.made(), (2,))
    assert batch.experimental_batch_shape() == [2]
    x = points(case.input_shape, ())
    y = batch.forward(x)
    assert y.shape == (2, *case.shape)
    assert np.abs(y[0] - y[1]).max() > 1e-4
    np.testing.assert_allclose(batch[1].forward(fresh(x)), y[1], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        batch[1].inverse_log_det_jacobian(fresh(y[1]), len(case.shape)),
        batch.inverse_log_det_jacobian(fresh(y), len(case.shape))[1],
        rtol=1e-10,
    )


@pytest.mark.parametrize("case", PARTS_AND_NETWORKS, ids=str)
def test_extreme_inputs_never_give_nan(case):
    image = shared(case)
    huge = np.array([0.0, 1e-30, 3.0, 1e15, -1e15, 1e30, -1e30], "float32")
    variables = list(image.made("float32").trainable_variables)
    for map_, log_det, event_ndims, shape in image.directions("float32"):
        x = tf.constant(np.random.default_rng(3).choice(huge, size=[4, *shape]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, nats = map_(x), log_det(x, event_ndims)
        gradients = tape.gradient(nats, [x, *variables])
        for result in (y, nats, *gradients):
            assert result is None or not np.isnan(result).any()
