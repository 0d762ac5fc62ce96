"""Files that an earlier version saved give the densities that they gave.

One for each recipe, in `files/`, saved by commit 3e83e07 with weights away from their start.
"""

import json
import pathlib
import zipfile

import keras
import numpy as np
import pytest
from packaging.version import Version

FILES = pathlib.Path(__file__).parent / "files"
DENSITIES = json.loads((FILES / "densities.json").read_text())


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_those_of_then(name):
    with zipfile.ZipFile(FILES / f"{name}.keras") as file:
        written_by = json.loads(file.read("metadata.json"))["keras_version"]
    if Version(keras.__version__) < Version(written_by):
        pytest.skip("Keras reads files of its own release and of older ones.")
    model = keras.saving.load_model(FILES / f"{name}.keras")
    shape = [3, *(3 if size is None else size for size in model.distribution.event_shape)]
    rng = np.random.default_rng(1)
    if name == "variational_dequantization":
        x = rng.integers(0, 256, size=shape).astype("uint8")
    else:
        x = rng.normal(size=shape).astype("float32")
    densities = model(x)
    np.testing.assert_allclose(densities, DENSITIES[name], rtol=1e-6, atol=1e-6)
