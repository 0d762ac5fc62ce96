"""Tests of the multilayer perceptron."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import MADE, MLP, ResidualMLP

X = np.linspace(-2, 2, 12).reshape(4, 3).astype("float32")
C = np.linspace(1, -1, 8).reshape(4, 2).astype("float32")


def randomize(layer, seed=0):
    draws = np.random.default_rng(seed)
    for w in layer.trainable_variables:
        w.assign(draws.normal(size=w.shape) / np.sqrt(w.shape[0]))


def round_trip(layer):
    config = keras.saving.serialize_keras_object(layer)
    return keras.saving.deserialize_keras_object(config)


def test_value_is_the_formula():
    mlp = MLP(4, (5, 6), activation="tanh", context_size=2)
    mlp(X, context=C)
    randomize(mlp)
    w1, b1, w2, b2, w3, b3 = mlp.get_weights()
    expected = np.tanh(np.tanh(np.concatenate([X, C], -1) @ w1 + b1) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(mlp(X, context=C), expected, rtol=1e-5, atol=1e-6)


def test_no_hidden_layer_is_linear():
    mlp = MLP(4, ())
    mlp(X)
    randomize(mlp)
    kernel, bias = mlp.get_weights()
    np.testing.assert_allclose(mlp(X), X @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_starts_at_zero_and_learns_from_there():
    mlp = MLP(4, (8,))
    with tf.GradientTape() as tape:
        h = mlp(X)
        loss = tf.reduce_sum((h - 1.0) ** 2)
    np.testing.assert_array_equal(h, np.zeros((4, 4)))
    output_kernel, output_bias = [v.value for v in mlp.trainable_variables[-2:]]
    assert all(np.any(g != 0) for g in tape.gradient(loss, [output_kernel, output_bias]))
    assert np.any(MLP(4, (8,), output_initializer="ones", seed=0)(X) != 0)


@pytest.mark.parametrize("batch_shape", [(), (5,), (2, 5), (2, 1, 5), (0,)])
def test_any_batch_shape(batch_shape):
    mlp = MLP(4, (8,), context_size=2)
    x = np.random.default_rng(0).normal(size=(*batch_shape, 3)).astype("float32")
    c = np.random.default_rng(1).normal(size=(*batch_shape, 2)).astype("float32")
    mlp(X, context=C)
    randomize(mlp)
    h = mlp(x, context=c)
    assert h.shape == (*batch_shape, 4)
    flat = mlp(x.reshape(-1, 3), context=c.reshape(-1, 2))
    np.testing.assert_allclose(tf.reshape(h, [-1, 4]), flat, rtol=1e-5, atol=1e-6)


def test_unknown_batch_shape_keeps_the_last_dimension_static():
    mlp = MLP(4, (8,))
    traced = tf.function(mlp).get_concrete_function(tf.TensorSpec([None, 7, 3]))
    assert traced.output_shapes.as_list() == [None, 7, 4]


def test_symbolic_call():
    h = MLP(4, (8,), context_size=2)(keras.Input((3,)), context=keras.Input((2,)))
    assert h.shape == (None, 4)


@pytest.mark.parametrize("context_size", [0, 2])
def test_serialisation_gives_a_built_layer(context_size):
    mlp = MLP(
        4,
        [8, 7],
        activation=keras.activations.gelu,
        context_size=context_size,
        dropout=0.25,
        layer_norm=True,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.3),
        output_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.125),
        seed=3,
        dtype="float64",
        name="net",
    )
    c = C if context_size else None
    mlp(X, context=c)
    again = round_trip(mlp)
    assert again.built
    assert again.get_config() == mlp.get_config()
    paths = [[v.path for v in layer.trainable_variables] for layer in (again, mlp)]
    assert paths[0] == paths[1]
    randomize(mlp)
    again.set_weights(mlp.get_weights())
    np.testing.assert_array_equal(again(X, context=c), mlp(X, context=c))
    assert float(sum(again.losses)) == float(sum(mlp.losses)) > 0


def test_unbuilt_layer_serialises_unbuilt():
    assert not round_trip(MLP(4)).built


def test_weights_survive_a_saved_model(tmp_path):
    x = keras.Input((3,))
    model = keras.Model(x, MLP(4, (8, 8), dropout=0.5, layer_norm=True)(x))
    randomize(model)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(X), model(X))


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16", "float16"])
def test_dtype_policies(dtype):
    mlp = MLP(4, (8,), context_size=2, dropout=0.5, layer_norm=True, dtype=dtype)
    policy = keras.DTypePolicy(dtype)
    h = mlp(X, context=C, training=True)
    assert h.dtype == policy.compute_dtype
    assert {v.dtype for v in mlp.trainable_variables} == {policy.variable_dtype}


def test_dropout_only_in_training():
    mlp = MLP(4, (64,), dropout=0.5, output_initializer="ones", seed=0)
    np.testing.assert_array_equal(mlp(X), mlp(X, training=False))
    first, second = mlp(X, training=True), mlp(X, training=True)
    assert np.any(first != mlp(X)) and np.any(first != second)


@pytest.mark.parametrize("layer", [MLP, ResidualMLP, MADE])
def test_training_mode_comes_from_the_model_around(layer):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            sizes = (3, 2) if layer is MADE else (4,)
            self.net = layer(*sizes, (64,), dropout=0.5, output_initializer="ones", seed=0)

        def call(self, x):
            return self.net(x)

    model = Model()
    np.testing.assert_array_equal(model(X), model(X))
    assert np.any(model(X, training=True) != model(X))


def test_dropout_rate_and_scale():
    mlp = MLP(1, (1000,), dropout=0.2, activation="linear", seed=0)
    mlp(X)
    for w, value in zip(mlp.trainable_variables, [0.0, 1.0, 1.0, 0.0], strict=True):
        w.assign(tf.fill(w.shape, value))
    kept = mlp(X, training=True) / 1250.0  # the mean of 1000 independent draws
    np.testing.assert_allclose(kept, np.full((4, 1), 0.8), atol=0.06)


def test_dropout_is_the_same_under_jit():
    outputs = []
    for jit_compile in (False, True):
        mlp = MLP(4, (64,), dropout=0.5, output_initializer="ones", seed=0)
        mlp(X)
        outputs.append(tf.function(mlp, jit_compile=jit_compile, autograph=False)(X, training=True))
    np.testing.assert_allclose(*outputs, rtol=1e-5)


def test_seed():
    def weights_and_masks(seed):
        mlp = MLP(4, (8, 8, 8), dropout=0.5, output_initializer="glorot_normal", seed=seed)
        h = mlp(X, training=True)
        return [*mlp.get_weights(), h.numpy()]

    a, b, c = weights_and_masks(1), weights_and_masks(1), weights_and_masks(2)
    assert all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))
    assert not np.array_equal(a[0], c[0]) and not np.array_equal(a[-1], c[-1])
    assert not np.array_equal(a[2], a[4])  # two kernels of one shape


def test_one_initializer_gives_different_kernels():
    for initializer_seed in (None, 5):
        initializer = keras.initializers.HeNormal(seed=initializer_seed)
        mlp = MLP(4, (3, 3), kernel_initializer=initializer)
        mlp(X)
        first, _, second = mlp.get_weights()[:3]
        assert not np.array_equal(first, second)


def test_trainable_flag_and_regulariser():
    mlp = MLP(4, (8,), kernel_regularizer="l2")
    mlp(X)
    assert len(mlp.trainable_variables) == 4 and len(mlp.losses) == 2
    mlp.trainable = False
    assert not mlp.trainable_variables


def test_jit_equals_eager_with_gradient():
    mlp = MLP(4, (8,), context_size=2, layer_norm=True, activation="gelu")
    mlp(X, context=C)
    randomize(mlp)

    def value_and_gradients(x, c):
        with tf.GradientTape() as tape:
            tape.watch([x, c])
            h = mlp(x, context=c)
        return [h, *tape.gradient(h, [x, c, *[v.value for v in mlp.trainable_variables]])]

    args = tf.constant(X), tf.constant(C)
    compiled = tf.function(value_and_gradients, jit_compile=True, autograph=False)(*args)
    for a, b in zip(compiled, value_and_gradients(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_shape_errors_name_layer_and_sizes():
    plain, conditional = MLP(4, name="plain"), MLP(4, context_size=2, name="conditional")
    for _ in range(2):  # unbuilt, then built
        with pytest.raises(
            ValueError, match=r"'plain' .*size 0, not 2 .*: context.shape=\(4, 2\)$"
        ):
            plain(X, context=C)
        with pytest.raises(ValueError, match=r"'conditional' .*size 2, not 3 .*: \S+=\(4, 3\)$"):
            conditional(X, context=X)
        with pytest.raises(ValueError, match=r"'conditional' .*size 2, not 0 .*: context=None$"):
            conditional(X)
        plain(X), conditional(X, context=C)
    with pytest.raises(ValueError, match=r"'plain' .*size 3, not 2. Received: x.shape=\(4, 2\)$"):
        plain(C)
    with pytest.raises(ValueError, match=r"equal batch dimensions. Received: \S+=\(.*\)$"):
        conditional(X, context=C[:1])


@pytest.mark.parametrize(
    ("error", "kwargs"),
    [
        (ValueError, {"output_size": 0}),
        (TypeError, {"output_size": 4.0}),
        (TypeError, {"output_size": True}),
        (TypeError, {"hidden_units": 128}),
        (ValueError, {"hidden_units": (8, 0)}),
        (TypeError, {"hidden_units": (8.5,)}),
        (ValueError, {"context_size": -1}),
        (ValueError, {"dropout": 1.0}),
        (ValueError, {"dropout": -0.1}),
        (ValueError, {"dropout": float("nan")}),
        (TypeError, {"dropout": "0.1"}),
        (TypeError, {"layer_norm": 1}),
        (ValueError, {"seed": -1}),
        (TypeError, {"seed": 0.5}),
    ],
)
def test_constructor_errors(error, kwargs):
    (name, _), *_ = kwargs.items()
    with pytest.raises(error, match=rf"`{name}` .*Received: {name}="):
        MLP(**{"output_size": 4, **kwargs})


@pytest.mark.parametrize("x", [np.array([[1, 0, 2]]), np.array([[True, False, True]])])
def test_whole_numbers_count_as_floats(x):
    mlp = MLP(2, (4,), seed=0, output_initializer="he_normal")
    np.testing.assert_array_equal(mlp(x), mlp(x.astype("float32")))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_infinity_saturates(jit_compile):
    """It leaves the other coordinates of its row as they are, and gradients finite."""
    mlp = MLP(2, (4,), "tanh", seed=0, output_initializer="he_normal")
    mlp.build((None, 3))

    @tf.function(jit_compile=jit_compile, autograph=False)
    def value_and_gradient(x):
        with tf.GradientTape() as tape:
            h = mlp(x)
        return h, tape.gradient(h, mlp.trainable_variables[1].value)

    far = value_and_gradient(tf.constant([[np.inf, 1.0, -np.inf]], tf.float32))
    near = value_and_gradient(tf.constant([[1e6, 1.0, -1e6]], tf.float32))
    for found, expected in zip(far, near, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
