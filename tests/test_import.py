"""What `import tfp_flows` costs, and under which Keras it refuses to work."""

import os
import pathlib
import statistics
import subprocess
import sys

import pytest

import tfp_flows

ROOT = pathlib.Path(tfp_flows.__file__).parents[1]


def run(code, **environment):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_another_backend_is_refused_and_says_how_to_set_it(backend):
    done = run("import tfp_flows", KERAS_BACKEND=backend)
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError")
    assert 'KERAS_BACKEND="tensorflow"' in message and "before Keras" in message
    assert message.endswith(f"Received: KERAS_BACKEND={backend!r}")


def test_a_backend_that_is_set_in_another_way_is_refused():
    # The check after Keras's import: its configuration file, here by what Keras then answers.
    done = run("import keras; keras.backend.backend = lambda: 'torch'; import tfp_flows")
    assert done.returncode != 0
    assert 'KERAS_BACKEND="tensorflow"' in done.stderr
    assert "Received: keras.backend.backend()='torch'" in done.stderr


# Beside what the package stands on, in one process: a second on one machine is two on another.
# Imported again and again, for the first import also compiles files that were never compiled.
# Processor time, not the clock.
COST = """
import sys, time
start = time.process_time()
import keras, tensorflow as tf, tensorflow_probability as tfp
tfp.distributions, tfp.bijectors, tfp.math, tf.linalg, keras.layers, keras.Model
print(time.process_time() - start)
stands_on = set(sys.modules)
for _ in range(3):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tfp_flows"]:
        del sys.modules[name]
    start = time.process_time()
    import tfp_flows
    print(time.process_time() - start)
loaded = {name.partition(".")[0] for name in set(sys.modules) - stands_on}
print(*loaded - sys.stdlib_module_names)
"""


def test_import_costs_little_over_what_it_stands_on():
    done = run(COST)
    assert done.returncode == 0, done.stderr[-2000:]
    *times, loaded = done.stdout.splitlines()
    assert loaded == "tfp_flows"
    stood_on, first, *again = map(float, times)
    # 0.03 where measured, 0.2 of 5.4 s.
    assert min(first, statistics.median(again)) <= 0.06 * stood_on


def test_import_makes_nothing_and_warns_of_nothing():
    code = (
        "import warnings; import keras, tensorflow, tensorflow_probability as tfp;"
        "tfp.distributions, tfp.bijectors; warnings.simplefilter('error'); import tfp_flows"
    )
    done = run(code, TF_CPP_MIN_LOG_LEVEL="3")
    assert done.returncode == 0, done.stderr[-2000:]
