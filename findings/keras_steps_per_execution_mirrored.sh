#!/usr/bin/env bash
# keras 3.15.1, tensorflow 2.21.0: `compile(steps_per_execution=3)` under `tf.distribute.MirroredStrategy`.
#
# A plain `Dense` layer, fitted on two logical CPU devices, ends in InvalidArgumentError at its first
# execution: "You must feed a value for placeholder tensor". With one step in an execution it trains,
# and so it does with three steps on one device. One would guess that the two options combine, since
# `steps_per_execution` is recommended for accelerators, several of them included.
#
# Fails if that changes. Takes a few minutes, most of them the installation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "tensorflow==2.21.0" "keras==3.15.1"
cat > "$folder/fit.py" <<'PY'
import sys

import keras
import numpy as np
import tensorflow as tf

num_devices, steps = map(int, sys.argv[1:])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(num_devices)])
with strategy.scope():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse", jit_compile=False, steps_per_execution=steps)
x = np.ones([24, 2], "float32")
data = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(8)
try:
    model.fit(data, verbose=0)
    print("trained")
except tf.errors.InvalidArgumentError as error:
    print("placeholder" if "must feed a value for placeholder" in str(error) else error)
PY
outcome() { TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/fit.py" "$@" 2> /dev/null | tail -1; }
check() {
  local seen
  seen=$(outcome "$1" "$2")
  echo "$1 devices, $2 steps in an execution: $seen"
  [ "$seen" = "$3" ] || { echo "expected: $3" >&2; exit 1; }
}
check 2 3 placeholder
check 2 1 trained
check 1 3 trained
