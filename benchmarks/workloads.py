"""The sizes of what is timed, the same for every framework."""

from typing import NamedTuple

import numpy as np

# So small that all are timed at the weights they start with, however often they have stepped.
LEARNING_RATE = 1e-6


class Workload(NamedTuple):
    """An architecture, and how many rows each task takes.

    Attributes:
      event_size: D.
      num_layers: transforms, one network each.
      hidden_units: widths of the hidden layers of each network.
      batch_size: rows of a train step.
      num_samples: samples drawn.
      num_points: points of the log-density.
      learning_rate: of Adam.
      seed: of the weights.
      is_timed: whether kernels that start at zero are drawn instead, so that searches cost what
        they cost in a trained flow.
    """

    event_size: int
    num_layers: int
    hidden_units: tuple
    batch_size: int
    num_samples: int = 10_000
    num_points: int = 10_000
    learning_rate: float = LEARNING_RATE
    seed: int = 0
    is_timed: bool = True

    def batch(self):
        """Rows to train on, float32 `[batch_size, D]`."""
        return _normal(self.batch_size, self.event_size, seed=1)

    def points(self):
        """Points to score, float32 `[num_points, D]`."""
        return _normal(self.num_points, self.event_size, seed=2)


def field_weights(sizes):
    """Kernels and biases of a vector field of (z, t), drawn as torch draws its own.

    The same for all that take them, since a solver's steps depend on them.
    """
    rng = np.random.default_rng(3)
    widths = (sizes.event_size + 1, *sizes.hidden_units, sizes.event_size)
    weights = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        limit = inputs**-0.5
        weights.append(rng.uniform(-limit, limit, (inputs, outputs)).astype(np.float32))
        weights.append(rng.uniform(-limit, limit, outputs).astype(np.float32))
    return weights


def _normal(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


TASKS = ("train", "log_prob", "sample")
NUM_BINS, BOUND = 8, 3.0  # of both splines
NUM_POLYNOMIALS, DEGREE = 3, 4  # of sums of squares
BLOCK_UNITS = 8  # units for each coordinate, of block autoregressive networks
NEGATIVE_SLOPE = 0.2  # of the leaky ReLU of planar layers
# Of residual blocks: the bound of the Lipschitz constant; in training, the terms of the series
# that are sure, and the chance of each further one (four on average).
COEFFICIENT, NUM_TERMS, MORE_TERMS = 0.9, 3, 0.5
TOLERANCE = 1e-5  # relative and absolute, of the solvers of continuous flows

WORKLOADS = {
    "affine_coupling": Workload(6, 10, (128, 128), 512),
    "spline_coupling": Workload(8, 10, (128, 128), 512),
    "spline_autoregressive": Workload(8, 5, (128, 128), 512),
    "maf": Workload(21, 5, (256, 256), 256),
    "maf63": Workload(63, 5, (512, 512), 256, num_samples=1_000),
    "umnn": Workload(6, 5, (64, 64), 256, num_samples=100),
    "sos": Workload(6, 5, (64, 64), 256, num_samples=1_000),
    "naf": Workload(6, 5, (64, 64), 256, num_samples=1_000),
    "bnaf": Workload(6, 5, (BLOCK_UNITS, BLOCK_UNITS), 256, num_samples=1_000),
    "planar": Workload(6, 10, (), 256),
    "residual": Workload(6, 10, (128, 128), 256, num_samples=1_000, num_points=1_000),
    "ffjord2": Workload(2, 1, (64, 64), 512),
    "ffjord6": Workload(6, 1, (64, 64), 512),
    "ffjord6_hutchinson": Workload(6, 1, (64, 64), 512),
}

# Of learning curves: a table's columns are the event size.
LEARNING = Workload(2, 6, (64, 64), 128, learning_rate=1e-3, is_timed=False)
