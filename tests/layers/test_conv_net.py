"""The convolutional conditioner: what it starts as, its contexts, its seeds, what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from image_cases import conv_net, perturb_image, points

from tfp_flows.layers import ConvNet, GatedConvNet

SHAPE = (4, 6, 2)
each_class = pytest.mark.parametrize("cls", [ConvNet, GatedConvNet])


@each_class
def test_starts_at_zero(cls):
    network = conv_net(SHAPE, 5, "float32", cls)
    assert network(points(SHAPE, (3,), "float32")).shape == (3, 4, 6, 5)
    np.testing.assert_array_equal(network(points(SHAPE, (3,), "float32")), 0.0)


def test_sees_its_neighbourhood_and_keeps_the_image_size():
    """Of 1 + 2 + 1 kernels of 3 x 3 the numbers in a pixel depend on 4 pixels to each side."""
    network = conv_net((11, 11, 1), 1, "float64")
    perturb_image(network.variables, scale=1.0)
    x = points((11, 11, 1), (1,))
    with tf.GradientTape() as tape:
        tape.watch(x)
        center = network(x)[0, 5, 5, 0]
    depends = tape.gradient(center, x)[0, ..., 0].numpy() != 0
    i, j = np.indices([11, 11])
    np.testing.assert_array_equal(depends, (abs(i - 5) <= 4) & (abs(j - 5) <= 4))


@each_class
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_is_for_training(cls, dropout):
    network = conv_net(SHAPE, 5, "float32", cls, dropout=dropout)
    perturb_image(network.variables, scale=1.0)
    x = points(SHAPE, (3,), "float32")
    np.testing.assert_array_equal(network(x), network(x, training=False))
    assert (np.abs(network(x) - network(x, training=True)).max() > 0.01) == (dropout > 0)


@each_class
def test_a_vector_is_seen_row_by_row(cls):
    network = conv_net(SHAPE, 5, "float64", cls, context_size=3)
    perturb_image(network.variables, scale=1.0)
    x = points(SHAPE, (2,))
    context = tf.constant(np.random.default_rng(0).normal(size=[2, 3]))
    with tf.GradientTape() as tape:
        tape.watch(context)
        h = network(x, context=context)
    assert (np.abs(tape.gradient(h, context)) > 1e-3).all()
    np.testing.assert_allclose(network(x[1:], context=context[1:]), h[1:], rtol=1e-10)


@pytest.mark.parametrize("context_shape", [(4, 6, 1), (8, 12, 3)], ids=str)
def test_an_image_is_seen_where_it_is(context_shape):
    network = conv_net(SHAPE, 1, "float64", context_shape=context_shape)
    assert network.context_size == np.prod(context_shape)
    perturb_image(network.variables, scale=1.0)
    context = points(context_shape, (1,))
    flat = tf.reshape(context, [1, -1])
    with tf.GradientTape() as tape:
        tape.watch(flat)
        corner = network(points(SHAPE, (1,)), context=flat)[0, 0, 0, 0]
    depends = tf.reshape(tape.gradient(corner, flat), context_shape).numpy().any(axis=-1)
    factor = context_shape[0] // 4
    i, j = np.indices(context_shape[:2])
    np.testing.assert_array_equal(depends, (i // factor <= 4) & (j // factor <= 4))


@each_class
def test_seeds(cls):
    def weights(seed):
        network = conv_net(SHAPE, 5, "float32", cls, hidden_channels=(4, 4), seed=seed)
        return [v.numpy() for v in network.variables]

    for a, b in zip(weights(1), weights(1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(weights(1)[0] - weights(2)[0]).max() > 0.01
    # Kernels of one shape do not start alike.
    shape = (3, 3, 4, 4) if cls is ConvNet else (3, 3, 8, 4)
    kernels = [kernel for kernel in weights(1) if kernel.shape == shape]
    assert len(kernels) == (4 if cls is ConvNet else 2)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(kernels, kernels[1:], strict=False))


@each_class
@pytest.mark.parametrize(
    "options",
    [{}, {"context_size": 3}, {"context_shape": (8, 12, 1)}, {"dropout": 0.5, "kernel_size": 5}],
    ids=str,
)
def test_is_made_again_from_its_configuration(cls, options):
    network = conv_net(SHAPE, 5, "float64", cls, **options)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert again.get_config() == network.get_config()
    assert [v.shape for v in again.variables] == [v.shape for v in network.variables]
    assert again.variable_dtype == "float64"


# --- Attention -------------------------------------------------------------------------------


def gated(**options):
    network = conv_net((5, 4, 1), 3, "float64", GatedConvNet, **options)
    perturb_image(network.variables, scale=1.0)
    return network


@pytest.mark.parametrize("num_heads", [0, 2])
def test_attention_sees_the_whole_image(num_heads):
    network = conv_net((13, 13, 1), 1, "float64", GatedConvNet, num_heads=num_heads)
    perturb_image(network.variables, scale=1.0)
    x = points((13, 13, 1), (1,))
    with tf.GradientTape() as tape:
        tape.watch(x)
        corner = network(x)[0, 0, 0, 0]
    depends = tape.gradient(corner, x).numpy() != 0
    assert depends.all() if num_heads else depends.sum() == 4**2


def test_attention_is_that_of_its_equation():
    network = gated(num_heads=2)
    qkv = np.random.default_rng(1).normal(size=[2, 5, 4, 24])
    result = network._attention(tf.constant(qkv)).numpy().reshape(2, 20, 2, 4)
    q, k, v = np.moveaxis(qkv.reshape(2, 20, 3, 2, 4), 2, 0)
    for row in range(2):
        for head in range(2):
            scores = q[row, :, head] @ k[row, :, head].T / 2.0
            weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            np.testing.assert_allclose(result[row, :, head], weights @ v[row, :, head], rtol=1e-10)


def test_embeddings_tell_pixels_apart():
    """Without them attention to a uniform image would be uniform, too."""
    network = gated(num_heads=2, kernel_size=1)
    h = network(tf.ones([1, 5, 4, 1], tf.float64))[0, ..., 0].numpy()
    assert len(np.unique(h.round(9))) == 20


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="`num_heads` must divide .*Received: num_heads=3"):
        GatedConvNet(2, hidden_channels=(8,), num_heads=3)


def test_embeddings_of_pixels_start_near_zero():
    layer = GatedConvNet(2, hidden_channels=(32,), num_heads=2, seed=1)
    layer.build((None, 16, 16, 3))
    (embedding,) = (v.numpy() for v in layer.variables if "embedding" in v.path)
    np.testing.assert_allclose([embedding.mean(), embedding.std()], [0.0, 0.01], atol=3e-4)


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("output_channels", 0, ValueError),
        ("hidden_channels", (4, 8), ValueError),
        ("hidden_channels", (), ValueError),
        ("hidden_channels", 8, TypeError),
        ("kernel_size", 2, ValueError),
        ("kernel_size", 3.0, TypeError),
        ("context_size", -1, ValueError),
        ("context_shape", (4, 4), ValueError),
        ("dropout", 1.0, ValueError),
        ("dropout", "much", TypeError),
        ("seed", -1, ValueError),
    ],
)
def test_arguments(name, value, error):
    with pytest.raises(error, match=f"`{name}`.*Received: {name}="):
        ConvNet(**{"output_channels": 2, name: value})


def test_two_sizes_of_the_context():
    with pytest.raises(ValueError, match="`context_size` must be that of .*Received: context_size"):
        ConvNet(2, context_size=3, context_shape=(4, 4, 1))


@pytest.mark.parametrize("context_shape", [(6, 9, 1), (8, 6, 1), (2, 3, 1)], ids=str)
def test_a_context_that_does_not_lie_over_the_image(context_shape):
    with pytest.raises(ValueError, match="`context_shape` of .* multiple .*Received: context_sha"):
        conv_net(SHAPE, 1, "float32", context_shape=context_shape)


@pytest.mark.parametrize("shape", [(None, 4, 6), (None, None, None, 2)], ids=str)
def test_built_for_what_is_no_image_of_known_size(shape):
    with pytest.raises(ValueError, match=r"takes `x` of shape \[N, H, W, C_in\].*Received: "):
        ConvNet(2).build(shape)


def test_called_for_other_images_or_contexts():
    network = conv_net(SHAPE, 5, "float32", context_size=3)
    with pytest.raises(ValueError, match=r"takes `x` .*\(4, 6, 2\).*Received: x.shape"):
        network(tf.zeros([1, 6, 4, 2]), context=tf.zeros([1, 3]))
    with pytest.raises(ValueError, match=r"takes a `context` of shape \[N, 3\]. Received: .*None"):
        network(tf.zeros([1, *SHAPE]))
