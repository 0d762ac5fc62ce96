"""The network of angles is the network of their cosines and sines."""

import keras
import numpy as np
import pytest

from tfp_flows.layers import MLP, CircularMLP

X = np.random.default_rng(0).uniform(-3, 3, size=[4, 3]).astype("float32")
C = np.random.default_rng(1).normal(size=[4, 2]).astype("float32")


@pytest.mark.parametrize("context_size", [0, 2])
def test_value_is_that_of_cosines_and_sines(context_size):
    c = C if context_size else None
    options = {"context_size": context_size, "output_initializer": "ones", "seed": 1}
    circular, plain = CircularMLP(4, (5,), **options), MLP(4, (5,), **options)
    expected = plain(np.concatenate([np.cos(X), np.sin(X)], axis=-1), context=c)
    assert circular(X, context=c).shape == [4, 4] and np.ptp(expected) > 0.1
    np.testing.assert_allclose(circular(X, context=c), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        circular(X + np.float32(2 * np.pi), context=c), expected, rtol=1e-4, atol=1e-4
    )


def test_starts_at_zero_and_is_made_again_from_its_config():
    network = CircularMLP(4, (5,), activation="tanh", seed=1)
    np.testing.assert_array_equal(network(X), np.zeros([4, 4]))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert type(again) is CircularMLP and again.get_config() == network.get_config()
    assert [v.shape for v in again.variables] == [v.shape for v in network.variables]
