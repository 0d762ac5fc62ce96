#!/usr/bin/env bash
# tensorflow-probability 0.25.0 (tensorflow and tf_keras 2.21.0): `pickle` of `tfd.Independent`,
# `tfd.TransformedDistribution` and `tfd.MultivariateNormalDiag`.
#
# `pickle.dumps` succeeds and `pickle.loads` raises TypeError, "missing a required argument:
# 'distribution'": what was written cannot be read. `tfd.Normal` is pickled and read. One would guess
# that a distribution made of others is as picklable as they are, or that writing it fails at once.
#
# Fails if that changes. Takes a few minutes, most of them the installation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-probability==0.25.0 tensorflow==2.21.0 tf_keras==2.21.0
cat > "$folder/show.py" <<'PY'
import pickle

import tensorflow_probability as tfp

tfb, tfd = tfp.bijectors, tfp.distributions
normal = tfd.Normal([0.0], 1.0)
found = {}
for each in (
    normal,
    tfd.Independent(normal, 1),
    tfd.TransformedDistribution(normal, tfb.Exp()),
    tfd.MultivariateNormalDiag([0.0]),
):
    written = pickle.dumps(each)
    try:
        pickle.loads(written)
        found[type(each).__name__] = "is read"
    except TypeError as error:
        found[type(each).__name__] = f"TypeError: {error}"
for name, what in found.items():
    print(f"{name}: {what}")
read, *others = found.values()
assert read == "is read", "the behaviour has changed"
assert all("missing a required argument" in each for each in others), "the behaviour has changed"
PY
CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { tail -3 "$folder/log" >&2; exit 1; }
