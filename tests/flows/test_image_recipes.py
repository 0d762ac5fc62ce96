"""What recipes of images promise at their start, what they refuse, and a fit to small digits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from image_cases import RECIPES, perturb_image, points
from sklearn.datasets import load_digits

import tfp_flows as tfpf
from tfp_flows.distributions import Dequantized

tfd = tfp.distributions

each_recipe = pytest.mark.parametrize("case", RECIPES, ids=str)
each_function = pytest.mark.parametrize("name", ["glow", "multiscale"])
SHAPE = (4, 4, 1)

# Bits per dimension of held-out digits. Independent pixels, each with its own frequencies, have
# 2.42; a normal distribution of all logits with full covariance 2.44; knowing nothing is 4.09. A
# flow whose parts do not see each other, or whose log-determinant is wrong, stays above.
THRESHOLD = 2.2


def bound(case, flow):
    if not case.context_size:
        return flow
    return tfpf.condition(flow, np.full([case.context_size], 0.3))


@each_recipe
def test_starts_close_to_its_base(case):
    flow = bound(case, case.make.flow("float64"))
    x = points(case.shape, (5,))
    flat = np.reshape(x, [5, -1])
    size = flat.shape[1]
    # Pixels in another order, and channels turned.
    assert np.abs(flow.log_prob(x) - flow.distribution.log_prob(flat)).max() <= 0.1 * size
    assert flow.event_shape == case.shape
    assert flow.sample(2, seed=1).shape == (2, *case.shape)


@each_recipe
def test_sample_and_log_prob_agrees_with_log_prob(case):
    flow = case.make.flow("float64")
    perturb_image(flow.variables)
    flow = bound(case, flow)
    x, log_prob = flow.experimental_sample_and_log_prob(5, seed=3)
    np.testing.assert_allclose(flow.log_prob(x), log_prob, rtol=1e-8, atol=1e-8)


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
    arguments = {"event_shape": SHAPE, "hidden_channels": (4,), **change}
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        getattr(tfpf.flows, name)(**arguments)


# --- Digits ----------------------------------------------------------------------------------


def digits():
    """1,500 images of 8 x 8 pixels from 0 to 16 for training, and 297 others."""
    images = load_digits().images[..., np.newaxis].astype("uint8")
    images = np.random.default_rng(0).permutation(images)
    return images[:1500], images[1500:]


def test_learns_digits():
    train, test = digits()
    flow = tfpf.flows.multiscale((8, 8, 1), num_layers=2, hidden_channels=(24,), seed=0)
    model = tfpf.FlowModel(Dequantized(flow, num_values=17, seed=0))
    rate = keras.optimizers.schedules.CosineDecay(4e-3, 600)
    # To compile it would take as long as to train.
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0), jit_compile=False)
    model.fit(train, batch_size=100, epochs=40, verbose=0)
    bits = model.evaluate(test, verbose=0, return_dict=True)["bits_per_dimension"]
    assert bits < THRESHOLD
    samples = model.distribution.sample(100, seed=1)
    assert samples.shape == (100, 8, 8, 1) and samples.dtype == tf.uint8
    # Not on a corner that a flow falls into when it is wrong: as bright as digits are.
    assert abs(np.mean(samples) - train.mean()) < 1.0
