"""A first look at an installed package: `python tests/smoke.py`, in its environment.

Run by `nox -s installed`, from a folder that has no copy of the source.
"""

import importlib.metadata
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402

import tfp_flows as tfpf  # noqa: E402

SOURCE = pathlib.Path(__file__).parents[1] / "tfp_flows"
PACKAGE = pathlib.Path(tfpf.__file__).parent


def modules(folder):
    """The files of a package, as they are named below its folder."""
    return {path.relative_to(folder) for path in folder.rglob("*.py")}


def main():
    """Fits, saves and loads a small flow of what is installed."""
    assert PACKAGE != SOURCE, "the package must be the one that is installed"
    assert modules(PACKAGE) == modules(SOURCE)
    assert tfpf.__version__ == importlib.metadata.version("tfp_flows")
    names = {str(path) for path in importlib.metadata.files("tfp_flows")}
    assert not any(name.startswith(("tests", "docs", "benchmarks")) for name in names)
    assert any(name.endswith("LICENSE") for name in names)
    x = np.random.default_rng(0).normal(size=[200, 2]).astype("float32")
    model = tfpf.FlowModel(tfpf.flows.real_nvp(2, num_layers=2, hidden_units=(8,), seed=0))
    model.compile("adam", jit_compile=True)
    model.fit(x, epochs=2, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/m.keras")
        loaded = keras.saving.load_model(f"{folder}/m.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    print(f"tfp_flows {tfpf.__version__} in {PACKAGE} works")


if __name__ == "__main__":
    main()
