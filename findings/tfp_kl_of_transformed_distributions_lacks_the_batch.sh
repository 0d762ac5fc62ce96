#!/usr/bin/env bash
# tensorflow-probability 0.25.0 (tensorflow and tf_keras 2.21.0): `tfd.kl_divergence` of two
# `tfd.TransformedDistribution`s with one bijector that has a batch shape.
#
# Both distributions have batch shape [3], from the bijector; their divergence has shape [], that of the
# bases. `tfd.kl_divergence(p, q)` is documented to have the batch shape of the two. With
# `tfd.Independent` around them, which sums over that axis, it raises InvalidArgumentError.
#
# Fails if that changes. Takes a few minutes, most of them the installation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-probability==0.25.0 tensorflow==2.21.0 tf_keras==2.21.0
cat > "$folder/show.py" <<'PY'
import tensorflow as tf
import tensorflow_probability as tfp

tfb, tfd = tfp.bijectors, tfp.distributions
shift = tfb.Shift([0.0, 1.0, 2.0])
p = tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), shift)
q = tfd.TransformedDistribution(tfd.Normal(1.0, 1.0), shift)
print("batch shape of both:", p.batch_shape, q.batch_shape)
divergence = tfd.kl_divergence(p, q)
print("divergence:", divergence.numpy(), "of shape", divergence.shape)
try:
    independent = str(tfd.kl_divergence(tfd.Independent(p, 1), tfd.Independent(q, 1)).numpy())
except tf.errors.InvalidArgumentError:
    independent = "InvalidArgumentError"
print("of Independent, where 1.5 is right:", independent)
assert p.batch_shape == q.batch_shape == [3], "the behaviour has changed"
assert divergence.shape == [], "the behaviour has changed"
assert independent == "InvalidArgumentError", "the behaviour has changed"
PY
CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { tail -3 "$folder/log" >&2; exit 1; }
