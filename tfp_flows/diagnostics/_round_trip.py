"""The round trip of rows through a layer and back."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.diagnostics._layers import Layer

# Few rows, because the way back may be a search in each of D steps.
_ROWS = 64
# The error, relative to max(1, |x|), that is a fault. It allows for an equation that is solved to
# 1e-5 in each step. Rounding where the layer is steep is allowed for separately.
_ERROR = 1e-3


class RoundTrip(NamedTuple):
    """What the way back to the data shows.

    Attributes:
      error: the largest |f(f^-1(x)) - x| / max(1, |x|); `None` where there is no way back.
      is_wrong: whether an error is larger than rounding explains.
      log_det_error: the largest sum of the log-dets of both ways, in nats; or `None`.
      is_lost: whether the way back of each row is not finite, `[n]`.
      is_nan: whether it is NaN, `[n]`.
    """

    error: float | None
    is_wrong: bool
    log_det_error: float | None
    is_lost: np.ndarray
    is_nan: np.ndarray


def round_trip(
    layer: Layer, context: np.ndarray | None, stays: np.ndarray, rounding: float
) -> RoundTrip:
    """Maps up to 64 rows back.

    Args:
      layer: a `Layer`.
      context: contexts of its rows, or `None`.
      stays: whether each row stays finite on the way to the base, `[N]`.
      rounding: the error that rounding explains, relative to max(1, |x|).
    """
    rows = np.flatnonzero(stays)[:_ROWS]
    nothing = np.zeros(0, bool)
    if len(rows) == 0:
        return RoundTrip(None, False, None, nothing, nothing)
    x, y, log_det = (np.asarray(t)[rows] for t in (layer.x, layer.y, layer.log_det))
    try:
        back, back_log_det = layer.to_data(
            tf.constant(y), None if context is None else context[rows]
        )
    except NotImplementedError:
        return RoundTrip(None, False, None, nothing, nothing)
    back, back_log_det = np.asarray(back), np.asarray(back_log_det)
    flat = np.reshape(back, [len(rows), -1])
    is_nan = np.isnan(flat).any(axis=1) | np.isnan(back_log_det)
    is_lost = ~(np.isfinite(flat).all(axis=1) & np.isfinite(back_log_det))
    if is_lost.all():
        return RoundTrip(None, False, None, is_lost, is_nan)
    size = np.maximum(1.0, np.abs(x))
    error = (np.abs(back - x) / size)[~is_lost]
    # A layer that mixes columns rounds small numbers as it does the largest of their row.
    axes = tuple(range(1, x.ndim))
    mixed = size if layer.is_elementwise else size.max(axis=axes, keepdims=True)
    allowed = _ERROR + rounding * (mixed / size)[~is_lost]
    return RoundTrip(
        float(error.max()),
        bool((error > allowed).any()),
        float(np.abs(log_det + back_log_det)[~is_lost].max()),
        is_lost,
        is_nan,
    )
