"""Networks inside of TFP objects: deep copies, and ready-made models with a context."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfp_flows as tfpf

tfd = tfp.distributions
B, L = tfpf.bijectors, tfpf.layers


def coupling():
    network = L.MLP(2 * 2, (8,), seed=1)
    network.build((None, 2))
    return B.Coupling(network, B.Affine, mask=[True, True, False, False])


def autoregressive():
    network = L.MADE(4, 2, (8,), seed=1)
    network.build((None, 4))
    return B.Autoregressive(network, B.Affine)


def residual():
    network = L.LipschitzMLP(4, (8,), seed=1)
    network.build((None, 4))
    return B.Residual(network)


def act_norm():
    bijector = B.ActNorm(4)
    bijector.forward(tf.constant(np.random.default_rng(1).normal(2.0, 3.0, [50, 4]), tf.float32))
    for v in bijector.trainable_variables:
        v.assign_add(tf.ones_like(v))
    return bijector


def chain():
    return tfp.bijectors.Chain([coupling(), act_norm(), autoregressive()])


@pytest.mark.parametrize("make", [residual, chain])
def test_deep_copy_is_trained_by_the_variables_that_it_lists(make):
    original = make()
    x = tf.constant(np.random.default_rng(0).normal(size=[3, 4]), tf.float32)
    before = original.forward(tf.identity(x))
    copied = copy.deepcopy(original)
    np.testing.assert_array_equal(copied.forward(tf.identity(x)), before)
    assert len(copied.trainable_variables) == len(original.trainable_variables) > 0
    with tf.GradientTape() as tape:
        y = copied.forward(tf.identity(x))
    assert any(g is not None for g in tape.gradient(y, copied.trainable_variables))
    for v in copied.trainable_variables:
        v.assign_add(0.1 * tf.ones_like(v))
    assert np.abs(copied.forward(tf.identity(x)) - before).max() > 1e-3
    np.testing.assert_array_equal(original.forward(tf.identity(x)), before)


# --- Ready-made models of Keras with a context -------------------------------------------------


def two_inputs(names, structure):
    """h = 2 x + sum_j c_j as a functional model, and its two numbers for one coordinate."""
    inputs = {"x": keras.Input((1,), name=names[0]), "context": keras.Input((3,), name=names[1])}
    both = keras.layers.Concatenate()([inputs["x"], inputs["context"]])
    h = keras.layers.Dense(2, kernel_initializer=lambda *_, **__: [[2.0, 2.0]] + [[1.0, 1.0]] * 3)
    return keras.Model(structure(inputs), h(both))


@pytest.mark.parametrize(
    "names,structure",
    [
        ((None, None), lambda i: [i["x"], i["context"]]),
        (("a", "b"), lambda i: [i["x"], i["context"]]),
        (("x", "context"), lambda i: [i["context"], i["x"]]),
        (("x", "context"), lambda i: i),
    ],
)
@pytest.mark.filterwarnings("error::UserWarning")
def test_functional_models_take_the_context_as_their_second_input(names, structure):
    coupling = B.Coupling(two_inputs(names, structure), mask=[True, False], context_size=3)
    x, c = np.float32([[0.1, 0.5], [0.2, -0.3]]), np.float32([[0.1, 0.2, 0.3], [0.0, 0.1, 0.0]])
    y = tfpf.condition(coupling, c).forward(x)
    h = 2 * x[:, 0] + c.sum(axis=1)
    same = B.Affine.new(tf.stack([h, h], axis=-1)).forward(x[:, 1])
    np.testing.assert_allclose(y, np.stack([x[:, 0], same], axis=1), rtol=1e-6)


def test_models_without_a_place_for_the_context_are_refused():
    one = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    message = r"`conditioner` must be .* inputs are x and the context. Received: .* 1 inputs$"
    with pytest.raises(ValueError, match=message):
        B.Coupling(one, mask=[True, False], context_size=3)
    with pytest.raises(ValueError, match=r"inputs are x. Received: .* 2 inputs$"):
        B.Coupling(two_inputs(("x", "context"), dict), mask=[True, False])
    alien = two_inputs(("z", "y"), lambda i: {"z": i["x"], "y": i["context"]})
    with pytest.raises(ValueError, match=r"must name its inputs .* Received: .* inputs 'y', 'z'$"):
        B.Coupling(alien, mask=[True, False], context_size=3)
    same = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"`network` must be .* Received: .* 1 inputs$"):
        B.Residual(same, coefficient=0.5, context_size=3)


# --- Networks of `tf_keras` ------------------------------------------------------------------


def tf_keras_model(num_outputs, *inputs):
    """A functional model of `tf_keras` over inputs of names and sizes."""
    inputs = [tf_keras.Input([size], name=name) for name, size in inputs]
    joined = inputs[0] if len(inputs) == 1 else tf_keras.layers.Concatenate()(inputs)
    return tf_keras.Model(inputs, tf_keras.layers.Dense(num_outputs)(joined))


def test_a_functional_model_of_tf_keras_is_trained_and_not_saved(tmp_path):
    network = tf_keras_model(2, ("a", 1))
    coupling = B.Coupling(network, B.Affine, mask=[True, False])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, coupling))
    model.compile("adam", jit_compile=True)
    before = network.get_weights()
    model.fit(np.random.default_rng(0).normal(size=[32, 2]).astype("float32"), verbose=0)
    assert all(np.any(a != b) for a, b in zip(before, network.get_weights(), strict=True))
    with pytest.raises(ValueError, match="conditioner` cannot be saved.*Received: <tf_keras"):
        model.save(tmp_path / "m.keras")


@pytest.mark.parametrize("inputs", [[("a", 1), ("b", 3)], [("context", 3), ("x", 1)]])
def test_a_functional_model_of_tf_keras_takes_a_context(inputs):
    network = tf_keras_model(2, *inputs)
    coupling = B.Coupling(network, B.Affine, mask=[True, False], context_size=3)
    x, context = tf.constant([[0.3, -1.0]]), tf.constant([[1.0, 2.0, -0.5]])
    parts = [context, x[:, :1]] if inputs[0][0] == "context" else [x[:, :1], context]
    shift, log_scale = tf.unstack(network(parts), axis=-1)
    y = tfpf.condition(coupling, context).forward(x)
    np.testing.assert_allclose(y[:, 1], x[:, 1] * tf.exp(log_scale) + shift, rtol=1e-5)


@pytest.mark.parametrize(("count", "context_size"), [(1, 3), (2, 0)])
def test_a_functional_model_of_tf_keras_with_other_inputs_is_refused(count, context_size):
    network = tf_keras_model(2, *[("a", 1), ("b", 3)][:count])
    with pytest.raises(ValueError, match=f"`conditioner` must.*Received: .*{count} inputs"):
        B.Coupling(network, B.Affine, mask=[True, False], context_size=context_size)
