"""The layer of masked convolutions: its start, its context, what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from image_cases import perturb_image, points

from tfp_flows.layers import MaskedConvNet

SHAPE = (4, 5, 2)


def made(dtype="float64", context_size=0, **options):
    options = {"hidden_units": (3, 4), "seed": 1, **options}
    network = MaskedConvNet(context_size=context_size, dtype=dtype, **options)
    network.build((None, *SHAPE), (None, context_size) if context_size else None)
    return network


def test_starts_close_to_the_identity_with_units_that_differ():
    network = made()
    x = points(SHAPE, (50,))
    assert np.abs(network(x) - x).max() < 0.1
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(x)))
    for weight, gradient in zip(
        network.trainable_variables,
        tape.gradient(loss, [v.value for v in network.trainable_variables]),
        strict=True,
    ):
        if "bias" in weight.path and weight.shape != (2,):
            assert len(np.unique(np.round(gradient, 12))) == weight.shape[0]


def test_stays_triangular_whatever_the_weights_are_set_to():
    network = made()
    for variable in network.trainable_variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    x = tf.tile(points(SHAPE, (1,)), [40, 1, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        one_each = tf.reduce_sum(tf.linalg.diag_part(tf.reshape(network(x), [40, 40])))
    matrix = np.reshape(tape.gradient(one_each, x), [40, 40])
    np.testing.assert_array_equal(np.triu(matrix, 1), 0.0)
    assert (np.diag(matrix) > 0.0).all() and (matrix != 0.0).sum() > 200


def test_context_is_seen_row_by_row():
    network = made(context_size=3)
    perturb_image(network.variables, scale=1.0)
    x, context = points(SHAPE, (2,)), tf.constant(np.random.default_rng(0).normal(size=[2, 3]))
    with tf.GradientTape() as tape:
        tape.watch(context)
        y = network(x, context=context)
    assert (np.abs(tape.gradient(y, context)) > 1e-3).all()
    np.testing.assert_allclose(network(x[1:], context=context[1:]), y[1:], rtol=1e-10)


def test_precision_is_that_of_the_variables():
    network = made("mixed_bfloat16")
    assert network(points(SHAPE, (2,), "float32")).dtype == tf.float32


def test_seed_decides_the_start():
    def weights(seed):
        return np.concatenate([np.ravel(v) for v in made(seed=seed).variables])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert (weights(1) != weights(2)).any()


def test_config_makes_it_again(tmp_path):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, made("float32", kernel_size=1)(inputs))
    model.save(tmp_path / "m.keras")
    x = points(SHAPE, (2,), "float32")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(x), model(x))


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"hidden_units": ()}, ValueError, "hidden_units"),
        ({"hidden_units": 3}, TypeError, "hidden_units"),
        ({"hidden_units": (3, 0)}, ValueError, "hidden_units"),
        ({"kernel_size": 4}, ValueError, "kernel_size"),
        ({"kernel_size": 2.5}, TypeError, "kernel_size"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"seed": -1}, ValueError, "seed"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(change, error, named):
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        MaskedConvNet(**change)


def test_bad_shapes_are_named():
    network = made()
    with pytest.raises(ValueError, match=r"`x` of shape \[N, H, W, C\] with \(4, 5, 2\).*Received"):
        network(tf.zeros([1, 5, 4, 2]))
    with pytest.raises(ValueError, match="known sizes.*Received: "):
        MaskedConvNet().build((None, None, 4, 1))
    with pytest.raises(ValueError, match=r"takes no `context`. Received: .*\(1, 3\)"):
        network(tf.zeros([1, *SHAPE]), context=tf.zeros([1, 3]))
    with pytest.raises(ValueError, match=r"takes a `context` of shape \[N, 3\]. Received: .*None"):
        made(context_size=3)(tf.zeros([1, *SHAPE]))
