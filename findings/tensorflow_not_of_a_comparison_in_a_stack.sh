#!/usr/bin/env bash
# TensorFlow 2.21.0: in a graph, an element of a stack that holds the negation of a comparison has the
# wrong value as soon as it is negated again.
#
#     h = tf.reduce_sum(w) > 0              # True
#     n = tf.stack([~h, ~h])[1]             # False
#     return n, ~n
#
# gives (False, True) eagerly and (True, False) from `tf.function`. Grappler's arithmetic optimization
# makes one comparison of `~(a > b)`, in place, although the stack still has to be negated. Without that
# optimization, or with `tf.unstack` in place of the index, the graph is right. No warning is given.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet tensorflow==2.21.0
cat > "$scratch/show.py" <<'PYTHON'
import tensorflow as tf


def negated(w):
    h = tf.reduce_sum(w) > 0
    n = tf.stack([~h, ~h])[1]
    return n, ~n


def unstacked(w):
    h = tf.reduce_sum(w) > 0
    n = tf.unstack(tf.stack([~h, ~h]))[1]
    return n, ~n


def values(function):
    return [bool(value) for value in function(tf.ones([3]))]


print("TensorFlow", tf.__version__)
graph = tf.function(negated, autograph=False)
found = [values(negated), values(graph), values(tf.function(unstacked, autograph=False))]
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
found.append(values(tf.function(negated, autograph=False)))
for name, each in zip(("eager", "graph", "graph, unstack", "graph, no optimization"), found):
    print(f"{name}: {each}")
right, wrong = [False, True], [True, False]
assert found == [right, wrong, right, right], "the behaviour has changed"
PYTHON
CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=3 "$scratch/venv/bin/python" "$scratch/show.py" 2>/dev/null
