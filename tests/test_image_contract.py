"""What every registered bijector of images owes: `test_contract.py` for events of three axes.

And of two: it runs over series in time, too.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from audio_cases import CASES as AUDIO_CASES
from cases import each_direction
from image_cases import CASES, made, points

tfb = tfp.bijectors
tfd = tfp.distributions

each_case = pytest.mark.parametrize("case", [*CASES, *AUDIO_CASES], ids=str)


def fresh(x):
    return tf.identity(x)


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


def directions(case, bijector):
    """The two ways, `(map, log-det, event axes of the input, its shape)`, base to image first."""
    return (
        (
            bijector.forward,
            bijector.forward_log_det_jacobian,
            len(case.input_shape),
            case.input_shape,
        ),
        (bijector.inverse, bijector.inverse_log_det_jacobian, len(case.shape), case.shape),
    )


@each_case
def test_shapes(case):
    bijector = made(case, "float32")
    assert bijector.forward_min_event_ndims == len(case.input_shape)
    assert bijector.inverse_min_event_ndims == len(case.shape)
    for shape in (bijector.forward_event_shape, bijector.forward_event_shape_tensor):
        assert tuple(shape(case.input_shape)) == case.shape
    for shape in (bijector.inverse_event_shape, bijector.inverse_event_shape_tensor):
        assert tuple(shape(case.shape)) == case.input_shape
    for batch in ((), (1, 2)):
        x = points(case.input_shape, batch, "float32")
        y = bijector.forward(x)
        assert y.shape == (*batch, *case.shape) and y.dtype == tf.float32
        back = bijector.inverse(fresh(y))
        assert back.shape == x.shape
        for (_, log_det, event_ndims, _), z in zip(directions(case, bijector), (x, y), strict=True):
            assert log_det(fresh(z), event_ndims).shape == batch


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(case, dtype):
    bijector = made(case, dtype, scale=0.1)
    tolerance = getattr(case, dtype)
    x = points(case.input_shape, (20,), dtype)
    y = bijector.forward(x)
    np.testing.assert_allclose(bijector.inverse(fresh(y)), x, rtol=tolerance, atol=tolerance)
    image = points(case.shape, (20,), dtype)
    x = bijector.inverse(image)
    np.testing.assert_allclose(bijector.forward(fresh(x)), image, rtol=tolerance, atol=tolerance)


@each_case
def test_log_det_is_that_of_the_jacobian_and_opposite(case):
    bijector = made(case)
    z = points(case.input_shape, ())
    expected = 0.0
    for map_, log_det, event_ndims, _ in directions(case, bijector):
        last, (sign, expected) = expected, np.linalg.slogdet(jacobian(map_, z))
        assert abs(sign) == 1.0
        np.testing.assert_allclose(log_det(fresh(z), event_ndims), expected, atol=1e-8)
        z = map_(z)
    np.testing.assert_allclose(expected, -last, atol=1e-8)


@pytest.mark.parametrize(("case", "direction"), each_direction([*CASES, *AUDIO_CASES]))
def test_xla_equals_eager(case, direction):
    bijector = made(case)
    variables = list(bijector.trainable_variables)
    map_, log_det, event_ndims, shape = directions(case, bijector)[direction == "inverse"]

    def value_and_gradients(z):
        z = fresh(z)
        with tf.GradientTape() as tape:
            tape.watch(z)
            value, nats = map_(z), log_det(z, event_ndims)
            scalar = tf.reduce_sum(tf.asinh(value)) + tf.reduce_sum(nats)
        return value, nats, tape.gradient(scalar, [z, *variables])

    z = points(shape)
    compiled = tf.function(value_and_gradients, jit_compile=True, autograph=False)(z)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8),
        compiled,
        value_and_gradients(z),
    )


@each_case
def test_gradients_are_those_of_finite_differences(case):
    """Along one random direction of the input and every variable together."""
    bijector = made(case)
    rng = np.random.default_rng(2)
    variables = list(bijector.trainable_variables)
    for map_, log_det, event_ndims, shape in directions(case, bijector):
        z = points(shape, (2,))

        def scalar(z, map_=map_, log_det=log_det, event_ndims=event_ndims):
            z = fresh(z)
            return tf.reduce_sum(tf.asinh(map_(z))) + tf.reduce_sum(log_det(z, event_ndims))

        with tf.GradientTape() as tape:
            tape.watch(z)
            value = scalar(z)
        gradients = tape.gradient(value, [z, *variables])
        along = [rng.normal(size=t.shape) for t in (z, *variables)]
        start = [fresh(v) for v in variables]

        def at(step, z=z, along=along, start=start):
            for variable, old, direction in zip(variables, start, along[1:], strict=True):
                variable.assign(old + step * direction)
            return scalar(z + step * along[0]).numpy()

        numeric = (at(1e-6) - at(-1e-6)) / 2e-6
        at(0.0)
        exact = sum(np.sum(g * v) for g, v in zip(gradients, along, strict=True))
        np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-5)


@each_case
def test_variables_are_seen_and_shared_by_copies(case):
    bijector = case.make("float32")
    names = [id(variable) for variable in bijector.trainable_variables]
    assert len(set(names)) == len(names)
    chain = tfb.Chain([tfb.Invert(tfb.Invert(bijector)), tfb.Scale(2.0)])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), case.input_shape)
    seen = tfd.TransformedDistribution(base, chain).trainable_variables
    assert sorted(id(variable) for variable in seen) == sorted(names)
    copy = bijector.copy()
    assert {id(v) for v in copy.variables} == {id(v) for v in bijector.variables}


@each_case
def test_context_gives_a_batch_shape_and_slices(case):
    if not case.context_size:
        assert made(case).experimental_batch_shape() == []
        return
    batch = made(case, context_batch=(2,))
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


@each_case
def test_extreme_inputs_never_give_nan(case):
    bijector = made(case, "float32")
    huge = np.array([0.0, 1e-30, 3.0, 1e15, -1e15, 1e30, -1e30], "float32")
    variables = list(bijector.trainable_variables)
    for map_, log_det, event_ndims, shape in directions(case, bijector):
        x = tf.constant(np.random.default_rng(3).choice(huge, size=[4, *shape]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, nats = map_(x), log_det(x, event_ndims)
        gradients = tape.gradient(nats, [x, *variables])
        for result in (y, nats, *gradients):
            assert result is None or not np.isnan(result).any()
