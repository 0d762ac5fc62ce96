"""Hidden units bend at different places at the start, also where a network has few inputs.

Units without biases all bend at zero. If their kernels are small, too, they are close to linear
functions of the inputs. Then the last layer, which starts at zero, finds nothing to work with.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import (
    MADE,
    MLP,
    LipschitzMLP,
    Recurrent,
    ResidualMLP,
    VectorField,
)

X = np.linspace(-2.5, 2.5, 101, dtype="float32")
PLANE = np.stack([X, np.zeros_like(X)], axis=-1)
WIDTHS = (64, 64)


def units(network, kernel, *inputs):
    """The last hidden units, `[101, H]`: the last output, with the weight one for each in turn."""
    columns, shape = [], tuple(kernel.shape)
    evaluate = tf.function(lambda: network(*inputs), autograph=False)  # 64 times
    for j in range(shape[-2]):
        weights = np.zeros(shape)
        weights[..., j, -1] = 1.0
        kernel.assign(weights)
        columns.append(evaluate().numpy()[:, -1])
    return np.stack(columns, axis=-1)


def mlp():
    network = MLP(1, WIDTHS, seed=0)
    network.build((None, 1))
    return units(network, network._output.kernel, X[:, np.newaxis])


def made():
    network = MADE(2, 1, WIDTHS, seed=0)
    network.build((None, 2))
    return units(network, network._output.kernel, PLANE)


def recurrent(cell):
    network = Recurrent(2, 1, (64,), cell, seed=0)
    network.build((None, 2))
    return units(network, network._kernel, PLANE)


def vector_field():
    network = VectorField(2, WIDTHS, seed=0)
    network.build((None, 2))
    return units(network, network.network._output.kernel, np.float32(0.5), PLANE)


def lipschitz():
    network = LipschitzMLP(2, WIDTHS, seed=0)
    network.build((None, 2))
    return units(network, network._dense[-1].kernel, PLANE)


NETWORKS = {
    "mlp": mlp,
    "made": made,
    "gru": lambda: recurrent("gru"),
    "lstm": lambda: recurrent("lstm"),
    "vector_field": vector_field,
    "lipschitz": lipschitz,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_last_layer_alone_can_fit_waves(name):
    """By ridge regression, with weights that Adam reaches soon."""
    h = NETWORKS[name]()
    h = h / np.sqrt(np.mean(h**2))
    h = np.concatenate([h, np.ones([len(X), 1])], axis=-1)
    errors = []
    for wave in (np.sin(2.0 * X), np.cos(2.0 * X), np.sin(2.0 * X + 0.8)):
        penalty = 1e-3 * len(X) * np.eye(h.shape[1])
        weights = np.linalg.solve(h.T @ h + penalty, h.T @ wave)
        errors.append(np.mean((h @ weights - wave) ** 2) / np.mean(wave**2))
    print(name, max(errors))
    assert max(errors) < 0.1


@pytest.mark.parametrize("layer", [ResidualMLP, functools.partial(MADE, residual=True)])
def test_residual_blocks_start_with_bends_too(layer):
    """Their outputs start close to a linear function; the bends are within the blocks."""
    network = layer(2, 1, WIDTHS) if layer is not ResidualMLP else layer(1, WIDTHS)
    network.build((None, 2))
    assert np.std(network._input.bias) > 0.5
    np.testing.assert_array_equal(network(PLANE), np.zeros([len(X), network.output_size]))


def test_first_biases_follow_the_seed_and_differ_from_layer_to_layer():
    networks = [MLP(1, WIDTHS, seed=seed) for seed in (0, 0, 1)]
    for network in networks:
        network.build((None, 1))
    first, same, other = (np.array(network._dense[0].bias) for network in networks)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1
    np.testing.assert_array_equal(networks[0]._dense[1].bias, np.zeros(64))
