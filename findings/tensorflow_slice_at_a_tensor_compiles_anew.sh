#!/usr/bin/env bash
# TensorFlow 2.21.0 under XLA: indexing by a tensor compiles the whole program anew whenever a value
# changes that the index was computed from, although no shape depends on it.
#
#     @tf.function(jit_compile=True)
#     def f(w, x):
#         return tf.reduce_sum(tf.tanh(x[tf.argmax(w)]))
#
# `x[i]` is a StridedSlice. XLA takes its start for a constant of the compilation, and with it all that
# the start is computed from: here `w`, in a model perhaps all weights, so that each training step
# compiles. No warning is given; the results are right. `tf.gather(x, i)` compiles once.
#
# The number of compilations is that of the modules that XLA dumps.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet tensorflow==2.21.0
cat > "$scratch/show.py" <<'PYTHON'
import sys

import tensorflow as tf

ways = {
    "slice": lambda x, i: x[i],
    "gather": lambda x, i: tf.gather(x, i),
}


@tf.function(jit_compile=True, autograph=False)
def f(w, x):
    return tf.reduce_sum(tf.tanh(ways[sys.argv[1]](x, tf.argmax(w))))


x = tf.reshape(tf.range(6.0), [3, 2])
for number in range(4):
    # The largest number stays where it is, so the index is 0 each time.
    value = f(tf.constant([5.0 + number, 1.0, 2.0]), x)
    assert abs(float(value) - 0.76159) < 1e-4, value
PYTHON
for way in slice gather; do
  CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=3 \
    XLA_FLAGS="--xla_dump_to=$scratch/$way --xla_dump_hlo_as_text" \
    "$scratch/venv/bin/python" "$scratch/show.py" "$way" 2>/dev/null
done
count() {
  find "$scratch/$1" -name '*f_*before_optimizations.txt' | wc -l
}
slices=$(count slice)
gathers=$(count gather)
echo "four calls of a program: $slices compilations with x[i], $gathers with tf.gather(x, i)"
[ "$slices" = 4 ] && [ "$gathers" = 1 ] || { echo "the behaviour has changed" >&2; exit 1; }
