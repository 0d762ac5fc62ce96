"""Scatter plots of samples and data, for each pair of columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfp_flows.diagnostics._figures import chosen_columns, grid_of_axes
from tfp_flows.diagnostics._rows import array_of_rows

_MOST_COLUMNS = 20
_MOST_POINTS = 2000


def pairs(
    samples: ArrayLike,
    data: ArrayLike | None = None,
    *,
    columns: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    axes: Any = None,
) -> Any:
    """Draws each pair of columns below the diagonal, and a histogram of each column on it.

    Args:
      samples: `[N, *event]`; the first 2,000 are drawn.
      data: `[M, *event]` to compare with, or `None`.
      columns: the columns to draw, numbered as in a flattened event; by default all, up to 20.
      names: names of the columns that are drawn, or `None` for their numbers.
      axes: K x K axes of matplotlib for K columns, or `None` for a new figure.

    Returns:
      An array of axes, `[K, K]`; those above the diagonal are switched off.

    Raises:
      TypeError: if `samples` or `data` are not numbers.
      ValueError: if `data` has another width than `samples`, a column is named twice or is out of
        range, there are more than 20 columns and none is chosen, or `names` or `axes` have the
        wrong number.
      ImportError: if matplotlib is not installed.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> samples, data = np.random.default_rng(1).normal(size=[2, 100, 3])
      >>> tfpf.diagnostics.pairs(samples, data, columns=[0, 2], names=["mass", "age"]).shape
      (2, 2)

    See also: `tfpf.diagnostics.density_2d`.
    """
    samples = _flat(samples, "samples")
    drawn = [("samples", samples)]
    if data is not None:
        data = _flat(data, "data")
        if data.shape[1] != samples.shape[1]:
            raise ValueError(
                f"`data` must have the width of `samples`, {samples.shape[1]} numbers per row. "
                f"Received: {data.shape[1]} numbers per row"
            )
        drawn.insert(0, ("data", data))
    columns = chosen_columns(columns, samples.shape[1], _MOST_COLUMNS)
    names = list(map(str, columns if names is None else names))
    if len(names) != len(columns):
        raise ValueError(
            f"`names` must have length {len(columns)}, a name for each column that is drawn. "
            f"Received: names={names}"
        )
    axes = grid_of_axes(axes, len(columns), len(columns))
    for i, row in enumerate(axes):
        for j, ax in enumerate(row):
            for label, points in drawn:
                if i == j:
                    shown = points[:, columns[i]]
                    shown = shown[np.isfinite(shown)]
                    ax.hist(shown, bins=40, density=True, histtype="step", label=label)
                elif j < i:
                    shown = points[:_MOST_POINTS]
                    ax.plot(shown[:, columns[j]], shown[:, columns[i]], ".", markersize=2)
            if j > i:
                ax.set_axis_off()
            if i == len(columns) - 1:
                ax.set_xlabel(names[j])
            if j == 0 and i > 0:
                ax.set_ylabel(names[i])
    axes[0, 0].legend()
    return axes


def _flat(values: ArrayLike, name: str) -> np.ndarray:
    values = array_of_rows(values, name)
    return np.reshape(values, [len(values), -1])
