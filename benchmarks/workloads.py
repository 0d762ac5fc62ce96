"""The sizes of what is timed, the same for every framework."""

from typing import NamedTuple

import numpy as np


class Workload(NamedTuple):
    """An architecture, and how many rows each task takes.

    Attributes:
      event_size: D.
      num_layers: transforms, one network each.
      hidden_units: widths of the hidden layers of each network.
      batch_size: rows of a train step.
      num_samples: samples drawn.
      num_points: points of the log-density.
    """

    event_size: int
    num_layers: int
    hidden_units: tuple
    batch_size: int
    num_samples: int = 10_000
    num_points: int = 10_000

    def batch(self):
        """Rows to train on, float32 `[batch_size, D]`."""
        return _normal(self.batch_size, self.event_size, seed=1)

    def points(self):
        """Points to score, float32 `[num_points, D]`."""
        return _normal(self.num_points, self.event_size, seed=2)


def _normal(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


TASKS = ("train", "log_prob", "sample")
NUM_BINS, BOUND = 8, 3.0  # of both splines
NUM_POLYNOMIALS, DEGREE = 3, 4  # of sums of squares
BLOCK_UNITS = 8  # units for each coordinate, of block autoregressive networks

WORKLOADS = {
    "affine_coupling": Workload(6, 10, (128, 128), 512),
    "spline_coupling": Workload(8, 10, (128, 128), 512),
    "spline_autoregressive": Workload(8, 5, (128, 128), 512),
    "maf": Workload(21, 5, (256, 256), 256),
    "umnn": Workload(6, 5, (64, 64), 256, num_samples=100),
    "sos": Workload(6, 5, (64, 64), 256, num_samples=1_000),
    "naf": Workload(6, 5, (64, 64), 256, num_samples=1_000),
    "bnaf": Workload(6, 5, (BLOCK_UNITS, BLOCK_UNITS), 256, num_samples=1_000),
}
