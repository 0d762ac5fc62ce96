"""Tests of the masked autoregressive network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import MADE


def randomize(layer, seed=0):
    draws = np.random.default_rng(seed)
    for w in layer.trainable_variables:
        w.assign(draws.normal(size=w.shape) / np.sqrt(w.shape[0]))


def event_and_context(made, batch_size=3, seed=1):
    draws = np.random.default_rng(seed)
    x = tf.constant(draws.normal(size=(batch_size, made.event_size)))
    c = tf.constant(draws.normal(size=(batch_size, made.context_size)))
    return x, c if made.context_size else None


def dependence(made):
    """Whether [coordinate i, x_j] and [coordinate i, c] are connected, for random weights.

    `randomize` replaces every entry of every weight, the masked ones too. An output counts as
    connected if any of its P numbers responds to any of the points.
    """
    x, c = event_and_context(made)
    made(x, context=c)
    randomize(made)
    # One gradient of as many copies of each point as there are outputs: a copy for each.
    size = made.event_size * made.params_size
    watched = [tf.repeat(v, size, axis=0) for v in (x, c) if v is not None]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        h = tf.reshape(made(watched[0], context=watched[-1] if c is not None else None), [-1, size])
        one_each = tf.reduce_sum(h * tf.tile(tf.eye(size, dtype=h.dtype), [len(x), 1]))
    by_input = []
    for gradient in tape.gradient(one_each, watched, unconnected_gradients="zero"):
        shape = (-1, made.event_size, made.params_size, gradient.shape[-1])
        by_input.append(np.any(gradient.numpy().reshape(shape) != 0, axis=(0, 2)))
    return by_input[0], None if c is None else by_input[1]


def allowed(order):
    position = np.argsort(order)
    return position[np.newaxis, :] < position[:, np.newaxis]


def round_trip(layer):
    config = keras.saving.serialize_keras_object(layer)
    return keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize(
    ("event_size", "order", "residual", "context_size"),
    [
        (1, None, False, 2),
        (1, None, True, 0),
        (2, "reverse", False, 0),
        (2, "reverse", True, 2),
        (5, None, False, 2),
        (5, "reverse", True, 0),
        (5, "random", False, 0),
        (5, "random", True, 2),
    ],
)
def test_depends_on_all_that_comes_before_and_on_nothing_else(
    event_size, order, residual, context_size
):
    # 13 is no multiple of 5 or 2; tanh, so that no unit is dead.
    made = MADE(
        event_size, 3, (13, 13), "tanh", order, context_size, residual, seed=2, dtype="float64"
    )
    on_x, on_c = dependence(made)
    np.testing.assert_array_equal(on_x, allowed(made.order))
    if context_size:
        assert np.all(on_c)


@pytest.mark.parametrize(
    ("hidden_units", "hidden_degrees"),
    [((), "equal"), ((4,), "equal"), ((5, 11, 5), "equal"), ((40, 40), "random")],
)
@pytest.mark.parametrize("context_size", [0, 2])
def test_complete_with_other_widths_and_degrees(hidden_units, hidden_degrees, context_size):
    hidden_units = tuple(n + bool(context_size) for n in hidden_units)
    made = MADE(
        5,
        2,
        hidden_units,
        "tanh",
        (3, 0, 4, 1, 2),
        context_size,
        hidden_degrees=hidden_degrees,
        seed=0,
        dtype="float64",
    )
    on_x, on_c = dependence(made)
    np.testing.assert_array_equal(on_x, allowed(made.order))
    if context_size:
        assert np.all(on_c)


@pytest.mark.parametrize(
    ("hidden_units", "context_size", "hidden_degrees"),
    [
        ((1,), 0, "equal"),
        ((1,), 2, "random"),
        ((2, 2), 2, "equal"),
        ((3, 1), 0, "equal"),
        ((3, 1), 2, "random"),
        ((2, 7), 2, "equal"),
    ],
)
def test_fewer_units_than_degrees(hidden_units, context_size, hidden_degrees):
    made = MADE(
        5,
        2,
        hidden_units,
        "tanh",
        "reverse",
        context_size,
        hidden_degrees=hidden_degrees,
        seed=0,
        dtype="float64",
    )
    on_x, on_c = dependence(made)
    assert not np.any(on_x & ~allowed(made.order))
    if context_size:
        assert np.all(on_c)
    elif hidden_degrees == "equal":
        assert np.any(on_x)


def test_first_coordinate_is_nonlinear_in_the_context():
    made = MADE(3, 2, (16,), "tanh", context_size=1, dtype="float64")
    c = tf.constant([[-1.0], [0.0], [1.0]], dtype=tf.float64)
    x = tf.zeros([3, 3], tf.float64)
    made(x, context=c)
    randomize(made)
    h = made(x, context=c).numpy()[:, :2]
    assert np.all(np.abs(h[0] - 2 * h[1] + h[2]) > 1e-3)


def test_outputs_are_coordinate_major():
    made = MADE(3, 4, (8,), output_initializer="ones", dtype="float64")
    x, _ = event_and_context(made)
    made(x)
    made.trainable_variables[-1].assign(np.repeat([0.0, 1.0, 2.0], 4))
    moved = x + tf.constant([0.0, 10.0, 0.0], tf.float64)
    change = made(moved) - made(x)
    assert not np.any(change[:, :8]) and np.any(change[:, 8:])


def test_degrees_are_spread_evenly_and_sorted():
    assert [m.tolist() for m in MADE(4, 1, (3, 7)).degrees] == [[1, 2, 3], [1, 1, 1, 2, 2, 3, 3]]
    assert MADE(4, 1, (8,), context_size=1).degrees[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert MADE(1, 1, (3,)).degrees[0].tolist() == [0, 0, 0]
    assert MADE(9, 1, (2,)).degrees[0].tolist() == [3, 6]
    assert MADE(9, 1, (3,), context_size=1).degrees[0].tolist() == [0, 3, 6]
    for units in range(1, 40):
        (degrees,) = MADE(12, 1, (units,), context_size=1).degrees
        counts = np.bincount(degrees, minlength=12)
        assert len(degrees) == units and np.all(np.diff(degrees) >= 0) and degrees[0] == 0
        assert counts.max() - counts.min() <= 1
    random = MADE(12, 1, (30, 30), hidden_degrees="random", seed=0).degrees
    assert all(m[0] == 1 and m[-1] <= 11 and np.all(np.diff(m) >= 0) for m in random)
    assert not np.array_equal(*random)
    first, second = MADE(12, 1, (30, 30), residual=True, hidden_degrees="random").degrees
    np.testing.assert_array_equal(first, second)


def test_order():
    assert MADE(3, 1).order == (0, 1, 2)
    assert MADE(3, 1, order="reverse").order == (2, 1, 0)
    assert MADE(3, 1, order=np.array([1, 2, 0])).order == (1, 2, 0)
    drawn = MADE(20, 1, order="random", seed=1).order
    assert sorted(drawn) == list(range(20)) and all(type(j) is int for j in drawn)
    assert drawn == MADE(20, 1, order="random", seed=1).order
    assert drawn != MADE(20, 1, order="random", seed=2).order


def test_masked_entries_get_no_gradient_and_others_do():
    made = MADE(4, 2, (9,), "tanh", dtype="float64")
    x, _ = event_and_context(made)
    made(x)
    randomize(made)
    kernels = [made._dense[0].kernel.value, made._output.kernel.value]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made(x) ** 2)
    degrees = made.degrees[0]
    masks = [
        np.arange(1, 5)[:, np.newaxis] <= degrees,
        degrees[:, np.newaxis] <= np.repeat(np.arange(4), 2),
    ]
    for gradient, mask in zip(tape.gradient(loss, kernels), masks, strict=True):
        np.testing.assert_array_equal(gradient.numpy() != 0, mask)


@pytest.mark.parametrize("residual", [False, True])
def test_every_weight_after_the_first_layer_learns_for_one_coordinate(residual):
    def last_kernel_and_gradient():
        made = MADE(1, params_size=3, hidden_units=(16, 16), residual=residual, seed=0)
        with tf.GradientTape() as tape:
            h = made(tf.zeros([1, 1]))
        assert not np.any(h)
        kernel = made.masked_layers()[-1].kernel
        assert kernel.shape == [16, 3]
        return made.get_weights(), tape.gradient(h, kernel).numpy()

    weights, gradient = last_kernel_and_gradient()
    assert np.mean(gradient != 0) > 0.25  # the units that `relu` lets through
    for one, other in zip(weights, last_kernel_and_gradient()[0], strict=True):
        np.testing.assert_array_equal(one, other)


def test_starts_at_zero():
    made = MADE(4, 2, (9, 9), residual=True, context_size=2)
    x, c = event_and_context(made)
    np.testing.assert_array_equal(made(x, context=c), np.zeros((3, 8)))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("context_size", [0, 2])
def test_serialisation_gives_a_built_layer(residual, context_size):
    made = MADE(
        5,
        2,
        (9, 9),
        "elu",
        "random",
        context_size,
        residual,
        dropout=0.5,
        hidden_degrees="random",
        kernel_regularizer="l1",
        dtype="float64",
    )
    x, c = event_and_context(made)
    made(x, context=c)
    again = round_trip(made)
    assert again.built and again.order == made.order and type(again.order) is tuple
    assert all(map(np.array_equal, again.degrees, made.degrees))
    assert again.get_config() == made.get_config()
    paths = [[v.path for v in layer.trainable_variables] for layer in (again, made)]
    assert paths[0] == paths[1]
    randomize(made)
    again.set_weights(made.get_weights())
    np.testing.assert_array_equal(again(x, context=c), made(x, context=c))


@pytest.mark.parametrize("residual", [False, True])
def test_weights_survive_a_saved_model(tmp_path, residual):
    x, c = keras.Input((5,)), keras.Input((2,))
    made = MADE(5, 2, (9, 9), context_size=2, residual=residual, dropout=0.5, order="random")
    model = keras.Model([x, c], made(x, context=c))
    randomize(model)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    inputs = event_and_context(made)
    np.testing.assert_array_equal(again(list(inputs)), model(list(inputs)))


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
@pytest.mark.parametrize("residual", [False, True])
def test_dtype_policies(dtype, residual):
    made = MADE(4, 2, (9,), context_size=2, residual=residual, dropout=0.5, dtype=dtype)
    x, c = event_and_context(made)
    policy = keras.DTypePolicy(dtype)
    assert made(x, context=c, training=True).dtype == policy.compute_dtype
    assert {v.dtype for v in made.trainable_variables} == {policy.variable_dtype}


@pytest.mark.parametrize("residual", [False, True])
def test_dropout_only_in_training_and_seed(residual):
    def network(seed):
        made = MADE(4, 2, (32, 32), residual=residual, dropout=0.5, seed=seed)
        made(tf.ones([2, 4]))
        randomize(made)
        return made

    x, made = tf.ones([2, 4]), network(3)
    np.testing.assert_array_equal(made(x), made(x, training=False))
    first = made(x, training=True)
    assert np.any(first != made(x))
    np.testing.assert_array_equal(network(3)(x, training=True), first)
    assert np.any(network(4)(x, training=True) != first)


def test_seed_of_the_kernels():
    def kernels(seed):
        made = MADE(4, 2, (8, 8, 8), seed=seed)
        made.build((None, 4))
        return made.get_weights()[::2]

    first, same, other = kernels(3), kernels(3), kernels(4)
    assert all(map(np.array_equal, first, same)) and not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], first[2])


def test_built_inside_a_function():
    made = MADE(4, 2, (9,), dropout=0.5)
    for training in (True, False):
        assert tf.function(made)(tf.ones([2, 4]), training=training).shape == (2, 8)
    assert made(tf.ones([3, 4])).shape == (3, 8)


def test_jit_equals_eager_with_gradient():
    """Of blocks with a context; the contract compiles the others."""
    made = MADE(4, 2, (9, 9), "tanh", "reverse", 2, True, dtype="float64")
    args = event_and_context(made)
    made(args[0], context=args[1])
    randomize(made)

    def value_and_gradients(x, c):
        with tf.GradientTape() as tape:
            tape.watch([x, c])
            h = made(x, context=c)
        return [h, *tape.gradient(h, [x, c, *[v.value for v in made.trainable_variables]])]

    compiled = tf.function(value_and_gradients, jit_compile=True, autograph=False)(*args)
    for a, b in zip(compiled, value_and_gradients(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("error", "kwargs"),
    [
        (ValueError, {"event_size": 0}),
        (TypeError, {"event_size": 2.0}),
        (ValueError, {"params_size": 0}),
        (TypeError, {"residual": "yes"}),
        (ValueError, {"order": "sorted"}),
        (ValueError, {"order": 3}),
        (ValueError, {"order": (0, 1)}),
        (ValueError, {"order": (0, 1, 1)}),
        (ValueError, {"order": (1, 2, 3)}),
        (TypeError, {"order": (0.0, 1.0, 2.0)}),
        (ValueError, {"hidden_degrees": "even"}),
        (ValueError, {"hidden_degrees": [[1, 2]]}),
        (ValueError, {"hidden_degrees": [[1, 2], [2, 1]]}),
        (ValueError, {"hidden_degrees": [[1, 2], [2, 3]]}),
        (ValueError, {"hidden_degrees": [[0, 2], [1, 2]]}),
        (ValueError, {"hidden_degrees": [[1, 2], [2, 2]], "residual": True}),
        (ValueError, {"hidden_units": (4, 5), "residual": True}),
        (ValueError, {"hidden_units": (0,)}),
        (ValueError, {"dropout": 2}),
        (ValueError, {"activation": "softmax"}),
        (ValueError, {"activation": "glu"}),
        (ValueError, {"activation": lambda h: h - tf.reduce_mean(h, axis=-1, keepdims=True)}),
    ],
)
def test_constructor_errors(error, kwargs):
    (name, _), *_ = kwargs.items()
    with pytest.raises(error, match=rf"`{name}` .*Received: {name}="):
        MADE(**{"event_size": 3, "params_size": 2, "hidden_units": (2, 2), **kwargs})


@pytest.mark.parametrize("dtype", ["float64", "float32", "mixed_bfloat16", "bfloat16"])
def test_takes_activations_of_the_user(dtype):
    made = MADE(3, 2, (8,), activation=lambda h: tf.sin(h) + h, dtype=dtype)
    assert made(tf.ones([5, 3])).shape == (5, 6)


def test_shape_errors_name_layer_and_sizes():
    made = MADE(3, 2, name="net")
    with pytest.raises(
        ValueError, match=r"MADE 'net' .*size 3, not 2. Received: x.shape=\(4, 2\)$"
    ):
        made(tf.ones([4, 2]))
    with pytest.raises(ValueError, match=r"MADE 'net' .*size 0, not 1 .*Received: \S+=\(4, 1\)$"):
        made(tf.ones([4, 3]), context=tf.ones([4, 1]))
