"""Space to depth, against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Squeeze

tfb = tfp.bijectors
tfd = tfp.distributions

IMAGES = tf.constant(np.random.default_rng(0).normal(size=[2, 12, 24, 3]))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_is_that_of_tensorflow(factor):
    squeeze = Squeeze(factor)
    expected = tf.nn.space_to_depth(IMAGES, factor)
    np.testing.assert_array_equal(squeeze.forward(IMAGES), expected)
    np.testing.assert_array_equal(squeeze.inverse(tf.identity(expected)), IMAGES)


def test_follows_its_equation():
    x = IMAGES[0].numpy()
    y = Squeeze(2).forward(IMAGES[0])
    i, j, r, s, k = 2, 5, 1, 0, 2
    assert y[i, j, (2 * r + s) * 3 + k] == x[2 * i + r, 2 * j + s, k]


@pytest.mark.parametrize("batch", [(), (2,), (1, 2)], ids=str)
def test_any_batch_shape(batch):
    x = tf.reshape(IMAGES[: int(np.prod(batch))], [*batch, 12, 24, 3])
    y = Squeeze().forward(x)
    assert y.shape == (*batch, 6, 12, 12)
    assert Squeeze().forward_log_det_jacobian(x, 3).shape == batch


def test_unknown_batch_size():
    @tf.function(input_signature=[tf.TensorSpec([None, 12, 24, 3], tf.float64)])
    def run(x):
        y = Squeeze().forward(x)
        return y, Squeeze().inverse(tf.identity(y))

    y, x = run(IMAGES)
    assert y.shape == [2, 6, 12, 12]
    np.testing.assert_array_equal(x, IMAGES)


def test_in_a_distribution():
    noise = tfd.Sample(tfd.Normal(0.0, 1.0), [4, 4, 12])
    flow = tfd.TransformedDistribution(noise, tfb.Invert(Squeeze()))
    assert flow.event_shape == [8, 8, 3]
    x = flow.sample(5, seed=1)
    assert x.shape == [5, 8, 8, 3]
    expected = tfd.Sample(tfd.Normal(0.0, 1.0), [8, 8, 3]).log_prob(x)
    np.testing.assert_allclose(flow.log_prob(tf.identity(x)), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(7, 8, 1), (8, 7, 1), (2, 5, 5, 3)], ids=str)
def test_odd_sizes_are_refused(shape):
    with pytest.raises(ValueError, match="`squeeze` takes images whose .*multiples of 2.*Received"):
        Squeeze().forward(tf.zeros(shape))
    with pytest.raises(ValueError, match="`squeeze` takes images whose .*multiples of 2.*Received"):
        Squeeze().forward_event_shape(shape)


def test_channels_that_are_no_multiple_are_refused():
    with pytest.raises(ValueError, match="`inverse` of `squeeze` .* multiple of 4 .*Received"):
        Squeeze().inverse(tf.zeros([4, 4, 6]))


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"`squeeze` takes images \[.*Received"):
        Squeeze().forward(tf.zeros([4, 4]))


@pytest.mark.parametrize("value,error", [(1, ValueError), (0, ValueError), (2.0, TypeError)])
def test_factor(value, error):
    with pytest.raises(error, match="`factor` must be an integer of at least 2. Received: "):
        Squeeze(value)
