"""Couplings of images: what stays, what the conditioner sees, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from image_cases import conv_net, coupling, perturb_image, points

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, Coupling, LogisticMixtureCDF, RationalQuadraticSpline
from tfp_flows.layers import WaveNet

tfb = tfp.bijectors
tfd = tfp.distributions

SHAPE = (4, 6, 2)
EVEN = np.indices(SHAPE[:2]).sum(axis=0) % 2 == 0


def unchanged(bijector):
    """Where x stays as it is."""
    perturb_image(bijector.variables, scale=1.0)
    x = points(SHAPE, (3,))
    return (bijector.forward(x) == x).numpy().all(axis=0)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("checkerboard", EVEN[..., np.newaxis] & [True, True]),
        ("checkerboard_odd", ~EVEN[..., np.newaxis] & [True, True]),
        (EVEN[..., np.newaxis], EVEN[..., np.newaxis] & [True, True]),
        (~EVEN[..., np.newaxis] ^ [True, False], ~EVEN[..., np.newaxis] ^ [True, False]),
        (np.arange(6)[:, np.newaxis] < np.full([4, 1, 1], 2), np.indices(SHAPE)[1] < 2),
    ],
    ids=["checkerboard", "odd", "pixels", "pixels and channels", "columns"],
)
def test_pixels(mask, expected):
    np.testing.assert_array_equal(
        unchanged(coupling(SHAPE, Affine, mask=mask)("float64")), expected
    )


@pytest.mark.parametrize(
    ("mask", "expected"),
    [("channels", [True, False]), ([[[False, True]]], [False, True])],
    ids=["word", "array"],
)
def test_channels(mask, expected):
    network = conv_net((4, 6, 1), 2, "float64")
    result = unchanged(Coupling(network, Affine, mask=mask))
    np.testing.assert_array_equal(result, np.broadcast_to(expected, SHAPE))


def test_a_mask_of_channels_is_the_coupling_of_vectors_in_each_pixel():
    """With kernels of one pixel, whose network sees a pixel alone."""
    mask = (True, False, True)
    network = conv_net((4, 6, 2), 2, "float64", kernel_size=1)
    perturb_image(network.variables, scale=1.0)
    of_images = Coupling(network, mask=[[mask]])

    def of_pixels(x):
        return network(tf.tile(x[:, tf.newaxis, tf.newaxis], [1, 4, 6, 1]))[:, 0, 0]

    of_vectors = Coupling(of_pixels, mask=mask, dtype="float64")
    x = points((4, 6, 3), (5,))
    np.testing.assert_allclose(of_images.forward(x), of_vectors.forward(x), rtol=1e-12)
    np.testing.assert_allclose(
        of_images.inverse_log_det_jacobian(x, 3),
        of_vectors.inverse_log_det_jacobian(x, 3),
        rtol=1e-12,
    )


def test_the_conditioner_sees_zeros_in_place_of_what_it_must_not_know():
    seen = []

    def conditioner(x):
        seen.append(x)
        return tf.zeros([*x.shape[:-1], 2 * x.shape[-1]], x.dtype)

    x = points(SHAPE, (3,))
    Coupling(conditioner, mask="checkerboard").forward(x)
    np.testing.assert_array_equal(seen[0], np.where(EVEN[..., np.newaxis], x, 0.0))


@pytest.mark.parametrize(
    ("transformer", "kwargs"),
    [
        # The spline sees the same of the mask; the contract has mixtures in couplings.
        pytest.param(
            LogisticMixtureCDF, {"num_components": 2}, marks=pytest.mark.slow, id="mixture"
        ),
        pytest.param(RationalQuadraticSpline, {"num_bins": 4}, id="spline"),
    ],
)
def test_any_transformer_on_a_checkerboard(transformer, kwargs):
    bijector = coupling(SHAPE, transformer, kwargs)("float64")
    perturb_image(bijector.variables, scale=1.0)
    x = points(SHAPE, (5,))
    y = bijector.forward(x)
    assert np.abs(y - x).max() > 0.1
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, rtol=1e-10, atol=1e-10)
    one = x[:1]
    with tf.GradientTape() as tape:
        tape.watch(one)
        out = tf.reshape(bijector.forward(one), [1, -1])
    jacobian = tf.reshape(tape.batch_jacobian(out, one), [48, 48])
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(tf.identity(one), 3)[0],
        np.linalg.slogdet(jacobian)[1],
        rtol=1e-9,
    )


def test_what_is_not_transformed_does_not_spoil_gradients():
    """Raw numbers of A are thrown away: also those for which the transformer is no map."""

    class Scale:
        @staticmethod
        def params_size():
            return 1

        @staticmethod
        def new(params):
            return tfb.Scale(log_scale=params[..., 0])

    def conditioner(x):
        return tf.where(x == 0.0, 0.25 * tf.ones_like(x), 1e4 * x)

    x = 1.0 + tf.abs(points(SHAPE, (2,)))
    bijector = Coupling(conditioner, Scale, mask="checkerboard", dtype="float64")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, log_det = bijector.forward(x), bijector.forward_log_det_jacobian(x, 3)
    factor = np.broadcast_to(np.where(EVEN[..., np.newaxis], 1.0, np.exp(0.25)), x.shape)
    np.testing.assert_allclose(y, factor * x, rtol=1e-12)
    np.testing.assert_allclose(log_det, [0.25 * 24] * 2, rtol=1e-12)
    np.testing.assert_allclose(tape.gradient(y, x), factor, rtol=1e-12)
    np.testing.assert_array_equal(tape.gradient(log_det, x), np.zeros(x.shape))


def test_identity_transformer_of_channels():
    bijector = Coupling(
        conv_net((4, 6, 1), 2, "float64"),
        mask=[[[True, False]]],
        identity_transformer=RationalQuadraticSpline,
        identity_transformer_kwargs={"num_bins": 4},
    )
    perturb_image(bijector.variables, scale=1.0)
    x = points(SHAPE, (3,))
    y = bijector.forward(x)
    assert (np.abs(y - x).max(axis=(0, 1, 2)) > 0.05).all()
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, rtol=1e-10, atol=1e-10)


def test_is_saved(tmp_path):
    base = tfd.Sample(tfd.Normal(0.0, 1.0), SHAPE)
    layers = [
        coupling(SHAPE, Affine, mask=EVEN[..., np.newaxis], context_shape=(8, 12, 1))("float32"),
        coupling(SHAPE, Affine, mask="channels", context_size=96)("float32"),
    ]
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, tfb.Chain(layers)))
    perturb_image(model.distribution.variables)
    context = np.random.default_rng(0).normal(size=[3, 96]).astype("float32")
    x = points(SHAPE, (3,), "float32")
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    expected = tfpf.condition(model.distribution, context).log_prob(x)
    np.testing.assert_array_equal(
        tfpf.condition(loaded.distribution, context).log_prob(x), expected
    )
    assert loaded.distribution.bijector.bijectors[0].mask == layers[0].mask


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [[[True], [False], [True], [False]], [[True, False]]], ids=str)
def test_series(mask):
    """Of steps with all of their channels, and of channels in all steps."""
    is_a = np.broadcast_to(mask, (4, 2))
    num_in, num_out = (2, 2) if len(mask) == 4 else (1, 1)
    network = WaveNet(2 * num_out, (4,), activation="tanh", seed=1, dtype="float64")
    network.build((None, 4, num_in))
    perturb_image(network.variables, scale=1.0)
    bijector = Coupling(network, Affine, mask=mask)
    assert bijector.forward_min_event_ndims == 2
    x = points((4, 2), (3,))
    y = bijector.forward(x)
    np.testing.assert_array_equal(y.numpy()[:, is_a], x.numpy()[:, is_a])
    assert (np.abs(y - x).max(axis=0)[~is_a] > 1e-3).all()
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, rtol=1e-10, atol=1e-10)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reshape(bijector.forward(tf.identity(x)), [3, 8])
    jacobian = np.reshape(tape.batch_jacobian(y, x), [3, 8, 8])
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(x, 2), np.linalg.slogdet(jacobian)[1], rtol=1e-10
    )
    with pytest.raises(ValueError, match="Received: .*shape"):
        bijector.forward(tf.zeros([3, 5, 3], tf.float64))


@pytest.mark.parametrize(
    "mask",
    ["stripes", [[[[True, False]]]], np.ones([2, 2, 1]), np.zeros([1, 1, 3]), [[[0.5, 1.0]]]],
    ids=str,
)
def test_masks(mask):
    with pytest.raises(ValueError, match="`mask` must .*Received: mask="):
        Coupling(conv_net(SHAPE, 4, "float32"), mask=mask)


@pytest.mark.parametrize("size", [1, 3])
def test_images_of_another_size(size):
    bijector = Coupling(conv_net(SHAPE, 4, "float32"), mask=EVEN[..., np.newaxis])
    with pytest.raises(ValueError, match=r"`coupling` has a mask for images .*\(4, 6, 1\).*Receiv"):
        bijector.forward(tf.zeros([2, 4, size, 2]))


def test_one_channel_cannot_be_split():
    with pytest.raises(ValueError, match="`mask` must leave at least one .*Received: "):
        Coupling(conv_net(SHAPE, 4, "float32"), mask="channels").forward(tf.zeros([4, 6, 1]))


def test_vectors_where_images_are_expected():
    with pytest.raises(ValueError, match="`coupling` acts on events of 3 axes.*Received: "):
        Coupling(conv_net(SHAPE, 4, "float32"), mask="channels").forward(tf.zeros([6, 2]))


@pytest.mark.parametrize("shape", [(4, 6, 3), (2, 3, 4)], ids=["channels", "pixels"])
def test_conditioners_that_do_not_fit(shape):
    def conditioner(x):
        return tf.zeros([x.shape[0], *shape])

    with pytest.raises(ValueError, match=r"`conditioner` of .*\[N, 4, 6, 2, 2\].*Received: "):
        Coupling(conditioner, mask="checkerboard").forward(tf.zeros([1, *SHAPE]))


def test_identity_transformer_of_pixels():
    with pytest.raises(ValueError, match="`mask` must be booleans of the last axis .*Received: "):
        Coupling(
            conv_net(SHAPE, 4, "float32"),
            mask=EVEN[..., np.newaxis],
            identity_transformer=Affine,
        )
