"""The bijector that adapts to data: what it learns, and what it refuses to learn from."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import Standardize

RNG = np.random.default_rng(0)


def test_adapt_sets_mean_and_population_standard_deviation():
    data = RNG.normal([1.0, -5.0], [0.1, 30.0], size=[200, 2])
    bijector = Standardize(2, dtype="float64")
    bijector.adapt(data)
    np.testing.assert_allclose(bijector.mean, data.mean(0), rtol=1e-12)
    np.testing.assert_allclose(bijector.scale, data.std(0), rtol=1e-12)
    u = bijector.inverse(data).numpy()
    np.testing.assert_allclose(u.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(u.std(0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        bijector.inverse_log_det_jacobian(data, 1), np.full(200, -np.log(data.std(0)).sum())
    )
    np.testing.assert_allclose(bijector.forward(tf.identity(u)), data, rtol=1e-10)


def test_adapt_sums_in_double_precision():
    """A float32 sum over 500,000 rows far from zero would lose the digits."""
    data = (1e4 + RNG.normal(size=[500_000, 1])).astype("float32")
    bijector = Standardize(1)
    bijector.adapt(data)
    np.testing.assert_allclose(bijector.mean, data.astype("float64").mean(0), rtol=1e-7)
    np.testing.assert_allclose(bijector.scale, data.astype("float64").std(0), rtol=1e-5)


@pytest.mark.parametrize(
    "data,message",
    [
        (np.full([50, 1], 0.1, "float32"), "constant coordinates"),
        (1e9 + np.arange(50.0)[:, np.newaxis], "constant coordinates"),
        (1e-60 * np.arange(50.0)[:, np.newaxis], "constant coordinates"),
        (1e60 * np.arange(50.0)[:, np.newaxis], "fit in float32"),
        (np.zeros([0, 1]), "at least one row"),
        (np.zeros([]), "at least one row"),
    ],
)
def test_adapt_refuses_what_its_dtype_cannot_tell_apart_or_hold(data, message):
    bijector = Standardize(1)
    with pytest.raises(ValueError, match=f"`data` must .*{message}"):
        bijector.adapt(data)
    np.testing.assert_array_equal(bijector.scale, [1.0])


@pytest.mark.parametrize("shape", [[5, 1], [1], [], [3, 2]])
def test_events_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"acts on events of shape \(3,\)"):
        Standardize(3).forward(np.zeros(shape, "float32"))


def test_adapting_again_replaces():
    bijector = Standardize(1)
    for shift in (0.0, 100.0):
        bijector.adapt(shift + np.array([[-1.0], [1.0]]))
        np.testing.assert_allclose(bijector.mean, [shift])
        np.testing.assert_allclose(bijector.scale, [1.0])


def test_starts_as_the_identity_and_is_not_trained():
    bijector = Standardize(3)
    x = RNG.normal(size=[4, 3]).astype("float32")
    np.testing.assert_array_equal(bijector.forward(x), x)
    assert not bijector.trainable_variables and len(bijector.variables) == 2


@pytest.mark.parametrize("event_shape", [3, (3,), [2, 3], ()])
def test_event_shapes(event_shape):
    shape = (3,) if event_shape == 3 else tuple(event_shape)
    bijector = Standardize(event_shape)
    assert bijector.mean.shape == shape
    data = RNG.normal(size=(20, *shape)).astype("float32")
    bijector.adapt(data)
    np.testing.assert_allclose(bijector.inverse(data).numpy().std(0), np.ones(shape), rtol=1e-5)
    log_det = bijector.forward_log_det_jacobian(data, len(shape))
    np.testing.assert_allclose(log_det, np.full(20, np.log(data.std(0)).sum()), rtol=1e-4)


def test_integer_data_are_taken():
    bijector = Standardize(1)
    bijector.adapt([[1], [2], [3]])
    np.testing.assert_allclose(bijector.scale, [np.sqrt(2.0 / 3.0)], rtol=1e-6)


def test_copies_share_what_was_learned():
    bijector = Standardize(2)
    copy = bijector.copy(name="copy")
    bijector.adapt(7.0 + RNG.normal(size=[30, 2]))
    np.testing.assert_array_equal(copy.mean, bijector.mean)
    assert np.all(copy.mean > 5.0)


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value,error", [(0, ValueError), ((2, -1), ValueError), (2.0, TypeError), ("2", TypeError)]
)
def test_event_shape(value, error):
    with pytest.raises(error, match="`event_shape` must be an integer of at least 1. Received: "):
        Standardize(value)


@pytest.mark.parametrize("name", ["mean", "scale"])
def test_shapes_that_do_not_fit(name):
    variable = tf.Variable(tf.ones([3]), trainable=False)
    with pytest.raises(ValueError, match=rf"`{name}` must have shape \(2,\). Received: {name}.sh"):
        Standardize(2, **{name: variable})


def test_integer_parameters_are_refused():
    with pytest.raises(TypeError, match="Parameters must be floating point. Received: dtype=int32"):
        Standardize(1, mean=tf.Variable([0]), scale=tf.Variable([1]))


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 1), ()])
def test_adapt_to_data_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"shape \[N, 2\], with .* row. Received: data.shape="):
        Standardize(2).adapt(np.ones(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_adapt_to_data_that_are_not_finite(value):
    data = RNG.normal(size=[5, 2])
    data[3, 1] = value
    bijector = Standardize(2)
    with pytest.raises(ValueError, match="`data` must be finite. Received: "):
        bijector.adapt(data)
    np.testing.assert_array_equal(bijector.scale, [1.0, 1.0])


def test_adapt_to_a_constant_coordinate_names_it():
    data = np.array([[1.0, 2.0, 3.0], [4.0, 2.0, 5.0]])
    bijector = Standardize(3)
    with pytest.raises(ValueError, match=r"vary in every coordinate.*coordinates \[\[1\]\]"):
        bijector.adapt(data)
    np.testing.assert_array_equal(bijector.mean, [0.0, 0.0, 0.0])


def test_adapt_to_a_single_row():
    with pytest.raises(ValueError, match="vary in every coordinate"):
        Standardize(2).adapt([[1.0, 2.0]])


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_validate_args_refuses_a_scale_that_is_not_positive(graph):
    scale = tf.Variable([1.0, -1.0], trainable=False)
    bijector = Standardize(2, scale=scale, validate_args=True)
    forward = tf.function(bijector.forward) if graph else bijector.forward
    with pytest.raises(tf.errors.InvalidArgumentError, match="`scale` must be positive."):
        forward(tf.zeros([3, 2]))
    scale.assign([1.0, 2.0])
    np.testing.assert_array_equal(forward(tf.ones([2])), [1.0, 2.0])


def test_events_of_another_size_are_refused():
    for call in (Standardize(3).forward, Standardize(3).inverse):
        with pytest.raises(
            ValueError, match=r"`standardize` acts on .*\(3,\). Received: .*\(4, 2\)"
        ):
            call(tf.zeros([4, 2]))
