"""A saved model comes back exactly in a fresh process that knows nothing but the package."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from saving_cases import CONTEXT, FLOWS, X, config_of, made_model, scored, with_conditioner

import tfp_flows as tfpf

ROOT = pathlib.Path(tfpf.__file__).parents[1]

# Exactly what the design promises: nothing but `import tfp_flows`, and Keras's own loading.
FRESH = """
import sys
import numpy as np
import tfp_flows
import keras, tensorflow as tf

folder, names = sys.argv[1], sys.argv[2].split(",")
data = np.load(folder + "/data.npz")
results = {}
for name in names:
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    flow = model.distribution
    x = tf.constant(data["x"], flow.dtype)
    if name == "conditional":
        flow = tfp_flows.condition(flow, data["context"])
    results[name + "_log_prob"] = flow.log_prob(x).numpy()
    shape = () if name == "conditional" else 7
    results[name + "_sample"] = flow.sample(shape, seed=tf.constant([5, 0])).numpy()
    results[name + "_trainable"] = [weight.trainable for weight in model.weights]
    model.save(f"{folder}/{name}_again.keras")
try:
    keras.saving.load_model(folder + "/foreign.keras")
except (TypeError, ValueError) as error:
    results["refused"] = str(error)
np.savez(folder + "/results.npz", **results)
"""


@keras.saving.register_keras_serializable(package="test_fresh_process")
class OfAnotherModule(keras.layers.Dense):
    pass


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What one fresh process makes of all the files, and what this one expects."""
    folder = tmp_path_factory.mktemp("saved")
    np.savez(folder / "data.npz", x=X, context=CONTEXT)
    expected = {}
    for name in FLOWS:
        model = made_model(name)
        model.save(folder / f"{name}.keras")
        log_prob, sample = scored(model, name == "conditional")
        expected[f"{name}_log_prob"] = log_prob
        expected[f"{name}_sample"] = sample
        expected[f"{name}_trainable"] = [weight.trainable for weight in model.weights]
    layer = OfAnotherModule(2)
    layer.build((None, 2))
    tfpf.FlowModel(with_conditioner(layer)).save(folder / "foreign.keras")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(folder), ",".join(FLOWS)],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, expected, dict(np.load(folder / "results.npz"))


@pytest.mark.parametrize("name", FLOWS)
def test_gives_the_same_bits(fresh, name):
    _, expected, results = fresh
    assert np.isfinite(expected[f"{name}_log_prob"]).all()
    for what in ("log_prob", "sample", "trainable"):
        np.testing.assert_array_equal(results[f"{name}_{what}"], expected[f"{name}_{what}"])
        assert results[f"{name}_{what}"].dtype == np.asarray(expected[f"{name}_{what}"]).dtype


@pytest.mark.parametrize("name", FLOWS)
def test_saving_again_writes_the_same(fresh, name):
    folder = fresh[0]
    assert config_of(folder / f"{name}_again.keras") == config_of(folder / f"{name}.keras")


def test_refuses_the_layer_of_another_module_by_name(fresh):
    _, _, results = fresh
    assert "OfAnotherModule" in str(results["refused"])
