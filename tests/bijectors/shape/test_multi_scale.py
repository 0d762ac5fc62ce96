"""Half of the channels leave at each scale: the layout, what depends on what, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from image_cases import conv_net, coupling, perturb_image, points

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, Coupling, LULinear, MultiScale, Squeeze

tfb = tfp.bijectors
tfd = tfp.distributions

SHAPE = (4, 4, 1)


def scale(shape, dtype, context_size=0):
    """A checkerboard, smaller images, and what leaves given what stays."""
    height, width, channels = shape[0] // 2, shape[1] // 2, shape[2] * 4
    pixels = coupling(shape, Affine, context_size=context_size)
    rest = coupling((height, width, channels), Affine, mask="channels", context_size=context_size)
    return tfb.Chain([pixels(dtype), tfb.Invert(Squeeze()), rest(dtype)])


def two_scales(dtype):
    return MultiScale([scale(SHAPE, dtype), scale((2, 2, 2), dtype)], SHAPE)


X = points(SHAPE, (3,))


def halves(num_scales=3):
    """Scales that only move numbers, and at the end of each one that doubles them."""
    two = tf.constant(2.0, tf.float64)
    return [tfb.Chain([tfb.Scale(two), tfb.Invert(Squeeze())]) for _ in range(num_scales - 1)]


def test_layout():
    """z_1, the last two channels at 2 x 2, then z_2, the last four of eight, then the rest."""
    bijector = MultiScale(halves(3), SHAPE)
    z = bijector.inverse(X).numpy()
    fine = tf.nn.space_to_depth(X, 2).numpy() / 2.0
    np.testing.assert_allclose(z[:, :8], fine[..., 2:].reshape(3, 8), rtol=1e-14)
    coarse = tf.nn.space_to_depth(fine[..., :2], 2).numpy() / 2.0
    np.testing.assert_allclose(z[:, 8:], coarse.reshape(3, 8), rtol=1e-14)
    # Each way divides or multiplies by two once for the first half, and twice for the second.
    nats = -(16 + 8) * np.log(2.0)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(X, 3), nats, rtol=1e-12)


def test_latents_are_the_images_that_leave():
    bijector = MultiScale([*halves(3), tfb.Identity()], SHAPE)
    first, second, last = bijector.latents(bijector.inverse(X))
    assert first.shape == (3, 2, 2, 2) and second.shape == last.shape == (3, 1, 1, 4)
    fine = tf.nn.space_to_depth(X, 2) / 2.0
    np.testing.assert_allclose(first, fine[..., 2:], rtol=1e-14)
    np.testing.assert_allclose(
        tf.concat([last, second], axis=-1), tf.nn.space_to_depth(fine[..., :2], 2) / 2.0
    )


def test_an_odd_channel_is_kept():
    bijector = MultiScale([tfb.Identity(), tfb.Identity()], (2, 2, 3))
    leaving, kept = bijector.latents(tf.range(12.0))
    assert leaving.shape == (2, 2, 1) and kept.shape == (2, 2, 2)


def test_what_leaves_is_conditioned_on_what_is_kept():
    """By a coupling: p(z_1 | kept) is then normal with location and scale from the network."""
    network = conv_net((4, 4, 1), 2, "float64")
    perturb_image(network.variables, scale=1.0)
    bijector = MultiScale([Coupling(network, Affine, mask="channels"), tfb.Identity()], (4, 4, 2))
    noise = tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), 32)
    flow = tfpf.distributions.Flow(noise, bijector)
    x = points((4, 4, 2), (3,))
    kept, leaves = x[..., :1], x[..., 1:]
    h = network(kept)
    expected = tfd.Normal(tf.zeros([], tf.float64), 1.0).log_prob(kept)
    expected += tfd.Normal(h[..., :1], tf.exp(h[..., 1:])).log_prob(leaves)
    np.testing.assert_allclose(flow.log_prob(x), tf.reduce_sum(expected, [1, 2, 3]), rtol=1e-10)


@pytest.mark.parametrize("use", ["log_prob", "sample"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_each_network_is_evaluated_once(use, compiled):
    calls = []

    def conditioner(x):
        calls.append(x.shape)
        return tf.concat([x, x], axis=-1) / 10.0

    def a_scale():
        pixels, channels = (Coupling(conditioner, mask=m) for m in ("checkerboard", "channels"))
        return tfb.Chain([pixels, tfb.Invert(Squeeze()), channels])

    noise = tfd.Sample(tfd.Normal(0.0, 1.0), 16)
    flow = tfpf.distributions.Flow(noise, MultiScale([a_scale(), a_scale()], SHAPE))

    def run():
        if use == "log_prob":
            return flow.log_prob(tf.ones([3, *SHAPE]))
        return flow.experimental_sample_and_log_prob(3, seed=[1, 2])

    calls.clear()
    (tf.function(run) if compiled else run)()
    assert len(calls) == 4


def test_a_context_of_coarse_scales_alone():
    fine, coarse = tfb.Invert(Squeeze()), scale((2, 2, 2), "float64", context_size=2)
    perturb_image(coarse.variables, scale=1.0)
    bijector = MultiScale([fine, coarse], SHAPE)
    context = np.random.default_rng(0).normal(size=[5, 2])
    batch = tfpf.condition(bijector, context)
    assert batch.experimental_batch_shape() == [5]
    z = batch.inverse(X[0])
    assert z.shape == (5, 16)
    np.testing.assert_array_equal(z[0, :8], z[1, :8])
    assert np.abs(z[0, 8:] - z[1, 8:]).max() > 1e-3
    np.testing.assert_allclose(batch.forward(tf.identity(z)), [X[0]] * 5, rtol=1e-10, atol=1e-10)
    for i in range(5):
        one = tfpf.condition(bijector, context[i])
        np.testing.assert_allclose(one.inverse(tf.identity(X[0])), z[i], rtol=1e-10, atol=1e-12)


def test_inverted_it_is_a_map_of_images_to_vectors():
    bijector = tfb.Invert(two_scales("float64"))
    perturb_image(bijector.variables)
    assert bijector.forward_min_event_ndims == 3 and bijector.inverse_min_event_ndims == 1
    z = bijector.forward(X)
    assert z.shape == (3, 16) and bijector.forward_event_shape(SHAPE) == [16]
    np.testing.assert_allclose(bijector.inverse(tf.identity(z)), X, rtol=1e-10, atol=1e-10)


def test_in_a_chain_between_vectors_and_images():
    chain = tfb.Chain([tfb.Tanh(), two_scales("float64"), LULinear(16, dtype="float64")])
    perturb_image(chain.variables)
    noise = tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), 16)
    flow = tfpf.distributions.Flow(noise, chain)
    assert flow.event_shape == SHAPE
    x, log_prob = flow.experimental_sample_and_log_prob(5, seed=1)
    np.testing.assert_allclose(flow.log_prob(tf.identity(x)), log_prob, rtol=1e-8)


def test_is_saved(tmp_path):
    noise = tfd.Sample(tfd.Normal(0.0, 1.0), 16)
    model = tfpf.FlowModel(tfpf.distributions.Flow(noise, two_scales("float32")))
    perturb_image(model.distribution.variables)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = tf.cast(X, tf.float32)
    np.testing.assert_array_equal(loaded.distribution.log_prob(x), model.distribution.log_prob(x))
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


# --- Refused ---------------------------------------------------------------------------------


def test_bijectors():
    with pytest.raises(TypeError, match="`bijectors` must be a list of TFP bijectors. Received: b"):
        MultiScale([tf.tanh], SHAPE)
    with pytest.raises(ValueError, match="`bijectors` must hold at least one bijector. Received: "):
        MultiScale([], SHAPE)


@pytest.mark.parametrize(
    ("shape", "error"),
    [((4,), ValueError), ((4, 0, 1), ValueError), ((4, 4, 1.0), TypeError)],
    ids=str,
)
def test_event_shape(shape, error):
    with pytest.raises(error, match="`event_shape` must be .*Received: "):
        MultiScale([tfb.Identity()], shape)


def test_too_few_channels_to_split():
    with pytest.raises(ValueError, match="`event_shape` leaves too few channels .*Received: "):
        MultiScale([tfb.Identity(), tfb.Identity()], (4, 4, 1))


def test_odd_sizes():
    with pytest.raises(ValueError, match="`squeeze` takes images .* multiples of 2.*Received: "):
        MultiScale([tfb.Invert(Squeeze())], (6, 5, 1))
    with pytest.raises(ValueError, match="`squeeze` takes images .* multiples of 2.*Received: "):
        MultiScale(halves(3), (6, 6, 1))


def test_other_sizes_when_called():
    bijector = MultiScale(halves(3), SHAPE)
    with pytest.raises(ValueError, match="`multi_scale` acts on images of .*Received: "):
        bijector.inverse(tf.zeros([2, 8, 8, 1], tf.float64))
    with pytest.raises(ValueError, match="`multi_scale` acts on events of 16 .*Received: "):
        bijector.forward(tf.zeros([2, 15], tf.float64))
