"""Letting the parts of a flow learn from data, in the order in which data pass them."""

import numpy as np
import tensorflow as tf
from tensorflow_probability.python.bijectors import chain

from tfp_flows.tree import walk


def adapt(distribution, data):
    """Calls `adapt(data)` of every part that has it, from the data inwards.

    Each part sees the data as those before it leave them.

    Raises:
      ValueError: if no part adapts, or one stands where the data cannot be followed to.
    """
    parts = [node for node in walk(distribution) if _adapts(node)]
    if not parts:
        raise ValueError(
            "`distribution` must have a part that adapts, such as `Standardize`. "
            f"Received: {distribution!r}"
        )
    waiting = {id(part) for part in parts}
    node = distribution
    while waiting and hasattr(node, "bijector") and hasattr(node, "distribution"):
        data = _through(node.bijector, data, waiting)
        node = node.distribution
    if waiting:
        names = [part.name for part in parts if id(part) in waiting]
        raise ValueError(
            "A part that adapts must stand in a `Chain` of a transformed distribution. "
            f"Received: {', '.join(names)} elsewhere"
        )


def _through(bijector, data, waiting):
    # `tfb.Chain` makes its base class `_Chain` when a part is no composite tensor.
    if isinstance(bijector, chain._Chain):
        for part in bijector.bijectors:
            data = _through(part, data, waiting)
        return data
    if id(bijector) in waiting:
        bijector.adapt(data)
        waiting.discard(id(bijector))
    # What lies behind the last part that adapts may be slow, or need a context.
    return np.asarray(bijector.inverse(tf.constant(data))) if waiting else data


def _adapts(node):
    return callable(getattr(node, "adapt", None))
