"""Fixtures of the whole suite, and of the examples in docstrings."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import gc  # noqa: E402
from unittest import mock  # noqa: E402

import keras  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework import random_seed  # noqa: E402

# Optimisations by LLVM, and the making of fused loops by MLIR, are two thirds of the time that XLA
# takes to compile. XLA's own passes, which decide what is computed, stay. The slow tests compile as
# users do.
FAST_COMPILATION = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if tf.__version__.startswith("2.21."):  # elsewhere XLA lacks the flag, and ends the process
    FAST_COMPILATION += " --xla_cpu_use_fusion_emitters=false"


def pytest_configure(config):
    """Called by pytest before any test is collected, and before XLA reads its flags."""
    if config.option.markexpr == "not slow":
        os.environ.setdefault("XLA_FLAGS", FAST_COMPILATION)


# TensorFlow's seed counts only for random operations that keep a state, and all of them ask for it
# by `get_seed`. It is set anew only after a test that asked, since TensorFlow empties its cache of
# kernels whenever it is set, and eager tests take a tenth longer.
get_seed = random_seed.get_seed
asked_for_seed = [True]


def _noting_get_seed(op_seed):
    asked_for_seed[0] = True
    return get_seed(op_seed)


random_seed.get_seed = _noting_get_seed


@pytest.fixture(autouse=True)
def _seeded():
    if asked_for_seed[0]:
        keras.utils.set_random_seed(0)
        asked_for_seed[0] = False
    else:
        with mock.patch.object(tf.random, "set_seed"):
            keras.utils.set_random_seed(0)


# TensorFlow keeps millions of Python objects for as long as the process lives, and each full pass
# of the garbage collector looks at all of them: up to half a minute late in a run. What has
# survived a file of tests is left out of later passes.
# The passes over new objects are made rarer: tracing a graph makes many objects that stay.
def pytest_collection_finish():
    """Called by pytest before the first test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 1000)


@pytest.fixture(autouse=True, scope="module")
def _collected():
    yield
    gc.collect()
    gc.freeze()


# A class that an example makes belongs to the user, as at a prompt, and not to the module whose
# docstring it is in: tests go through all bijectors of the package.
@pytest.fixture(autouse=True, scope="session")
def _examples_belong_to_main(doctest_namespace):
    doctest_namespace["__name__"] = "__main__"
