"""A distribution as a layer of the user's own Keras model."""

import hashlib
import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import saving
from tfp_flows.conditioning import context_size, waits_for_context
from tfp_flows.models._adopts import Adopts, check_is_one
from tfp_flows.models._score import score_of_inputs

# Entries in which two flows of one structure may differ: trained values, and the names by which
# functional models tell their parts apart.
_NOT_STRUCTURE = ("value", "name", "seed", "keras_history", "input_layers", "output_layers")


@keras.saving.register_keras_serializable(package="tfp_flows")
class DistributionLayer(Adopts):
    r"""$\mathrm{layer}(x) = \log p(x), \; \mathrm{layer}((c, x)) = \log p(x \mid c)$

    A Keras layer that makes a TFP distribution part of your own Keras model.

    If a distribution is itself an attribute of a Keras model, Keras neither trains nor saves it.
    This layer adopts its networks and all its other variables. They are trained, frozen and saved
    with the rest of a functional model, or of a subclassed model or layer that has this layer as an
    attribute. For samples and everything else use `layer.distribution`.

    Shapes: x is `[..., *event_shape]`, c is `[..., C]` with the same leading axes. The result is
    `[...]`, in nats, in the dtype of the distribution. If the distribution has only a lower bound
    of its density, like `tfpf.distributions.Dequantized`, the result is that bound. Cost: that of
    `log_prob`. Networks are in the mode in which Keras runs the layer.

    A subclassed model makes its flow again when it is loaded. Recipes draw permutations at random,
    so give the recipe a `seed`: the weights of a flow with other permutations are refused.

    Args:
      distribution: any TFP distribution over one tensor, with variables.
      name: Python `str`.
      trainable: Python `bool`, as in Keras.

    Raises:
      TypeError: if `distribution` is not a TFP distribution over one tensor.
      ValueError: if it has a batch shape, contexts of different sizes, or no variables.

    Example:
      >>> import keras
      >>> import tfp_flows as tfpf
      >>> z, x = keras.Input([3]), keras.Input([2])
      >>> flow = tfpf.flows.maf(2, context_size=4, num_layers=1, hidden_units=(8,), seed=0)
      >>> layer = tfpf.DistributionLayer(flow)
      >>> model = keras.Model([z, x], layer((keras.layers.Dense(4)(z), x)))
      >>> model([keras.ops.zeros([5, 3]), keras.ops.zeros([5, 2])]).shape
      TensorShape([5])
      >>> layer.distribution.event_shape
      TensorShape([2])

    See also: `tfpf.FlowModel`, `tfpf.condition`.
    """

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        name: str | None = None,
        trainable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(distribution, name=name, **kwargs)
        check_is_one(
            distribution, "must not be bound to a context: call the layer with `(context, x)`"
        )
        self._is_conditional = waits_for_context(distribution)
        self._context_size = context_size(distribution) if self._is_conditional else 0
        if not trainable:
            # The assignment also reaches the networks.
            self.trainable = False

    def call(self, inputs: tf.Tensor | tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Returns `log p(x)`, or `log p(x | c)` for inputs `(c, x)`, or its bound, in nats."""
        return score_of_inputs(self.distribution, self._is_conditional, inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of x, or of x in `(c, x)`, without the axes of an event."""
        x_shape = input_shape[1] if self._is_conditional else input_shape
        return tuple(x_shape)[: len(x_shape) - self.distribution.event_shape.rank]

    def save_own_variables(self, store: Any) -> None:
        """Called by Keras; stores a digest of the parts that are not weights."""
        digest = self._digest()
        if digest is not None:
            store["structure"] = digest

    def load_own_variables(self, store: Any) -> None:
        """Called by Keras; refuses the weights of another flow, such as one of another seed.

        Raises:
          ValueError: if permutations, masks or other fixed parts of the flow differ.
        """
        digest = self._digest()
        if digest is None or "structure" not in store:
            return
        if not np.array_equal(store["structure"], digest):
            raise ValueError(
                "`distribution` must be the flow whose weights these are; this one has other fixed "
                "parts, such as permutations, which recipes without a `seed` draw at random. "
                f"Received: distribution={self.distribution!r}"
            )

    def _digest(self) -> np.ndarray | None:
        """A hash of the structure of the distribution, or `None` if it cannot be saved."""
        try:
            structure = saving.encode(self.distribution)
        except ValueError:
            return None
        text = json.dumps(_without(structure, _NOT_STRUCTURE), sort_keys=True, default=str)
        return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)


def _without(plain: Any, names: tuple[str, ...]) -> Any:
    """Nested `dict`s and lists, without the entries of these names."""
    if isinstance(plain, dict):
        return {key: _without(item, names) for key, item in plain.items() if key not in names}
    if isinstance(plain, list | tuple):
        return [_without(item, names) for item in plain]
    return plain
