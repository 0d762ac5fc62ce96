"""Adam in one operation a weight is Keras's Adam."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.models import _fused_adam

SHAPES = ([3, 4], [4], [])
FUSED = {
    "plain": {},
    "betas": {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    "schedule": {"learning_rate": keras.optimizers.schedules.CosineDecay(1e-3, 50)},
    "clipnorm": {"clipnorm": 0.1},
    "clipvalue": {"clipvalue": 0.1},
    "global_clipnorm": {"global_clipnorm": 0.1},
}
NOT_FUSED = {
    "amsgrad": keras.optimizers.Adam(amsgrad=True),
    "weight_decay": keras.optimizers.Adam(weight_decay=0.1),
    "ema": keras.optimizers.Adam(use_ema=True),
    "accumulation": keras.optimizers.Adam(gradient_accumulation_steps=2),
    "loss_scale": keras.optimizers.Adam(loss_scale_factor=2.0),
    "betas": keras.optimizers.Adam(beta_1=0.99, beta_2=0.9),
    "subclass": keras.optimizers.AdamW(),
    "another": keras.optimizers.SGD(),
    "scaled": keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
}


def made(dtype, **kwargs):
    rng = np.random.default_rng(0)
    weights = [keras.Variable(rng.normal(size=shape), dtype=dtype) for shape in SHAPES]
    optimizer = keras.optimizers.Adam(**{"learning_rate": 1e-3, **kwargs})
    optimizer.build(weights)
    return weights, optimizer


@pytest.mark.parametrize("kwargs", FUSED.values(), ids=FUSED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_hundred_steps_are_those_of_keras(kwargs, dtype):
    weights, optimizer = made(dtype, **kwargs)
    expected, reference = made(dtype, **kwargs)
    assert _fused_adam.fits(optimizer, weights)

    @tf.function(autograph=False)
    def step(gradients):
        flags = _fused_adam.apply(optimizer, gradients, weights, tf.constant(True))
        reference.apply(gradients, expected)
        return flags

    rng = np.random.default_rng(1)
    for _ in range(100):
        gradients = [tf.constant(rng.normal(size=shape), dtype) for shape in SHAPES]
        assert np.all(step(gradients))
    for this, that in zip(weights, expected, strict=True):
        np.testing.assert_allclose(this.value, that.value, rtol=1e-6, atol=1e-6)
    # The kernel has 1 - beta_2 = 0.001 in float32: to five digits.
    for this, that in zip(optimizer.variables, reference.variables, strict=True):
        np.testing.assert_allclose(this.value, that.value, rtol=2e-5, atol=1e-6)
    assert int(optimizer.iterations) == 100


@pytest.mark.parametrize("jit_compile", [False, True])
def test_rates_and_counts_may_be_assigned(jit_compile):
    weights, optimizer = made("float32")
    expected, reference = made("float32")

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(gradients):
        _fused_adam.apply(optimizer, gradients, weights, tf.constant(True))

    gradients = [tf.ones(shape) for shape in SHAPES]
    for rate in (1e-3, 1e-4):
        for each in (optimizer, reference):
            each.learning_rate = rate
        step(gradients)
        reference.apply(gradients, expected)
        for each in (optimizer, reference):
            each.iterations.assign(10)
    for this, that in zip(weights, expected, strict=True):
        np.testing.assert_allclose(this.value, that.value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_nothing_changes_where_it_may_not(jit_compile):
    weights, optimizer = made("float32")
    gradients = [tf.ones(shape) for shape in SHAPES]
    _fused_adam.apply(optimizer, gradients, weights, tf.constant(True))
    before = [np.array(v.value) for v in (*weights, *optimizer.variables)]

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(gradients, may_change):
        return _fused_adam.apply(optimizer, gradients, weights, may_change)

    assert np.all(step(gradients, tf.constant(False)))
    huge = [tf.fill(shape, 1e30) for shape in SHAPES]
    lost = [gradients[0], gradients[1] * np.nan, gradients[2]]
    assert not np.any(step(huge, tf.constant(True)))
    assert step(lost, tf.constant(True)).numpy().tolist() == [True, False, True]
    for variable, value in zip((*weights, *optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(variable.value, value)


def test_a_weight_without_a_gradient_stays_and_is_named():
    weights, optimizer = made("float32")
    before = np.array(weights[1].value)
    gradients = [tf.ones(SHAPES[0]), None, tf.ones(SHAPES[2])]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        flags = _fused_adam.apply(optimizer, gradients, weights, tf.constant(True))
    assert np.all(flags) and flags.shape == [3]
    np.testing.assert_array_equal(weights[1].value, before)


@pytest.mark.parametrize("optimizer", NOT_FUSED.values(), ids=NOT_FUSED)
def test_what_is_not_plain_adam_is_left_to_keras(optimizer):
    weights = [keras.Variable(tf.zeros(shape)) for shape in SHAPES]
    optimizer.build(weights)
    assert not _fused_adam.fits(optimizer, weights)


def test_constraints_are_left_to_keras():
    dense = keras.layers.Dense(2, kernel_constraint="non_neg")
    dense.build((None, 3))
    optimizer = keras.optimizers.Adam()
    optimizer.build(dense.trainable_weights)
    assert not _fused_adam.fits(optimizer, dense.trainable_weights)
