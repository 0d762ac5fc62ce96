"""Mixtures whose parts take a context: binding gives one mixture for each context."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions import (
    batch_broadcast,
    mixture,
    mixture_same_family,
)
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows._tree import parameters_of, walk


def component_depths(
    root: Any, parameters: Callable[[Any], dict[str, Any]] = parameters_of
) -> dict[int, int]:
    """The number of `tfd.MixtureSameFamily` around each part of their components, by its `id`.

    The batch shape of such components has one more axis than that of the mixture, at its end.
    """
    depths: dict[int, int] = {}
    for node in walk(root, parameters):
        if isinstance(node, mixture_same_family._MixtureSameFamily):
            for part in walk(node.components_distribution, parameters):
                depths[id(part)] = depths.get(id(part), 0) + 1
    return depths


def fit_mixture(node: Any, changed: dict[str, Any]) -> dict[str, Any]:
    """New parameters for a `tfd.Mixture` some of whose components have been bound to a context.

    TFP wants one batch shape for all, so the weights and the components without a context are
    broadcast. Variables stay those of the mixture, so that another context can be bound later.
    """
    if not isinstance(node, mixture._Mixture) or "components" not in changed:
        return {}
    components = [
        part.distribution if isinstance(part, _BroadcastComponent) else part
        for part in changed["components"]
    ]
    name = "probs" if node.cat._logits is None else "logits"
    weights = getattr(node.cat, name)
    if isinstance(weights, _BroadcastWeights):
        weights = weights.pretransformed_input
    static, shape = weights.shape[:-1], ps.shape(weights)[:-1]
    for part in components:
        static = tf.broadcast_static_shape(static, part.batch_shape)
        shape = ps.broadcast_shape(shape, part.batch_shape_tensor())
    if static != weights.shape[:-1]:
        weights = _BroadcastWeights(weights, shape, static)
    return {
        "cat": node.cat.copy(**{name: weights}),
        "components": [
            part if part.batch_shape == static else _BroadcastComponent(part, shape)
            for part in components
        ],
    }


class _BroadcastComponent(batch_broadcast._BatchBroadcast):
    """A component that takes no context."""


class _BroadcastWeights(tfp.util.DeferredTensor):
    """Weights `[..., K]` of the mixture, read again at each use."""

    def __init__(
        self, weights: tf.Tensor | tf.Variable, shape: tf.Tensor, static_shape: tf.TensorShape
    ) -> None:
        shape = ps.concat([shape, [weights.shape[-1]]], axis=0)
        static_shape += weights.shape[-1:]
        super().__init__(weights, lambda v: tf.broadcast_to(v, shape), shape=static_shape)
