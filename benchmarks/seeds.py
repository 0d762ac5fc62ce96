"""Seeds frameworks whose generators are global."""

import sys

import numpy as np


def set_seed(seed):
    """Seeds numpy (normflows draws from it), and torch and Keras if this process has them."""
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)
