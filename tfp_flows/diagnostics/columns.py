"""Faults of the data themselves: columns without a density of their own."""

import dataclasses
from collections.abc import Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Columns:
    """What `diagnose` found in the data.

    Attributes:
      not_finite: share of the rows that hold NaN or infinity.
      constant: columns in which all rows have the same number. They are numbered as in a flattened
        row.
      dependent: tuples of columns that give each other: a column and its copy, or columns
        with a constant sum. No flow has a density for them.
    """

    not_finite: float
    constant: tuple
    dependent: tuple


def find_columns(x: np.ndarray) -> Columns:
    """The faults of columns of rows `[N, ...]`.

    Copies, up to a shift and a scale, are looked for on up to 10,000 rows, and columns that sum up
    to another one if there are twice as many rows as columns.
    """
    x = np.reshape(x, [len(x), -1])
    finite = np.isfinite(x).all(axis=1)
    x = x[finite]
    if len(x) < 2:
        return Columns(float(1.0 - finite.mean()), (), ())
    eps, low, high = np.finfo(x.dtype).eps, x.min(axis=0), x.max(axis=0)
    # By less than the rounding of its dtype a column is not seen to vary.
    is_constant = high - low <= 4 * eps * np.maximum(np.abs(low), np.abs(high))
    x = x[:10_000].astype(np.float64)
    center, deviation = x.mean(axis=0), x.std(axis=0)
    varying = np.flatnonzero(~is_constant & (deviation > 0))
    z = (x[:, varying] - center[varying]) / deviation[varying]
    # The variance that rounding leaves between columns that are equal.
    relative = np.max(np.abs(center[varying]) / deviation[varying], initial=1.0)
    tolerance = max((8 * eps * relative) ** 2, 1e-12)
    groups = [tuple(varying[group].tolist()) for group in _dependent(z, tolerance)]
    return Columns(
        float(1.0 - finite.mean()), tuple(np.flatnonzero(is_constant).tolist()), tuple(groups)
    )


def _dependent(z: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    """Groups of standardised columns that determine each other."""
    correlation = z.T @ z / len(z)
    first, is_copy = [], np.zeros(z.shape[1], bool)
    for i in range(z.shape[1]):
        if is_copy[i]:
            continue
        same = 1.0 - np.abs(correlation[i]) < tolerance
        if same.sum() > 1:
            yield np.flatnonzero(same)
        is_copy |= same
        first.append(i)
    if len(first) > 1 and len(z) >= 2 * len(first):
        variances, directions = np.linalg.eigh(correlation[np.ix_(first, first)])
        if variances[0] < len(first) * tolerance:
            weights = np.abs(directions[:, 0])
            yield np.array(first)[weights > 0.01 * weights.max()]
