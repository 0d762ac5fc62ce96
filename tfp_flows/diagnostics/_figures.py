"""Which columns to draw, and on which axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows import _checks
from tfp_flows.diagnostics._optional import optional


def chosen_columns(columns: Sequence[int] | None, size: int, most: int) -> list[int]:
    """The columns to draw: those that were chosen, or all if they are not too many.

    Raises:
      ValueError: if a column is named twice or is out of range, or if none is chosen and there are
        more than `most`.
      TypeError: if a column is not an integer.
    """
    if columns is None:
        if size > most:
            raise ValueError(
                f"`columns` must be given if there are more than {most}, for example "
                f"`columns=[0, 1]`. Received: columns=None, {size} columns"
            )
        return list(range(size))
    if not hasattr(columns, "__iter__"):
        raise TypeError(f"`columns` must be a list of integers. Received: columns={columns!r}")
    columns = [_checks.integer_at_least(column, 0, "columns") for column in columns]
    if not columns or len(set(columns)) < len(columns) or max(columns) >= size:
        raise ValueError(
            f"`columns` must be distinct numbers from 0 to {size - 1}. Received: columns={columns}"
        )
    return columns


def grid_of_axes(axes: Any, rows: int, columns: int) -> Any:
    """The given axes as an array `[rows, columns]`, or those of a new figure.

    Raises:
      ValueError: if the number of axes is another.
    """
    if axes is None:
        size = (2.2 * columns, 2.2 * rows)
        plot = optional("matplotlib.pyplot")
        return plot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")[1]
    axes = np.array(axes, dtype=object)
    if axes.size != rows * columns:
        raise ValueError(
            f"`axes` must be {rows} x {columns} axes. Received: {axes.size} of shape {axes.shape}"
        )
    return axes.reshape([rows, columns])
