"""What recipes of images promise at their start, what they refuse, and a fit to small digits."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from image_cases import RECIPES, coupling, perturb_image, points
from sklearn.datasets import load_digits

import tfp_flows as tfpf
from tfp_flows.distributions import Dequantized

tfd = tfp.distributions

each_recipe = pytest.mark.parametrize("case", RECIPES, ids=str)
each_function = pytest.mark.parametrize("name", ["glow", "mintnet", "multiscale"])
SHAPE = (4, 4, 1)

# Bits per dimension of held-out digits. Independent pixels, each with its own frequencies, have
# 2.42; a normal distribution of all logits with full covariance 2.44; knowing nothing is 4.09. A
# flow whose parts do not see each other, or whose log-determinant is wrong, stays above.
THRESHOLD = 2.2


def bound(case, flow):
    if not case.context_size:
        return flow
    return tfpf.condition(flow, np.full([case.context_size], 0.3))


@functools.cache
def moved(case):
    """The flow of a recipe, made once and moved; and by how much it differed from its base."""
    flow = case.make.flow("float64")
    start = bound(case, flow)
    x = points(case.shape, (5,))
    difference = start.log_prob(x) - start.distribution.log_prob(np.reshape(x, [5, -1]))
    perturb_image(flow.variables)
    return flow, difference


@functools.cache
def drawn(case):
    """Three samples, their log-densities by the pass that draws them, and by another one."""
    flow = bound(case, moved(case)[0])
    x, log_prob = flow.experimental_sample_and_log_prob(3, seed=3)
    return x, log_prob, flow.log_prob(x)


@each_recipe
def test_starts_close_to_its_base(case):
    flow, difference = moved(case)
    # Pixels in another order, and channels turned.
    assert np.abs(difference).max() <= 0.1 * np.prod(case.shape)
    assert flow.event_shape == case.shape


@each_recipe
def test_sample_and_log_prob_agrees_with_log_prob(case):
    x, log_prob, scored = drawn(case)
    assert x.shape == (3, *case.shape)
    np.testing.assert_allclose(scored, log_prob, rtol=1e-8, atol=1e-8)


@each_function
def test_seed_decides_the_start(name):
    def weights(seed):
        make = getattr(tfpf.flows, name)
        flow = make(SHAPE, num_layers=1, hidden_channels=(4,), seed=seed)
        return np.concatenate([np.ravel(v) for v in flow.variables])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert (weights(1) != weights(2)).any()


@each_function
def test_any_base(name):
    base = tfd.MultivariateNormalDiag(tf.Variable(tf.ones([16])), tf.fill([16], 2.0))
    flow = getattr(tfpf.flows, name)(SHAPE, num_layers=1, hidden_channels=(4,), base=base)
    assert any(v is base.loc for v in flow.trainable_variables)
    assert np.isfinite(flow.log_prob(tf.zeros(SHAPE)))


@each_function
@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"event_shape": 4}, ValueError, "event_shape"),
        ({"event_shape": (4, 4)}, ValueError, "event_shape"),
        ({"event_shape": (6, 5, 1)}, ValueError, "event_shape"),
        ({"event_shape": (4, 4.0, 1)}, TypeError, "event_shape"),
        ({"num_scales": 0}, ValueError, "num_scales"),
        ({"num_scales": 9}, ValueError, "event_shape"),
        ({"num_layers": 0}, ValueError, "num_layers"),
        ({"hidden_channels": (4, 0)}, ValueError, "hidden_channels"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"base": tfd.Normal(0.0, 1.0)}, ValueError, "base"),
        ({"seed": -1}, ValueError, "seed"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else None,
)
def test_bad_input_is_named(name, change, error, named):
    arguments = {"event_shape": SHAPE, "num_layers": 1, "hidden_channels": (4,), **change}
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        getattr(tfpf.flows, name)(**arguments)


@pytest.mark.parametrize(
    ("name", "hidden_units"),
    [
        *itertools.product(["flow_plus_plus", "neural_spline", "residual"], [(4, 0), 4, "4"]),
        *itertools.product(["flow_plus_plus", "neural_spline"], [(4, 5), ()]),
    ],
    ids=repr,
)
def test_widths_are_named_as_they_were_given(name, hidden_units):
    """Networks of images call them `hidden_channels`."""
    error = ValueError if isinstance(hidden_units, tuple) else TypeError
    with pytest.raises(error, match="`hidden_units`.*Received: hidden_units="):
        getattr(tfpf.flows, name)(SHAPE, num_layers=1, hidden_units=hidden_units)


@pytest.mark.parametrize("hidden_units", [(), (4,), (4, 5)], ids=repr)
def test_widths_of_lipschitz_networks_may_differ(hidden_units):
    options = {"num_layers": 1, "num_scales": 1, "hidden_units": hidden_units}
    flow = tfpf.flows.residual(SHAPE, **options)
    assert np.isfinite(flow.log_prob(tf.zeros(SHAPE)))


@each_recipe
def test_is_saved(case, tmp_path):
    tfpf.FlowModel(moved(case)[0]).save(tmp_path / "m.keras")
    loaded = bound(case, keras.saving.load_model(tmp_path / "m.keras").distribution)
    x, _, scored = drawn(case)
    np.testing.assert_array_equal(loaded.log_prob(tf.identity(x)), scored)


@pytest.mark.parametrize(("shape", "num_scales"), [((1, 1, 4), 1), ((2, 2, 3), 2)], ids=str)
def test_a_checkerboard_has_two_pixels(shape, num_scales):
    with pytest.raises(ValueError, match="`event_shape` must leave .*Received: event_shape="):
        tfpf.flows.multiscale(shape, num_scales=num_scales, num_layers=1, hidden_channels=(4,))


def test_autoregressive_splines_are_for_vectors():
    with pytest.raises(ValueError, match="`event_shape` must be D .*Received: event_shape"):
        tfpf.flows.neural_spline((4, 4, 1), autoregressive=True)


def test_masked_convolutions_alternate_over_scales_of_all_channels():
    flow = tfpf.flows.mintnet((4, 4, 1), num_layers=2, hidden_channels=(7,), seed=1)
    parts = [p for p in tfpf._tree.walk(flow) if isinstance(p, tfpf.bijectors.MaskedConvolution)]
    assert [part.parameters["reverse"] for part in parts] == [False, True, False, True]
    assert [part.network.image_shape for part in parts] == [(4, 4, 1)] * 2 + [(2, 2, 4)] * 2
    # Seven channels are as many units of one channel, or two of four.
    assert [part.network.hidden_units for part in parts] == [(7,), (7,), (2,), (2,)]
    perturb_image(flow.variables)
    x, log_prob = flow.experimental_sample_and_log_prob(3, seed=1)
    np.testing.assert_allclose(flow.log_prob(x), log_prob, rtol=1e-4)
    with pytest.raises(
        ValueError, match=r"`hidden_channels` must .*Received: hidden_channels=\(\)"
    ):
        tfpf.flows.mintnet((4, 4, 1), hidden_channels=())


def test_attention_is_for_small_images():
    for size, has_attention in ((8, True), (32, False)):
        flow = tfpf.flows.flow_plus_plus((size, size, 1), num_layers=1, hidden_units=(4,))
        networks = [n for n in tfpf._tree.walk(flow) if isinstance(n, tfpf.layers.GatedConvNet)]
        assert [network.num_heads > 0 for network in networks] == [has_attention, True]


# --- Noise -----------------------------------------------------------------------------------


def learned_noise(**options):
    shape = {"num_scales": 1, "num_layers": 1, "hidden_channels": (4,)}
    flow = tfpf.flows.multiscale((4, 4, 2), seed=0, **shape)
    options = {"num_layers": 2, "hidden_channels": (4,), "seed": 0, **options}
    return tfpf.flows.variational_dequantization(flow, 17, **options)


def test_learned_noise_starts_uniform():
    distribution = learned_noise()
    x = np.random.default_rng(0).integers(0, 17, size=[5, 4, 4, 2])
    uniform = Dequantized(distribution.distribution, 17, seed=0)
    np.testing.assert_allclose(distribution.elbo(x), uniform.elbo(x), rtol=1e-4)


def test_learned_noise_depends_on_the_image_and_all_of_it_moves():
    distribution = learned_noise()
    g = distribution.dequantizer
    perturb_image(g.variables, scale=1.0)
    e = points((4, 4, 2), (2,), "float32")
    x = tf.stack([tf.zeros([4, 4, 2]), tf.ones([4, 4, 2])])
    out = g.forward(tf.concat([x, e], axis=-1)).numpy()
    np.testing.assert_array_equal(out[..., :2], x)
    assert (np.abs(out[..., 2:] - e) > 1e-4).all()
    same = g.forward(tf.concat([x, tf.stack([e[0], e[0]])], axis=-1)).numpy()[..., 2:]
    assert (np.abs(same[0] - same[1]) > 1e-4).all()


def test_learned_noise_is_saved_with_the_flow(tmp_path):
    model = tfpf.FlowModel(learned_noise())
    perturb_image(model.distribution.trainable_variables)
    x = np.random.default_rng(0).integers(0, 17, size=[5, 4, 4, 2]).astype("uint8")
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").distribution
    np.testing.assert_array_equal(loaded.elbo(x), model.distribution.elbo(x))


def test_learned_noise_is_trained_with_the_flow_by_xla_as_without():
    """Noise is drawn anew in each step, the same by both; and so is what comes of it."""
    x = np.random.default_rng(0).integers(0, 17, size=[20, 4, 4, 1]).astype("uint8")
    fits = []
    for how in ({"run_eagerly": True, "jit_compile": False}, {"jit_compile": True}):
        location = tf.Variable(tf.zeros([4, 4, 1]))
        normal = tfd.Independent(tfd.Normal(location, 1.0), 3)
        options = {"num_layers": 1, "hidden_channels": (4,), "seed": 0}
        distribution = tfpf.flows.variational_dequantization(normal, 17, **options)
        perturb_image(distribution.dequantizer.variables)
        assert any(v is location for v in distribution.trainable_variables)
        before = [v.numpy() for v in distribution.trainable_variables]
        model = tfpf.FlowModel(distribution)
        model.compile(keras.optimizers.SGD(1e-2), **how)
        history = model.fit(x, batch_size=20, epochs=3, shuffle=False, verbose=0).history["loss"]
        after = [v.numpy() for v in distribution.trainable_variables]
        assert all((a != b).any() for a, b in zip(after, before, strict=True))
        fits.append((history, after))
    (losses, weights), (xla_losses, xla_weights) = fits
    np.testing.assert_allclose(xla_losses, losses, rtol=1e-5)
    assert len(set(losses)) == 3
    for xla, other in zip(xla_weights, weights, strict=True):
        np.testing.assert_allclose(xla, other, rtol=1e-4, atol=1e-5)


def test_mixtures_of_images_are_scored_in_a_graph():
    """TensorFlow's softmax takes five axes at most: those of images, and one of components."""
    num_samples = 3
    mixture = tfpf.bijectors.LogisticMixtureCDF
    layer = coupling(SHAPE, mixture, {"num_components": 2})("float32")
    noise = tfd.Sample(tfd.Normal(0.0, 1.0), SHAPE)
    distribution = Dequantized(tfpf.distributions.Flow(noise, layer), 17)
    x = np.random.default_rng(0).integers(0, 17, size=[5, 4, 4, 1])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            bound = distribution.elbo(tf.constant(x), num_samples)
        return bound, tape.gradient(bound, distribution.trainable_variables)

    bound, gradients = step()
    np.testing.assert_allclose(bound, distribution.elbo(x, num_samples), rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_learned_noise_is_for_images():
    with pytest.raises(TypeError, match="`flow` must be a TFP distribution. Received: "):
        tfpf.flows.variational_dequantization("glow")
    with pytest.raises(ValueError, match="`flow` must be a distribution of images .*Received: "):
        tfpf.flows.variational_dequantization(tfpf.flows.maf(2, num_layers=1))


# --- Digits ----------------------------------------------------------------------------------


def digits():
    """1,500 images of 8 x 8 pixels from 0 to 16 for training, and 297 others."""
    images = load_digits().images[..., np.newaxis].astype("uint8")
    images = np.random.default_rng(0).permutation(images)
    return images[:1500], images[1500:]


@pytest.mark.slow
def test_learns_digits():
    train, test = digits()
    flow = tfpf.flows.multiscale((8, 8, 1), num_layers=2, hidden_channels=(24,), seed=0)
    model = tfpf.FlowModel(Dequantized(flow, num_values=17, seed=0))
    rate = keras.optimizers.schedules.CosineDecay(4e-3, 300)
    # To compile it would take as long as to train.
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0), jit_compile=False)
    model.fit(train, batch_size=100, epochs=20, verbose=0)
    bits = model.evaluate(test, verbose=0, return_dict=True)["bits_per_dimension"]
    assert bits < THRESHOLD
    samples = model.distribution.sample(100, seed=1)
    assert samples.shape == (100, 8, 8, 1) and samples.dtype == tf.uint8
    # Not on a corner that a flow falls into when it is wrong: as bright as digits are.
    assert abs(np.mean(samples) - train.mean()) < 1.0
