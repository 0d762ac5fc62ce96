"""The support of a flow, such as (0, 1) if it ends in a `tfb.Sigmoid`."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.bijectors import blockwise, chain, invert

from tfp_flows._tree import bijectors_to_base
from tfp_flows.bijectors.normalization.standardize_context import StandardizeContext
from tfp_flows.bijectors.transformers.affine import Affine
from tfp_flows.distributions.whole_columns import WholeColumns

tfb = tfp.bijectors

# Bijectors from all reals onto an open interval, and its bounds; `None` if infinite.
_INTERVALS = {
    tfb.Sigmoid: lambda part: (0.0, 1.0) if part.low is None else (part.low, part.high),
    tfb.Exp: lambda part: (0.0, None),
    tfb.Expm1: lambda part: (-1.0, None),
    tfb.Softplus: lambda part: _of_softplus(part),
    tfb.Tanh: lambda part: (-1.0, 1.0),
    tfb.Softsign: lambda part: (-1.0, 1.0),
    tfb.SoftClip: lambda part: (part.low, part.high),
    tfb.NormalCDF: lambda part: (0.0, 1.0),
    tfb.GumbelCDF: lambda part: (0.0, 1.0),
    tfb.MoyalCDF: lambda part: (0.0, 1.0),
}
# Bijectors that map intervals to intervals in each coordinate, with ends exact up to rounding.
_KEEP_INTERVALS = (
    *(tfb.Identity, tfb.Shift, tfb.Scale, tfb.ScaleMatvecDiag, Affine),
    *(tfb.Permute, tfb.Reshape, tfb.Transpose),
)


def support(distribution: tfp.distributions.Distribution) -> tuple[tf.Tensor, tf.Tensor] | None:
    """The bounds of the open support of each coordinate, or `None` if none are known.

    They come from the outermost bijector that maps onto an interval, which may be behind shifts,
    scales and permutations, and inside `tfb.Chain`, `tfb.Blockwise` and `tfb.Invert`.

    Args:
      distribution: a TFP distribution.

    Returns:
      Two tensors that broadcast with x, infinite where there is no bound; or `None`.
    """
    if isinstance(distribution, WholeColumns):
        distribution = distribution.distribution
    bijectors, _ = bijectors_to_base(distribution)
    parts = [part for bijector in bijectors for part in parts_to_base(bijector)]
    if not parts or not isinstance(distribution.dtype, tf.DType):
        return None
    if distribution.event_shape.rank is None:
        return None
    return _bounds(parts, distribution.event_shape, distribution.dtype)


def described(bounds: tuple[tf.Tensor, tf.Tensor]) -> str:
    """The bounds in words, such as "(0, 1)", or "(0, 1) in column 0, (2, inf) in column 1"."""
    low, high = (tf.reshape(bound, [-1]).numpy() for bound in bounds)
    intervals = [f"({a:.9g}, {b:.9g})" for a, b in zip(low, high, strict=True)]
    if len(set(intervals)) == 1:
        return intervals[0]
    listed = [f"{interval} in column {i}" for i, interval in enumerate(intervals[:8])]
    return ", ".join(listed) + (", ..." if len(intervals) > 8 else "")


def log_prob_in_support(
    distribution: tfp.distributions.Distribution,
    x: tf.Tensor,
    log_prob: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """`log_prob(x)`, but minus infinity without gradients on and beyond the bounds of the support.

    There x is replaced before its density is computed. Otherwise an inverse that is NaN or infinite
    would make gradients NaN, including those of the parameters, even if the density is discarded.

    Args:
      distribution: a TFP distribution.
      x: a `Tensor` of its dtype, `[..., *event_shape]`.
      log_prob: a callable that takes another x.
    """
    bounds = support(distribution)
    if bounds is None:
        return log_prob(x)
    x, (low, high) = tf.convert_to_tensor(x, distribution.dtype), bounds
    is_outside = (x <= low) | (x >= high)
    value = log_prob(tf.where(is_outside, tf.stop_gradient(_between(low, high)), x))
    axes = list(range(-distribution.event_shape.rank, 0))
    is_outside = tf.reduce_any(is_outside, axis=axes) & ~tf.math.is_nan(value)
    return tf.where(is_outside, tf.constant(-math.inf, value.dtype), value)


def log_prob_where_finite(
    x: tf.Tensor, event_ndims: int, log_prob: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """`log_prob(x)`, but minus infinity for an event with an infinity, and NaN for one with a NaN.

    Such events have no gradients. There x is replaced before its density is computed. Otherwise one
    row would make the gradients of all parameters NaN, even if the loss leaves that row out.

    Args:
      x: a float `Tensor`.
      event_ndims: number of axes of one event.
      log_prob: a callable that takes another x.
    """
    if x.shape.rank is None or x.shape.rank < event_ndims:
        return log_prob(x)
    axes = list(range(-event_ndims, 0))
    is_finite = tf.reduce_all(tf.math.is_finite(x), axis=axes)
    over_event = is_finite[(..., *[tf.newaxis] * event_ndims)]
    value = log_prob(tf.where(over_event, x, tf.zeros_like(x)))
    lost = tf.cast(tf.stop_gradient(-tf.reduce_sum(tf.abs(x), axis=axes)), value.dtype)
    return tf.where(is_finite, value, lost)


def _between(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """A point inside the interval at which no function of it is extreme."""
    has_low, has_high = tf.math.is_finite(low), tf.math.is_finite(high)
    low, high = tf.where(has_low, low, 0.0), tf.where(has_high, high, 0.0)
    one_sided = tf.where(
        has_low, low + tf.maximum(tf.abs(low), 1.0), high - tf.maximum(tf.abs(high), 1.0)
    )
    between = tf.where(has_low & has_high, 0.5 * low + 0.5 * high, one_sided)
    return tf.where(has_low | has_high, between, 0.0)


def parts_to_base(
    bijector: tfb.Bijector, is_inverted: bool = False
) -> list[tuple[tfb.Bijector, bool]]:
    """Pairs of a part and whether it is inside `tfb.Invert`, from data to base."""
    if isinstance(bijector, invert._Invert):
        return parts_to_base(bijector.bijector, not is_inverted)
    if isinstance(bijector, StandardizeContext):
        return parts_to_base(bijector.bijector, is_inverted)
    if isinstance(bijector, chain._Chain):
        each = [parts_to_base(part, is_inverted) for part in bijector.bijectors]
        return sum(reversed(each) if is_inverted else each, [])
    return [(bijector, is_inverted)]


def _bounds(
    parts: list[tuple[tfb.Bijector, bool]], shape: tf.TensorShape, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor] | None:
    """The bounds of events of a shape, or `None` if there are none, or none that are known."""
    passed: list[tuple[tfb.Bijector, bool]] = []
    for part, is_inverted in parts:
        bounds = None if is_inverted else _own_bounds(part, shape, dtype)
        if bounds is not None:
            for outer, was_inverted in reversed(passed):
                low, high = (outer.inverse(b) if was_inverted else outer.forward(b) for b in bounds)
                bounds = tf.minimum(low, high), tf.maximum(low, high)
            return bounds
        if not isinstance(part, _KEEP_INTERVALS) or not shape.is_fully_defined():
            return None
        passed.append((part, is_inverted))
        event_shape = part.forward_event_shape if is_inverted else part.inverse_event_shape
        shape = event_shape(shape)
    return None


def _own_bounds(
    part: tfb.Bijector, shape: tf.TensorShape, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor] | None:
    """The bounds of a part itself, broadcast to the shape of the event if that is known."""
    if isinstance(part, blockwise._Blockwise):
        return _bounds_of_blocks(part, shape, dtype)
    for cls, interval in _INTERVALS.items():
        if isinstance(part, cls):
            bounds = _filled(interval(part), dtype)
            if shape.is_fully_defined():
                bounds = [
                    tf.broadcast_to(bound, tf.broadcast_static_shape(bound.shape, shape))
                    for bound in bounds
                ]
            return tuple(bounds)
    return None


def _bounds_of_blocks(
    part: tfb.Blockwise, shape: tf.TensorShape, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor] | None:
    sizes = tf.get_static_value(part.block_sizes)
    inverse_sizes = tf.get_static_value(part.inverse_block_sizes)
    if sizes is None or list(sizes) != list(inverse_sizes) or not shape.is_fully_defined():
        return None
    blocks = []
    for bijector, size in zip(part.bijectors, sizes, strict=True):
        block = tf.TensorShape([*shape[:-1], int(size)])
        blocks.append((_bounds(parts_to_base(bijector), block, dtype), block))
    if all(bounds is None for bounds, _ in blocks):
        return None
    reals = _filled((None, None), dtype)
    filled = [
        [tf.broadcast_to(bound, block) for bound in reals] if bounds is None else bounds
        for bounds, block in blocks
    ]
    if any(bound.shape.rank != shape.rank for bounds in filled for bound in bounds):
        return None  # bounds of a batch of bijectors
    return tuple(tf.concat(bounds, axis=-1) for bounds in zip(*filled, strict=True))


def _filled(interval: tuple[Any, Any], dtype: tf.DType) -> list[tf.Tensor]:
    """The bounds as tensors, infinite where there is none."""
    ends = zip(interval, (-math.inf, math.inf), strict=True)
    return [tf.cast(end if bound is None else bound, dtype) for bound, end in ends]


def _of_softplus(part: tfb.Softplus) -> tuple[Any, Any]:
    """(low, inf), or (-inf, low) if a negative softness reflects it."""
    low = 0.0 if part.low is None else tf.convert_to_tensor(part.low)
    if part.hinge_softness is None:
        return low, None
    is_positive = tf.convert_to_tensor(part.hinge_softness) > 0.0
    return tf.where(is_positive, low, -math.inf), tf.where(is_positive, math.inf, low)
