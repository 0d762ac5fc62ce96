"""A training takes no more memory the longer it is."""

import gc
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

STATUS = pathlib.Path("/proc/self/statm")
PAGE = 4096


def generated(num_batches):
    """Batches that exist only when they are asked for."""

    def batch(i):
        return tf.random.stateless_normal([32, 2], tf.stack([i, i])) + [1.0, -1.0]

    return tf.data.Dataset.range(num_batches).map(batch)


class Memory(keras.callbacks.Callback):
    """The number of Python's objects, and the bytes in memory, after each epoch."""

    def __init__(self):
        super().__init__()
        self.objects, self.bytes = [], []

    def on_epoch_end(self, epoch, logs=None):
        gc.collect()
        self.objects.append(len(gc.get_objects()))
        self.bytes.append(PAGE * int(STATUS.read_text().split()[1]) if STATUS.exists() else 0)


def model_of(kind):
    location = tf.Variable([0.0, 0.0])
    normal = tfp.distributions.MultivariateNormalDiag(location, [1.0, 1.0])
    if kind == "variational":
        return tfpf.VariationalModel(normal, lambda z: -tf.reduce_sum((z - 1.0) ** 2, -1), 16, 1)
    return tfpf.FlowModel(normal)


@pytest.mark.slow  # Memory shows after thousands of steps.
@pytest.mark.parametrize(
    ("kind", "options", "optimizer"),
    [
        ("flow", {"steps_per_execution": 100}, keras.optimizers.Adam(0.01)),
        ("flow", {}, keras.optimizers.SGD(0.01, gradient_accumulation_steps=4)),
        ("variational", {"steps_per_execution": 100}, keras.optimizers.Adam(0.01)),
    ],
)
def test_memory_stays_flat(kind, options, optimizer):
    model, memory = model_of(kind), Memory()
    model.compile(keras.optimizers.get(optimizer), jit_compile=False, **options)
    data = {} if kind == "variational" else {"x": generated(500)}
    model.fit(**data, steps_per_epoch=500, epochs=5, verbose=0, callbacks=[memory])
    # The first epochs trace and fill caches. An object a step would be five hundred an epoch, and
    # four kilobytes a step four megabytes.
    assert memory.objects[-1] - memory.objects[2] < 200
    assert memory.bytes[-1] - memory.bytes[2] < 2e6


def test_several_steps_of_a_variational_model_in_one_execution():
    """They draw what they draw one by one."""
    losses = []
    for steps in (1, 4):
        model = model_of("variational")
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False, steps_per_execution=steps)
        history = model.fit(steps_per_epoch=10, epochs=2, verbose=0).history["loss"]
        losses.append([*history, *np.ravel(model.weights[0])])
    np.testing.assert_allclose(*losses, rtol=1e-5)
