"""What networks of images and series share: one shape, one context, and a rebuild of the file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import ConvNet, LipschitzConvNet, MaskedConvNet, WaveNet

IMAGE, SERIES = (4, 6, 2), (8, 2)
NETWORKS = {
    "conv_net": (lambda **kwargs: ConvNet(4, (8,), **kwargs), IMAGE),
    "lipschitz_conv_net": (lambda **kwargs: LipschitzConvNet((8,), (3, 3), **kwargs), IMAGE),
    "masked_conv_net": (lambda **kwargs: MaskedConvNet((2,), **kwargs), IMAGE),
    "wavenet": (lambda **kwargs: WaveNet(4, (8, 8), **kwargs), SERIES),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("context_size", [0, 3])
def test_a_rebuilt_layer_has_the_weights_and_refuses_other_shapes(name, context_size):
    make, shape = NETWORKS[name]
    network = make(context_size=context_size, seed=1)
    assert network.get_build_config() is None
    context_shape = (None, context_size) if context_size else None
    network.build((None, *shape), context_shape)
    copy = type(network).from_config(network.get_config())
    copy.build_from_config(network.get_build_config())
    copy.set_weights(network.get_weights())
    x = tf.constant(np.random.default_rng(0).normal(size=(2, *shape)), tf.float32)
    context = tf.ones([2, context_size]) if context_size else None
    np.testing.assert_array_equal(network(x, context), copy(x, context))
    with pytest.raises(ValueError, match=rf"{network.name!r} takes `x` of .*Received: x.shape"):
        network(x[:, :-1], context)
    with pytest.raises(ValueError, match=r"takes .*`context`.*Received: context.shape=\(2, 5\)"):
        network(x, tf.ones([2, 5]))


def test_a_seed_is_checked():
    with pytest.raises(ValueError, match="`seed` .*Received: seed=-1"):
        WaveNet(4, seed=-1)
    assert isinstance(WaveNet(4), keras.layers.Layer)
