"""The examination of one layer: the numbers of its row in the report, and its faults."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb

from tfp_flows.bijectors import BatchNorm, Residual
from tfp_flows.conditioning import context_size
from tfp_flows.diagnostics import _transformers
from tfp_flows.diagnostics._context_effect import context_effect
from tfp_flows.diagnostics._jacobian import log_det_and_condition
from tfp_flows.diagnostics._layers import Layer
from tfp_flows.diagnostics._round_trip import RoundTrip, round_trip

# What is beyond these limits is a fault. Mean and deviation of the input of a network:
_MEAN, _DEVIATIONS = 4.0, (0.1, 5.0)
# Share of rows outside of a bound, or with saturated scales:
_SHARE = 0.05
# Error of a log-det in nats, divided by sqrt(D). It allows for an equation that is solved to 1e-5
# in each step. Rounding is allowed for separately.
_LOG_DET = 0.01
# How many contexts rows exchange.
_CONTEXTS = 64


@dataclasses.dataclass(frozen=True)
class LayerRow:
    r"""What `diagnose` found in one layer, on the way from data to base.

    A number is `None` if it does not apply, or would take too long.

    Attributes:
      layer: its label, such as "2 coupling"; the layer at the data's end is 0.
      finite: of the rows that arrive finite, the share that stays finite, values and log-det.
      values: the least and the largest number of its output.
      log_dets: the least and the largest log-det towards the base, in nats.
      round_trip: the largest $|f(f^{-1}(x)) - x| / \max(1, |x|)$.
      condition: the largest condition, $s_{\max} / s_{\min}$, of its Jacobian on a few rows.
      outside: the share of rows outside of the bound of a spline, in the worst column.
      saturated: the share of rows whose scale is within a tenth of its limit or beyond a factor of
        a thousand, in the worst column.
      unconverged: the share of rows that a search or solver left NaN, on the way to the base or
        back.
      log_det_error: the largest difference between its log-det and that of its Jacobian by
        autodiff, or that of the way back, in nats.
      context_effect: the most that values and log-dets move when rows exchange contexts; NaN if it
        is not trained yet.
      faults: words for what is wrong (see `Fault`). The first may cause the others.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> affine = tfpf.bijectors.Affine(shift=0.0, log_scale=1.0)
      >>> row = tfpf.diagnose(affine, np.random.default_rng(1).normal(size=[50, 2])).rows[0]
      >>> row.layer, row.log_dets, row.faults
      ('0 affine', (-2.0, -2.0), ())

    See also: `tfpf.diagnose`.
    """

    layer: str
    finite: float
    values: tuple
    log_dets: tuple
    round_trip: float | None
    condition: float | None
    outside: float | None
    saturated: float | None
    unconverged: float
    log_det_error: float | None
    context_effect: float | None
    faults: tuple


def examine(
    layer: Layer,
    sees_data: bool,
    num_jacobian_rows: int,
    max_jacobian_size: int,
) -> LayerRow:
    """Returns the `LayerRow` of a layer.

    Args:
      layer: a `Layer`.
      sees_data: whether it is the first layer with a network.
      num_jacobian_rows: the most rows whose Jacobian is computed.
      max_jacobian_size: the largest event whose Jacobian is computed, unless the layer is
        elementwise.
    """
    context = layer.context
    x, y, log_det = (np.asarray(t) for t in (layer.x, layer.y, layer.log_det))
    arrives = _finite_rows(x)
    stays = arrives & _finite_rows(y) & np.isfinite(log_det)
    few = np.flatnonzero(stays)[: _affordable(num_jacobian_rows, x)]
    jacobian = len(few) and log_det_and_condition(layer, few, context, max_jacobian_size)
    condition = float(np.max(jacobian[1])) if jacobian else None
    # The error of rounding where the layer is steep.
    rounding = 100 * float(np.finfo(x.dtype).eps) * (condition or 1.0)
    back = round_trip(layer, context, stays, rounding)
    errors = [back.log_det_error]
    if jacobian:
        errors.append(float(np.max(np.abs(jacobian[0] - log_det[few]))))
    row = LayerRow(
        layer.label,
        finite=float(stays.sum() / max(arrives.sum(), 1)),
        values=_range(y),
        log_dets=_range(log_det),
        round_trip=back.error,
        condition=condition,
        outside=_transformers.share_outside(layer),
        saturated=_share_saturated(layer, log_det[stays]),
        unconverged=_share_unconverged(layer, arrives, back),
        log_det_error=None if _is_estimate(layer) else _largest(errors),
        context_effect=_effect(layer, context) if stays.any() else None,
        faults=(),
    )
    faults = _faults(layer, row, back, rounding, arrives, sees_data)
    return dataclasses.replace(row, faults=tuple(faults))


def has_network(layer: Layer) -> bool:
    """Whether it mixes columns by weights, nonlinearly, so that it needs standardized data."""
    normalises = isinstance(layer.bijector, BatchNorm | tfp.bijectors.BatchNormalization)
    is_linear = layer.is_elementwise or layer.bijector.is_constant_jacobian or normalises
    return not is_linear and bool(layer.bijector.variables)


def all_weights_finite(part: Any) -> bool:
    """Whether no variable of a TFP object holds NaN or infinity."""
    return all(
        np.isfinite(v.numpy().astype(np.float64)).all()
        for v in part.variables
        if v.dtype.is_floating
    )


def _faults(
    layer: Layer,
    row: LayerRow,
    back: RoundTrip,
    rounding: float,
    arrives: np.ndarray,
    sees_data: bool,
) -> list[str]:
    eps = np.finfo(layer.x.dtype.as_numpy_dtype).eps
    size = int(np.prod(layer.x.shape[1:]))
    is_lost = arrives.any() and (row.finite < 1 or back.is_lost.any())
    found = {
        "weights not finite": not all_weights_finite(layer.bijector),
        "not standardised": sees_data and arrives.any() and _is_far(layer.x.numpy()[arrives]),
        "outside the bound": (row.outside or 0) > _SHARE,
        "saturated scales": (row.saturated or 0) > _SHARE,
        "unconverged": row.unconverged > 0,
        "not finite": row.unconverged == 0 and is_lost,
        "inverse wrong": back.is_wrong,
        "log-det wrong": (row.log_det_error or 0) > (_LOG_DET + rounding) * np.sqrt(size),
        "ill-conditioned": not layer.is_elementwise and (row.condition or 0) > 0.1 / eps,
        "ignores context": row.context_effect == 0,
    }
    return [word for word, is_so in found.items() if is_so]


def _is_far(x: np.ndarray) -> bool:
    """Whether a column, or a channel of images, has a mean or a deviation far from 0 and 1."""
    columns = np.reshape(x, [-1, x.shape[-1]]).astype(np.float64)
    mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    low, high = _DEVIATIONS
    return bool(np.any((np.abs(mean) > _MEAN) | (deviation < low) | (deviation > high)))


def _share_saturated(layer: Layer, log_det: np.ndarray) -> float | None:
    share = _transformers.share_saturated(layer)
    if share is None and has_network(layer) and len(log_det):
        # Some layers, as those of TFP, hide their scales. For them take the mean over columns.
        size = int(np.prod(layer.y.shape[1:]))
        return float(np.mean(np.abs(log_det) > _transformers.LOG_SCALE * size))
    return share


def _share_unconverged(layer: Layer, arrives: np.ndarray, back: RoundTrip) -> float:
    # Our layers give NaN only where a search has failed. For others a row may be outside of their
    # domain.
    if not type(layer.bijector).__module__.startswith("tfp_flows."):
        return 0.0
    if not arrives.any() or not all_weights_finite(layer.bijector):
        return 0.0
    flat = np.reshape(layer.y, [len(arrives), -1])
    is_nan = arrives & (np.isnan(flat).any(axis=1) | np.isnan(layer.log_det))
    on_the_way = is_nan.sum() / arrives.sum()
    return float(max(on_the_way, back.is_nan.mean() if len(back.is_nan) else 0.0))


def _is_estimate(layer: Layer) -> bool:
    """Whether the log-det is an estimate or a truncated series, which autodiff does not match."""
    if isinstance(layer.bijector, tfp.bijectors.FFJORD):
        return True
    if not isinstance(layer.bijector, Residual):
        return False
    parameters = layer.bijector.parameters
    size = int(np.prod(layer.x.shape[1:]))
    return parameters["log_det"] != "exact" and size > parameters["max_exact_size"]


def _effect(layer: Layer, context: np.ndarray | None) -> float | None:
    if context is None or not context_size(layer.bijector):
        return None

    def evaluate(bijector: tfb.Bijector) -> tuple[tf.Tensor, tf.Tensor]:
        return dataclasses.replace(layer, bijector=bijector).to_base(layer.x[:_CONTEXTS])

    return context_effect(layer.bijector, evaluate, context[:_CONTEXTS])


def _affordable(num_rows: int, x: np.ndarray) -> int:
    """How many rows to use: fewer for large events, because each row takes D evaluations."""
    return max(1, min(num_rows, 4096 // max(int(np.prod(x.shape[1:])), 1)))


def _finite_rows(x: np.ndarray) -> np.ndarray:
    return np.isfinite(np.reshape(x, [len(x), -1])).all(axis=1)


def _range(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)


def _largest(numbers: Iterable[float | None]) -> float | None:
    return max((number for number in numbers if number is not None), default=None)
