"""The round trip of rows through a layer and back."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.diagnostics._layers import Layer

# Few rows, because the way back may be a search in each of D steps.
_ROWS = 64


class RoundTrip(NamedTuple):
    """What the way back to the data shows.

    Attributes:
      error: the largest |f(f^-1(x)) - x| / max(1, |x|); `None` where there is no way back.
      log_det_error: the largest sum of the log-dets of both ways, in nats; or `None`.
      is_lost: whether the way back of each row is not finite, `[n]`.
      is_nan: whether it is NaN, `[n]`.
    """

    error: float | None
    log_det_error: float | None
    is_lost: np.ndarray
    is_nan: np.ndarray


def round_trip(layer: Layer, context: np.ndarray | None, stays: np.ndarray) -> RoundTrip:
    """Maps up to 64 rows back.

    Args:
      layer: a `Layer`.
      context: contexts of its rows, or `None`.
      stays: whether each row stays finite on the way to the base, `[N]`.
    """
    rows = np.flatnonzero(stays)[:_ROWS]
    nothing = np.zeros(0, bool)
    if len(rows) == 0:
        return RoundTrip(None, None, nothing, nothing)
    x, y, log_det = (np.asarray(t)[rows] for t in (layer.x, layer.y, layer.log_det))
    try:
        back, back_log_det = layer.to_data(
            tf.constant(y), None if context is None else context[rows]
        )
    except NotImplementedError:
        return RoundTrip(None, None, nothing, nothing)
    back, back_log_det = np.asarray(back), np.asarray(back_log_det)
    flat = np.reshape(back, [len(rows), -1])
    is_nan = np.isnan(flat).any(axis=1) | np.isnan(back_log_det)
    is_lost = ~(np.isfinite(flat).all(axis=1) & np.isfinite(back_log_det))
    if is_lost.all():
        return RoundTrip(None, None, is_lost, is_nan)
    error = np.abs(back - x) / np.maximum(1.0, np.abs(x))
    return RoundTrip(
        float(error[~is_lost].max()),
        float(np.abs(log_det + back_log_det)[~is_lost].max()),
        is_lost,
        is_nan,
    )
