"""Pictures are drawn into memory."""

import matplotlib
import pytest


@pytest.fixture(autouse=True)
def _in_memory():
    matplotlib.use("agg")
    yield
    matplotlib.pyplot.close("all")
