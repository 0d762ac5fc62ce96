"""What the transformers of a layer show: those its network makes, or the layer itself."""

import numpy as np

from tfp_flows.bijectors import CircularSpline
from tfp_flows.diagnostics._layers import Layer

# |log dy/dx| beyond which a scale counts as exploded: a factor of a thousand.
LOG_SCALE = 7.0
# A scale counts as saturated within a tenth of its limit.
_NEAR = 0.9


def share_outside(layer: Layer) -> float | None:
    """The share of rows outside of a spline's bound, in the worst column; or `None`."""
    shares = []
    itself = (layer.bijector, layer.is_forward, layer.x)
    made = [(part.bijector, part.is_forward, part.x) for part in layer.transformers]
    for bijector, is_forward, x in [itself, *made]:
        is_spline = hasattr(bijector, "range_min") and hasattr(bijector, "bin_widths")
        if not is_spline or isinstance(bijector, CircularSpline):
            continue
        low = np.asarray(bijector.range_min)
        sizes = bijector.bin_widths if is_forward else getattr(bijector, "bin_heights", None)
        sizes = np.asarray(bijector.bin_widths if sizes is None else sizes)
        high = low + sizes.sum(axis=-1)
        # Allows for the rounding of a sum of bins.
        slack = 1e-5 * (high - low)
        x = np.asarray(x)
        is_outside = (x < low - slack) | (x > high + slack)
        shares.append(_in_worst_column(is_outside, np.isfinite(x)))
    return max(shares) if shares else None


def share_saturated(layer: Layer) -> float | None:
    """The share of rows with saturated or exploded scales, in the worst column; or `None`."""
    kwargs = getattr(layer.bijector, "transformer_kwargs", {})
    limit = kwargs.get("max_log_scale") if isinstance(kwargs, dict) else None
    shares = []
    for part in layer.transformers:
        if part.bijector.forward_min_event_ndims or part.event_ndims:
            continue
        log_slope = np.abs(np.asarray(part.log_det))
        log_slope = np.broadcast_to(log_slope, np.shape(part.y))
        threshold = LOG_SCALE if limit is None else min(LOG_SCALE, _NEAR * limit)
        shares.append(_in_worst_column(log_slope > threshold, np.isfinite(log_slope)))
    return max(shares) if shares else None


def _in_worst_column(is_so: np.ndarray, counts: np.ndarray) -> float:
    """The largest share over the columns of `[N, ...]`, among the numbers that count."""
    is_so, counts = (np.reshape(t, [len(t), -1]) for t in np.broadcast_arrays(is_so, counts))
    return float(np.max((is_so & counts).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)))
