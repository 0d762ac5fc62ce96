"""Fixtures of the whole suite."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import random  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# They draw by seeds of their own. TensorFlow's empties its cache of kernels whenever it is set, and
# eager tests take a tenth longer.
WITHOUT_SEED_OF_TENSORFLOW = {"test_contract", "test_image_contract", "test_pass_cache"}


@pytest.fixture(autouse=True)
def _seeded(request):
    if request.path.stem in WITHOUT_SEED_OF_TENSORFLOW:
        random.seed(0)
        np.random.seed(0)
    else:
        keras.utils.set_random_seed(0)
