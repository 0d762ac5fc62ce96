"""Fixtures of the whole suite."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gc  # noqa: E402
import random  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# LLVM's optimisations are a third of the time that XLA takes to compile. XLA's own passes, which
# decide what is computed, stay. The slow tests compile as users do.
FAST_COMPILATION = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def pytest_configure(config):
    """Called by pytest before any test is collected, and before XLA reads its flags."""
    if config.option.markexpr == "not slow":
        os.environ.setdefault("XLA_FLAGS", FAST_COMPILATION)


# They draw by seeds of their own, by file or folder. TensorFlow's empties its cache of kernels
# whenever it is set, and eager tests take a tenth longer.
WITHOUT_SEED_OF_TENSORFLOW = {
    "test_autoregressive",
    "test_conditioning",
    "test_contract",
    "test_coupling",
    "test_coupling_mask",
    "test_extremes_hypothesis",
    "test_flow_bijector",
    "test_image_contract",
    "test_networks",
    "test_pass_cache",
    "test_recipes",
    "continuous",
    "layers",
    "linalg",
    "linear",
    "math",
    "ode",
    "residual",
    "shape",
    "solvers",
    "splines",
    "transformers",
}


@pytest.fixture(autouse=True)
def _seeded(request):
    if WITHOUT_SEED_OF_TENSORFLOW & {request.path.stem, request.path.parent.name}:
        random.seed(0)
        np.random.seed(0)
    else:
        keras.utils.set_random_seed(0)


# TensorFlow keeps millions of Python objects for as long as the process lives, and each full pass
# of the garbage collector looks at all of them: up to half a minute late in a run. What has
# survived a file of tests is left out of later passes.
def pytest_collection_finish():
    """Called by pytest before the first test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _collected():
    yield
    gc.collect()
    gc.freeze()
