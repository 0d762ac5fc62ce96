"""Optimizers with `gradient_accumulation_steps`: several steps make one update, of all rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions

X = np.random.default_rng(0).normal(1.0, size=(32, 2)).astype("float32")
CONTEXT = X[:, :1] - 1.0


def sgd(rate=0.1, steps=2):
    return keras.optimizers.SGD(rate, gradient_accumulation_steps=steps)


def scaled(rate=0.1, steps=2):
    return keras.optimizers.LossScaleOptimizer(sgd(rate, steps), initial_scale=8.0)


def noise_target(location):
    """Its gradient by the location is the mean of the noise, wherever the location is."""

    def target(z):
        noise = tf.stop_gradient(z - location)
        return tf.reduce_sum(noise * (z - tf.stop_gradient(location)), axis=-1)

    return target


def variational_model():
    location = tf.Variable([0.0, 0.0])
    normal = tfd.Independent(tfd.Normal(location, 1.0), 1)
    model = tfpf.VariationalModel(normal, noise_target(location), num_samples=8, seed=3)
    return model, location


def linear_flow_model(context_size):
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    if context_size:
        network = tfpf.layers.MLP(2, (), context_size=1, seed=1)
        network.build((None, 1), (None, 1))
    options = {"mask": [True, False], "context_size": context_size}
    coupling = tfpf.bijectors.Coupling(network, **options)
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    return tfpf.FlowModel(tfpf.distributions.Flow(base, coupling))


def values(model):
    return np.concatenate([np.ravel(weight.numpy()) for weight in model.trainable_weights])


@pytest.mark.parametrize(
    ("optimizer", "context_size", "jit_compile"),
    [(sgd, 0, True), (sgd, 1, False), (scaled, 0, False)],
)
def test_two_batches_make_the_update_of_one(optimizer, context_size, jit_compile):
    data = (CONTEXT, X) if context_size else (X,)
    reached = []
    one = keras.optimizers.SGD(0.1)
    for chosen, batch_size, eager in ((optimizer(), 8, False), (one, 16, True)):
        keras.utils.set_random_seed(1)
        model = linear_flow_model(context_size)
        start = values(model)
        model.compile(chosen, jit_compile=jit_compile and not eager, run_eagerly=eager)
        model.fit(*data, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
        reached.append(values(model))
    assert np.max(np.abs(reached[0] - start)) > 0.01
    np.testing.assert_allclose(*reached, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("optimizer", "jit_compile"), [(sgd, True), (scaled, False)])
def test_each_step_of_a_variational_model_has_samples_of_its_own(optimizer, jit_compile):
    """Were they the same until the update, accumulating them would be of no use."""
    reached = []
    for chosen in (optimizer(0.1), keras.optimizers.SGD(0.05)):
        model, location = variational_model()
        model.compile(chosen, jit_compile=jit_compile)
        history = model.fit(steps_per_epoch=1, epochs=4, verbose=0).history["elbo"]
        assert len(set(history)) == 4
        reached.append([*location.numpy(), *history])
    assert np.all(np.abs(reached[0][:2]) > 1e-3)
    np.testing.assert_allclose(*reached, rtol=1e-4)


def test_flow_matching():
    flow = tfpf.flows.ffjord(2, hidden_units=(4,), seed=1)
    model = tfpf.FlowModel(flow, objective="flow_matching")
    model.compile(sgd(), jit_compile=False)
    start = values(model)
    moved = []
    for _ in range(4):
        model.train_on_batch(X)
        moved.append(np.any(values(model) != start))
        start = values(model)
    assert moved == [False, True, False, True]


def test_a_saved_model_goes_on_within_an_accumulation(tmp_path):
    reached = []
    for is_saved in (False, True):
        model, _ = variational_model()
        model.compile(sgd(), jit_compile=False)
        model.fit(steps_per_epoch=1, verbose=0)
        if is_saved:
            model.save(tmp_path / "m.keras")
            model = keras.saving.load_model(tmp_path / "m.keras")
            model.target_log_prob_fn = noise_target(model.distribution.distribution.loc)
        model.fit(steps_per_epoch=1, verbose=0)
        reached.append(values(model))
    assert np.all(reached[0] != 0.0)
    np.testing.assert_array_equal(*reached)
