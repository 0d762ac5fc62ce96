"""Binding a context: from a conditional flow to a plain distribution."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows._mixtures import component_depths, fit_mixture
from tfp_flows._tree import is_node, parameters_of, rebuild, walk


def context_size(
    flow: tfp.distributions.Distribution | tfp.bijectors.Bijector,
) -> int | tuple[int, ...]:
    """The size of the context that the parts of `flow` take; 0 if none takes any.

    It is C, or the tuple of sizes of a context of several axes.

    Raises:
      ValueError: if two parts take contexts of different sizes.
    """
    parts = _context_aware(flow)
    sizes = {part.context_size for part in parts}
    if len(sizes) > 1:
        listed = ", ".join(f"{part.name}: {part.context_size}" for part in parts)
        raise ValueError(
            "`flow` must have one `context_size` in all of its context-aware parts. "
            f"Received: {listed}"
        )
    return sizes.pop() if sizes else 0


def waits_for_context(flow: tfp.distributions.Distribution | tfp.bijectors.Bijector) -> bool:
    """Whether parts of `flow` take a context and none has been bound."""
    # Networks have a `context_size` too, but never hold a context.
    parts = walk(flow, _open_parameters)
    bound = [part for part in parts if getattr(part, "context", None) is not None]
    return bool(context_size(flow)) and not bound


def condition(
    flow: tfp.distributions.Distribution | tfp.bijectors.Bijector, context: ArrayLike
) -> Any:
    """p(x | c) as a plain distribution: binds c in every part of the flow that takes a context.

    The walk goes through `TransformedDistribution`, `Chain`, `Invert`, `Sample`, `Independent`
    and any other TFP object that keeps what it was made of in `parameters`. Variables are
    shared, gradients reach the context, and binding again replaces. Of a `tfd.Mixture` the weights,
    and components that take no context, get the batch shape of the others; of a
    `tfd.MixtureSameFamily` the components have their axis after those of the context's batch.

    Args:
      flow: a TFP distribution or bijector.
      context: float `Tensor` (or what converts to one) `[..., C]`; for a flow whose
        `context_size` is a tuple, of a spectrogram for instance, `[..., frames, channels]`.

    Returns:
      The same kind of object, with batch shape `context.shape[:-1]`, or without all axes of one
      context, broadcast with its own.

    Raises:
      ValueError: if no part takes a context, parts take contexts of different sizes, the last axes
        of `context` are not of that size, or it is a masked array with gaps.
      TypeError: if `flow` is no TFP object, `context` no numbers, or a `Tensor` of another dtype
        than the flow; arrays are cast, with a warning where the digits that tell rows apart are
        lost.
    """
    if not is_node(flow):
        raise TypeError(f"`flow` must be a TFP distribution or bijector. Received: flow={flow!r}")
    context = _checks.not_symbolic(context, "context")
    size = context_size(flow)
    parts = _context_aware(flow)
    if size == 0:
        raise ValueError(
            "`flow` must have a part with `context_size` above 0 to take a `context`. "
            f"Received: {type(flow).__name__} {flow.name!r}, and a context of shape "
            f"{np.shape(context)}"
        )
    if not tf.is_tensor(context):
        context = np.asarray(_checks.plain(context, "context"))
        if context.dtype.kind not in "fiub":
            raise TypeError(f"`context` must be numbers. Received: context.dtype={context.dtype}")
        dtype = parts[0].dtype or tf.float32
        rows = context.reshape([-1, *context.shape[-len(_checks.context_shape(size)) :]])
        _checks.warn_of_lost_digits(rows, dtype.as_numpy_dtype, "context")
        context = tf.cast(tf.convert_to_tensor(context), dtype)
    if parts[0].dtype not in (None, context.dtype):
        raise TypeError(
            f"`context` must have the dtype {parts[0].dtype.name} of the flow. "
            f"Received: context.dtype={context.dtype.name}"
        )
    _checks.context(context, size, parts[0].name)

    depths = component_depths(flow, _open_parameters)

    def changes(node: Any) -> dict[str, Any]:
        if not getattr(node, "context_size", 0):
            return {}
        c = context
        for _ in range(depths.get(id(node), 0)):
            c = tf.expand_dims(c, -1 - len(node.context_shape))  # where components are
        return {"context": c}

    return rebuild(flow, changes, parameters=_open_parameters, fit=fit_mixture)


def _context_aware(flow: tfp.distributions.Distribution | tfp.bijectors.Bijector) -> list[Any]:
    return [node for node in walk(flow, _open_parameters) if getattr(node, "context_size", 0)]


def _open_parameters(node: Any) -> dict[str, Any]:
    """Those but of parts to which the node itself gives a context, as `LatentSet` does."""
    own = getattr(node, "supplies_context_to", ())
    return {name: value for name, value in parameters_of(node).items() if name not in own}
