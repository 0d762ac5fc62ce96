"""Binding a context: from a conditional flow to a plain distribution."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows._lost_digits import warn_of_lost_digits
from tfp_flows._mixtures import component_depths, fit_mixture
from tfp_flows._tree import is_node, parameters_of, rebuild, walk


def context_size(
    flow: tfp.distributions.Distribution | tfp.bijectors.Bijector,
) -> int | tuple[int, ...]:
    """The size of the context that the parts of `flow` take, or 0 if no part takes one.

    It is C, or a tuple of sizes for a context of several axes.

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
    """Whether parts of `flow` take a context and no context is bound."""
    # Networks have a `context_size` as well, but they never hold a context.
    parts = walk(flow, _open_parameters)
    bound = [part for part in parts if getattr(part, "context", None) is not None]
    return bool(context_size(flow)) and not bound


def condition(
    flow: tfp.distributions.Distribution | tfp.bijectors.Bijector, context: ArrayLike
) -> Any:
    r"""$p(x \mid c)$

    Binds a context c to a conditional flow, which makes it a plain TFP distribution.

    c is bound in every part of the flow that takes a context. The search goes through
    `TransformedDistribution`, `Chain`, `Invert`, `Sample`, `Independent` and any other TFP object
    that keeps its parts in `parameters`. The result shares the variables of `flow`, and gradients
    reach the context. Binding another context replaces the first one.

    In a `tfd.Mixture` the weights and the components without a context are broadcast to the batch
    shape of the others. In a `tfd.MixtureSameFamily` the axis of the components comes after the
    batch axes of the context.

    Args:
      flow: a TFP distribution or bijector.
      context: float `Tensor` `[..., C]`, or an array of numbers. If the `context_size` of the flow
        is a tuple, the last axes have these sizes: `[..., frames, channels]` for a spectrogram.

    Returns:
      The same kind of object. Its batch shape is that of `flow`, broadcast with the leading axes
      of `context`: `context.shape[:-1]` if contexts are vectors.

    Raises:
      ValueError: if no part takes a context, if parts take contexts of different sizes, if the last
        axes of `context` do not have that size, or if `context` is a masked array with gaps.
      TypeError: if `flow` is not a TFP object, if `context` does not hold numbers, or if it is a
        `Tensor` whose dtype is not that of the flow. Arrays are cast, with a warning if that loses
        digits that tell rows apart.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.maf(2, context_size=3, num_layers=1, hidden_units=(8,))
      >>> bound = tfpf.condition(flow, tf.ones([5, 3]))  # five contexts
      >>> bound.sample(10, seed=1).shape
      TensorShape([10, 5, 2])
      >>> bound.log_prob([0.0, 0.0]).shape
      TensorShape([5])
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
        warn_of_lost_digits(rows, dtype.as_numpy_dtype, "context")
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
            c = tf.expand_dims(c, -1 - len(node.context_shape))  # the axis of the components
        return {"context": c}

    return rebuild(flow, changes, parameters=_open_parameters, fit=fit_mixture)


def _context_aware(flow: tfp.distributions.Distribution | tfp.bijectors.Bijector) -> list[Any]:
    return [node for node in walk(flow, _open_parameters) if getattr(node, "context_size", 0)]


def _open_parameters(node: Any) -> dict[str, Any]:
    """Its parameters, without parts that get their context from the node, as in `LatentSet`."""
    own = getattr(node, "supplies_context_to", ())
    return {name: value for name, value in parameters_of(node).items() if name not in own}
