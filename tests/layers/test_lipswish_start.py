"""LipSwish starts as sharp as its inputs are small: a typical input is well within its bend."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import LipschitzConvNet, LipschitzMLP
from tfp_flows.layers._lipschitz_activations import LipSwish


def sharpness(network, *inputs):
    """For each activation, its slope b times the root mean square of its inputs z."""
    found = []
    for layer in network._activations:

        def call(z, layer=layer, original=layer.call):
            slope = tf.math.softplus(tf.convert_to_tensor(layer.raw_slope))
            found.append(float(slope * tf.sqrt(tf.reduce_mean(z**2))))
            return original(z)

        layer.call = call
    network(*inputs)
    return found


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("norm", [2, 1, "inf"])
@pytest.mark.parametrize("size", [2, 32])
def test_of_vectors(size, norm):
    network = LipschitzMLP(size, (64, 64), norm=norm, seed=0)
    network.build((None, size))
    found = sharpness(network, normal(500, size))
    assert len(found) == 2
    assert 1.0 < min(found) and max(found) < 6.0


def test_of_vectors_with_a_context():
    """Its part of z is not small, since its kernel is not scaled."""
    network = LipschitzMLP(2, (64, 64), context_size=3, seed=0)
    network.build((None, 2), (None, 3))
    found = sharpness(network, normal(500, 2), normal(500, 3))
    assert 1.0 < min(found) and max(found) < 6.0


def test_of_images():
    network = LipschitzConvNet((32, 32), seed=0)
    network.build((None, 8, 8, 2))
    found = sharpness(network, normal(8, 8, 8, 2))
    assert 1.0 < min(found) and max(found) < 6.0


def test_slope_of_a_large_scale_is_finite():
    for rms in (1e-3, 1.0, 1e3):
        layer = LipSwish(rms)
        layer.build()
        np.testing.assert_allclose(tf.math.softplus(layer.raw_slope.value), 3.0 / rms, rtol=1e-4)
