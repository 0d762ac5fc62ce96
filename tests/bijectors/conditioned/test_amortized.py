"""Parameters from a context: one row of the network for each context."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, Amortized, Planar, Radial, Sylvester

C, D = 2, 3
tfd = tfp.distributions


def network(size):
    layer = tfpf.layers.MLP(size, (8,), output_initializer="he_normal", seed=1, dtype="float64")
    layer.build((None, C))
    return layer


CLASSES = [
    (Planar, {"event_size": D}),
    (Radial, {"event_size": D}),
    (Sylvester, {"event_size": D, "num_units": 2}),
]


@pytest.mark.parametrize(
    ("cls", "kwargs"), CLASSES, ids=lambda value: getattr(value, "__name__", "")
)
def test_is_the_bijector_of_the_networks_numbers(cls, kwargs):
    layer = network(cls.params_size(**kwargs))
    start = tf.Variable(np.random.default_rng(2).normal(size=[cls.params_size(**kwargs)]))
    amortized = Amortized(layer, cls, kwargs, start, context_size=C)
    context = np.random.default_rng(0).normal(size=[4, C])
    bound = tfpf.condition(amortized, context)
    assert bound.experimental_batch_shape(x_event_ndims=1) == [4]
    x = np.random.default_rng(1).normal(size=[5, 1, D])
    expected = cls.new(start + layer(context), **kwargs)
    np.testing.assert_array_equal(bound.forward(x), expected.forward(x))
    y = bound.forward(x)
    np.testing.assert_allclose(
        bound.inverse_log_det_jacobian(tf.identity(y), 1),
        -expected.forward_log_det_jacobian(x, 1),
        rtol=1e-8,
        atol=1e-8,
    )
    assert {id(v) for v in bound.trainable_variables} == {
        id(v) for v in [start, *(w.value for w in layer.weights)]
    }


def test_samples_share_one_row_of_the_network():
    seen = []

    class Counting(keras.layers.Layer):
        def __init__(self):
            super().__init__(dtype="float64")
            self.built = True

        def call(self, c):
            seen.append(tuple(c.shape))
            return tf.tile(c, [1, 4])[:, :7]

    amortized = Amortized(Counting(), Planar, {"event_size": D}, context_size=C)
    base = tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), D)
    flow = tfpf.condition(
        tfpf.distributions.Flow(base, amortized), np.random.default_rng(0).normal(size=[4, C])
    )
    seen.clear()
    x, _ = flow.experimental_sample_and_log_prob(100, seed=tf.constant([1, 2]))
    assert x.shape == [100, 4, D] and seen == [(4, C)]


def test_a_transformer_gets_numbers_for_each_coordinate():
    layer = network(2 * D)
    amortized = Amortized(layer, Affine, context_size=C)
    context = np.random.default_rng(0).normal(size=[4, C])
    h = tf.reshape(layer(context), [4, D, 2])
    x = np.random.default_rng(1).normal(size=[4, D])
    bound = tfpf.condition(amortized, context)
    y = bound.forward(x)
    np.testing.assert_allclose(y, np.exp(h[..., 1]) * x + h[..., 0], rtol=1e-13)
    np.testing.assert_allclose(
        bound.forward_log_det_jacobian(x, 1), tf.reduce_sum(h[..., 1], -1), rtol=1e-13
    )
    np.testing.assert_allclose(bound.inverse(tf.identity(y)), x, rtol=1e-12)


def test_bad_arguments():
    kwargs = {"event_size": D}
    with pytest.raises(ValueError, match="must give 7 numbers.*Received: shape"):
        Amortized(network(6), Planar, kwargs, context_size=C)
    with pytest.raises(ValueError, match="`params` must have 7 numbers"):
        Amortized(network(7), Planar, kwargs, tf.zeros([6], tf.float64), context_size=C)
    with pytest.raises(ValueError, match="`context_size`"):
        Amortized(network(7), Planar, kwargs, context_size=0)
    with pytest.raises(TypeError, match="`transformer_kwargs`"):
        Amortized(network(7), Planar, {"event_sizes": D}, context_size=C)
    with pytest.raises(ValueError, match="needs a context"):
        Amortized(network(7), Planar, kwargs, context_size=C).forward(tf.zeros([D], tf.float64))


def test_an_infinite_context_is_bounded():
    """As it is for couplings: the network sees a number whose products do not overflow."""
    size = Radial.params_size(event_size=D)
    amortized = Amortized(network(size), Radial, {"event_size": D}, context_size=C)
    x = np.random.default_rng(1).normal(size=[1, D])
    y, expected = (
        tfpf.condition(amortized, np.array([[c, 1.0]])).forward(x) for c in (np.inf, 1e154)
    )
    assert np.all(np.isfinite(y))
    np.testing.assert_allclose(y, expected, rtol=1e-12)
