"""The sizes of the timed workloads, the same for every framework."""

from typing import NamedTuple

import numpy as np

# So small that all are timed at their initial weights, after any number of steps.
LEARNING_RATE = 1e-6


class Workload(NamedTuple):
    """An architecture, and the number of rows of each task.

    Attributes:
      event_size: D.
      num_layers: the number of transforms, each with one network.
      hidden_units: widths of the hidden layers of each network.
      batch_size: the number of rows of a train step.
      num_samples: the number of samples drawn.
      num_points: the number of points of the log-density.
      learning_rate: the learning rate of Adam.
      seed: the seed of the weights.
      is_timed: whether kernels that start at zero are drawn at random instead, so that searches
        cost as much as in a trained flow.
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

    They are the same for all frameworks that take them, since a solver's steps depend on them.
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
# Residual blocks: the bound of the Lipschitz constant; and in training the number of terms of the
# series that are always taken, and the chance of each further term (four on average).
COEFFICIENT, NUM_TERMS, MORE_TERMS = 0.9, 3, 0.5
TOLERANCE = 1e-5  # relative and absolute tolerance of the solvers of continuous flows

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

# For learning curves. The event size is the number of columns of the table.
LEARNING = Workload(2, 6, (64, 64), 128, learning_rate=1e-3, is_timed=False)
