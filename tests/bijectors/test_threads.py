"""Threads: each has its own training mode and its own memory of passes."""

import threading

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.bijectors import _inference_mode

tfb, tfd = tfp.bijectors, tfp.distributions


class Within(keras.layers.Layer):
    """Runs a function within the call of a layer, so that Keras's mode is that of the call."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.built = True

    def call(self, x, training=False):
        return self.function(x)


class Probe(keras.layers.Layer):
    """Says by its result in which mode it runs."""

    def call(self, x, training=False):
        return x + (1.0 if training else 0.0)


def in_another_thread(function):
    """Runs the function to its end, and returns its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def mode_after_inference(training):
    """0 or 1: the mode of a layer that is called after `inference_mode`, in a call of that mode."""
    probe = Probe()

    def function(x):
        with _inference_mode.inference_mode():
            probe(x, training=False)
        return probe(x)

    return float(Within(function)(tf.zeros([]), training=training))


def test_the_mode_of_another_thread_is_not_seen(monkeypatch):
    """Another thread asks for its mode right after this one has, each time."""
    layer, this, others = _inference_mode._MODE, threading.get_ident(), []

    def interrupted(*args, **kwargs):
        result = layer(*args, **kwargs)
        if threading.get_ident() == this:
            others.append(in_another_thread(lambda: mode_after_inference(not training)))
        return result

    monkeypatch.setattr(_inference_mode, "_MODE", interrupted)
    for training in (False, True):
        others.clear()
        assert mode_after_inference(training) == training
        assert others and set(others) == {float(not training)}


def dropped(num_rows=64):
    """A coupling with dropout, whose weights are not zero, and points."""
    network = tfpf.layers.MLP(2, (16,), dropout=0.5, seed=1)
    network.build((None, 1))
    for v in network.trainable_variables:
        v.assign(np.random.default_rng(0).normal(size=v.shape))
    coupling = tfpf.bijectors.Coupling(network, mask=[True, False])
    return coupling, tf.random.stateless_normal([num_rows, 2], seed=[1, 2])


def test_a_pass_of_another_thread_is_not_remembered():
    """The thread that trains keeps its result, and with it what TFP remembers, alive."""
    coupling, y = dropped()
    expected = coupling.inverse(tf.identity(y))
    within = Within(coupling.inverse)
    trained = in_another_thread(lambda: within(y, training=True))
    assert not np.allclose(trained, expected)
    np.testing.assert_array_equal(coupling.inverse(y), expected)
    np.testing.assert_array_equal(in_another_thread(lambda: coupling.inverse(y)), expected)


class TakeTurns(keras.callbacks.Callback):
    """Both trainings are in their n-th step at the same time."""

    def __init__(self, barrier):
        super().__init__()
        self.barrier = barrier

    def on_train_batch_begin(self, batch, logs=None):
        self.barrier.wait(timeout=120)


def trained(seed, barrier=None):
    """The weights of a flow with dropout after a few steps, and its densities."""
    network = tfpf.layers.MADE(2, 2, (8,), dropout=0.5, seed=seed)
    network.build((None, 2))
    # Its density goes the slow way, in which networks run in inference mode for a while.
    slow = tfb.Invert(tfpf.bijectors.Autoregressive(lambda x: network(x), dtype=tf.float32))
    fast = tfpf.bijectors.Autoregressive(network)
    base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, tfb.Chain([slow, fast])))
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False, run_eagerly=True)
    x = np.random.default_rng(seed).normal(size=[8, 2]).astype("float32")
    callbacks = [TakeTurns(barrier)] if barrier else []
    model.fit(x, batch_size=4, epochs=1, verbose=0, shuffle=False, callbacks=callbacks)
    return [v.numpy() for v in model.trainable_variables], model.predict(x, verbose=0)


def test_two_models_train_in_two_threads_as_alone():
    alone = [trained(seed) for seed in (1, 2)]
    barrier, together = threading.Barrier(2), {}
    threads = [
        threading.Thread(target=lambda seed=seed: together.update({seed: trained(seed, barrier)}))
        for seed in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, expected in zip((1, 2), alone, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, together[seed], expected)
