"""A warning about data whose digits a dtype cannot hold."""

import numpy as np
from numpy.typing import DTypeLike

from tfp_flows._checks import warn


def warn_of_lost_digits(array: np.ndarray, dtype: DTypeLike, name: str) -> None:
    """Warns if casting an array `[N, ...]` to the dtype would lose digits that tell rows apart.

    That is where the dtype's spacing exceeds a thousandth of a column's standard deviation. An
    example is a time in seconds since 1970, where float32 numbers are 128 seconds apart.
    """
    if array.ndim == 0 or array.size == 0 or array.dtype == dtype or array.dtype.kind not in "fiu":
        return
    columns = array.reshape([len(array), -1])
    with np.errstate(over="ignore", invalid="ignore"):
        is_exact = (columns.astype(dtype) == columns).all(axis=0)
        # A column that does not vary has nothing to lose.
        suspects = np.flatnonzero(~is_exact & (columns[:1] != columns).any(axis=0))
    for column in suspects:
        values = columns[:, column].astype(np.float64)
        largest, deviation = np.abs(values).max(), values.std()
        with np.errstate(over="ignore", invalid="ignore"):
            spacing = float(np.spacing(np.asarray(largest, dtype)))
        if not np.isfinite(spacing) or 1000.0 * spacing <= deviation:
            continue
        place = np.unravel_index(column, array.shape[1:])
        where = "" if not place else f"column {', '.join(map(str, place))} of "
        warn(
            f"{where}`{name}` loses its digits in {np.dtype(dtype).name}, whose numbers are "
            f"{spacing:.3g} apart there, while the column has a standard deviation of "
            f"{deviation:.3g}. Subtract an offset, such as the column's mean, in "
            f"{array.dtype.name} first, or make the flow with `dtype='float64'`. "
            f"Received: {name} of dtype {array.dtype.name} with numbers up to {largest:.10g}"
        )
