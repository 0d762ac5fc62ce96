"""Networks inside of TFP objects: whose variables a deep copy lists."""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

B, L = tfpf.bijectors, tfpf.layers


def coupling():
    network = L.MLP(2 * 2, (8,), seed=1)
    network.build((None, 2))
    return B.Coupling(network, B.Affine, mask=[True, True, False, False])


def autoregressive():
    network = L.MADE(4, 2, (8,), seed=1)
    network.build((None, 4))
    return B.Autoregressive(network, B.Affine)


def continuous():
    field = L.VectorField(4, (8,))
    field.build()
    return B.Continuous(field, solver="rk4", num_steps=2)


def residual():
    network = L.LipschitzMLP(4, (8,), seed=1)
    network.build((None, 4))
    return B.Residual(network)


def act_norm():
    bijector = B.ActNorm(4)
    bijector.forward(tf.constant(np.random.default_rng(1).normal(2.0, 3.0, [50, 4]), tf.float32))
    for v in bijector.trainable_variables:
        v.assign_add(tf.ones_like(v))
    return bijector


def chain():
    return tfp.bijectors.Chain([coupling(), act_norm(), autoregressive()])


@pytest.mark.parametrize("make", [act_norm, coupling, autoregressive, continuous, residual, chain])
def test_deep_copy_is_trained_by_the_variables_that_it_lists(make):
    original = make()
    x = tf.constant(np.random.default_rng(0).normal(size=[3, 4]), tf.float32)
    before = original.forward(tf.identity(x))
    copied = copy.deepcopy(original)
    np.testing.assert_array_equal(copied.forward(tf.identity(x)), before)
    assert len(copied.trainable_variables) == len(original.trainable_variables) > 0
    with tf.GradientTape() as tape:
        y = copied.forward(tf.identity(x))
    assert any(g is not None for g in tape.gradient(y, copied.trainable_variables))
    for v in copied.trainable_variables:
        v.assign_add(0.1 * tf.ones_like(v))
    assert np.abs(copied.forward(tf.identity(x)) - before).max() > 1e-3
    np.testing.assert_array_equal(original.forward(tf.identity(x)), before)
