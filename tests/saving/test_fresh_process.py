"""A saved model comes back exactly in a fresh process that knows nothing but the package."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
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


def test_loads_scores_and_saves_alike_and_refuses_what_it_does_not_know(tmp_path):
    """Each model gives the same bits and is written again as it was.

    One test and one process for all of them, since its imports take seconds.
    """
    np.savez(tmp_path / "data.npz", x=X, context=CONTEXT)
    expected = {}
    for name in FLOWS:
        model = made_model(name)
        model.save(tmp_path / f"{name}.keras")
        log_prob, sample = scored(model, name == "conditional")
        expected[f"{name}_log_prob"] = log_prob
        expected[f"{name}_sample"] = sample
        expected[f"{name}_trainable"] = [weight.trainable for weight in model.weights]
    layer = OfAnotherModule(2)
    layer.build((None, 2))
    tfpf.FlowModel(with_conditioner(layer)).save(tmp_path / "foreign.keras")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path), ",".join(FLOWS)],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = dict(np.load(tmp_path / "results.npz"))
    for name in FLOWS:
        assert np.isfinite(expected[f"{name}_log_prob"]).all(), name
        for what in (f"{name}_log_prob", f"{name}_sample", f"{name}_trainable"):
            np.testing.assert_array_equal(results[what], expected[what], err_msg=what)
            assert results[what].dtype == np.asarray(expected[what]).dtype, what
        again, first = (config_of(tmp_path / f"{name}{end}.keras") for end in ("_again", ""))
        assert again == first, name
    assert "OfAnotherModule" in str(results["refused"])
