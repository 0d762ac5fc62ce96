"""Tests of which activations act on each number by itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import MLP
from tfp_flows.layers._elementwise import _KNOWN, is_known_elementwise

X = np.random.default_rng(1).normal(size=[5, 3]).astype("float32")


@pytest.mark.parametrize("activation", _KNOWN, ids=lambda a: a.__name__)
def test_known_ones_commute_with_a_transpose(activation):
    expected = np.transpose(activation(tf.constant(X)))
    # Not equal to the last bit: what is vectorised depends on the shape.
    np.testing.assert_allclose(activation(tf.constant(X.T)), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax", "glu"])
def test_those_along_an_axis_are_not_known(name):
    assert not is_known_elementwise(keras.activations.get(name))


@pytest.mark.parametrize("name", ["softmax", "a function"])
def test_networks_give_others_the_units_on_the_last_axis(name):
    shapes = []

    def function(h):
        shapes.append(h.shape)
        return tf.nn.softmax(h)

    network = MLP(2, (6,), activation=function if name == "a function" else name, seed=1)
    network.build((None, 3))
    draw = np.random.default_rng(2)
    network.set_weights([draw.normal(size=w.shape) for w in network.get_weights()])
    w_1, b_1, w_2, b_2 = network.get_weights()
    h = X @ w_1 + b_1
    h = np.exp(h) / np.sum(np.exp(h), axis=-1, keepdims=True)
    np.testing.assert_allclose(network(X), h @ w_2 + b_2, rtol=1e-5)
    assert all(shape == (5, 6) for shape in shapes)
