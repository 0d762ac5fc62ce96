#!/usr/bin/env bash
# tensorflow-probability 0.25.0 with numpy 2.4 (tensorflow and tf_keras 2.21.0): `tfb.Pad()` and
# `tfb.SoftmaxCentered()` cannot be made.
#
# Both raise TypeError, "reshape() got an unexpected keyword argument 'newshape'", which numpy 2.4 has
# removed; pip installs that numpy beside TFP. So `tfd.Dirichlet` has no default constraining bijector
# there, and joint distributions with one cannot be constrained. With numpy 2.3 all of it works.
#
# Fails if that changes. Takes a few minutes, most of them the installation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-probability==0.25.0 tensorflow==2.21.0 tf_keras==2.21.0 "numpy==2.4.*"
cat > "$folder/show.py" <<'PY'
import numpy as np
import tensorflow_probability as tfp

print("numpy", np.__version__)
for make in (tfp.bijectors.Pad, tfp.bijectors.SoftmaxCentered):
    try:
        make()
        what = "made"
    except TypeError as error:
        what = str(error)
    print(f"{make.__name__}: {what}")
    if np.__version__.startswith("2.4"):
        assert "newshape" in what, "the behaviour has changed"
    else:
        assert what == "made", "the behaviour has changed"
PY
show() { CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { tail -3 "$folder/log" >&2; exit 1; }; }
show
"$folder/venv/bin/pip" install --quiet "numpy==2.3.*"
show
