"""Faults of the data themselves: columns without a density."""

import dataclasses
from collections.abc import Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Columns:
    """What `diagnose` found in the data.

    Columns are numbered as in a flattened row.

    Attributes:
      not_finite: the share of rows that hold NaN or infinity.
      constant: columns with the same number in all rows.
      dependent: tuples of columns that determine each other: a column and its copy, or columns with
        a constant sum. No flow has a density for them.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> x = np.random.default_rng(1).normal(size=[50, 3])
      >>> x[:, 1], x[:, 2] = 7.0, 2.0 * x[:, 0]
      >>> columns = tfpf.diagnose(tfpf.bijectors.Affine(0.0), x).data
      >>> columns.constant, columns.dependent
      ((1,), ((0, 2),))

    See also: `tfpf.diagnose`.
    """

    not_finite: float
    constant: tuple
    dependent: tuple


def find_columns(x: np.ndarray) -> Columns:
    """Finds the faults of columns of rows `[N, ...]`.

    Up to 10,000 rows are used to find copies, up to a shift and a scale. If there are at least
    twice as many rows as columns, columns that add up to another one are found, too.
    """
    x = np.reshape(x, [len(x), -1])
    finite = np.isfinite(x).all(axis=1)
    x = x[finite]
    if len(x) < 2:
        return Columns(float(1.0 - finite.mean()), (), ())
    eps, low, high = np.finfo(x.dtype).eps, x.min(axis=0), x.max(axis=0)
    # A range below the rounding of the dtype does not count as variation.
    is_constant = high - low <= 4 * eps * np.maximum(np.abs(low), np.abs(high))
    x = x[:10_000].astype(np.float64)
    center, deviation = x.mean(axis=0), x.std(axis=0)
    varying = np.flatnonzero(~is_constant & (deviation > 0))
    z = (x[:, varying] - center[varying]) / deviation[varying]
    # The tolerance is the variance that rounding leaves between equal columns.
    relative = np.max(np.abs(center[varying]) / deviation[varying], initial=1.0)
    tolerance = max((8 * eps * relative) ** 2, 1e-12)
    groups = [tuple(varying[group].tolist()) for group in _dependent(z, tolerance)]
    return Columns(
        float(1.0 - finite.mean()), tuple(np.flatnonzero(is_constant).tolist()), tuple(groups)
    )


def _dependent(z: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    """Groups of standardized columns that determine each other."""
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
