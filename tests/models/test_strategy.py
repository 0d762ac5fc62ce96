"""Two devices train as one does, compiled by XLA on each."""

import subprocess
import sys

import numpy as np

# Logical devices have to be made before TensorFlow starts.
SCRIPT = """
import contextlib
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import tfp_flows as tfpf
x = np.random.default_rng(0).normal(size=(512, 2)).astype("float32")
for scope in (contextlib.nullcontext, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope):
    with scope():
        flow = tfpf.flows.maf(2, num_layers=2, hidden_units=(16,), seed=1)
        model = tfpf.FlowModel(flow)
        model.compile(keras.optimizers.Adam(1e-2), jit_compile=True)
        history = model.fit(x, epochs=3, batch_size=128, shuffle=False, verbose=0).history
        evaluated = model.evaluate(x, batch_size=128, verbose=0)
        predicted = model.predict(x, batch_size=128, verbose=0)
        variational = tfpf.VariationalModel(
            tfpf.flows.iaf(2, num_layers=1, hidden_units=(8,), seed=1),
            lambda z: -tf.reduce_sum((z - 1.0) ** 2, axis=-1),
            seed=3,
        )
        variational.compile(keras.optimizers.Adam(1e-2))
        elbo = variational.fit(steps_per_epoch=20, epochs=2, verbose=0).history["elbo"]
    print(*history["loss"], evaluated, *predicted[:3], elbo[0] < elbo[1])
"""


def test_mirrored_strategy_agrees_with_one_device():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr[-2000:]
    one, two = (line.split() for line in result.stdout.splitlines())
    assert one[-1] == two[-1] == "True"
    one, two = (np.array(numbers[:-1], float) for numbers in (one, two))
    assert one[0] - one[2] > 0.01
    np.testing.assert_allclose(one, two, rtol=1e-4)
