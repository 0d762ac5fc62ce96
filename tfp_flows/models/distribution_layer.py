"""A flow within a Keras model of the user's own."""

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

# What two flows of one structure need not share: where training has brought them, and names, by
# which functional models tell their parts apart.
_NOT_STRUCTURE = ("value", "name", "seed", "keras_history", "input_layers", "output_layers")


@keras.saving.register_keras_serializable(package="tfp_flows")
class DistributionLayer(Adopts):
    """layer(x) = log p(x), layer((c, x)) = log p(x | c): a TFP distribution as a `keras.Layer`.

    A distribution that is a bare attribute of a Keras model is neither trained nor saved there.
    This layer adopts its networks and all its other variables: as the attribute of a subclassed
    model or layer, or in a functional model, they are trained, frozen and saved with the rest.

    ```python
    z = keras.Input([3])
    x = keras.Input([2])
    flow = tfp_flows.flows.maf(2, context_size=4)
    log_density = tfp_flows.DistributionLayer(flow)((keras.layers.Dense(4)(z), x))
    model = keras.Model([z, x], log_density)  # give `layer.distribution` what is not a density
    ```

    Shapes: x `[..., *event_shape]`, c `[..., C]` of the same leading axes, the result `[...]`, in
    nats, in the dtype of the distribution. For a distribution that has only a bound, as
    `tfp_flows.distributions.Dequantized`, it is that. The cost is that of `log_prob`. Networks are
    in the mode in which Keras runs the layer.

    A subclassed model makes its flow again when it is loaded. What a recipe draws at random
    (permutations) is part of it, so give the recipe a `seed`; weights of another flow are refused.

    Args:
      distribution: any TFP distribution over one tensor, with variables.
      name: Python `str`.
      trainable: Python `bool`, as in Keras.

    Raises:
      TypeError: if `distribution` is not a TFP distribution over one tensor.
      ValueError: if it has no variables, a batch shape, or parts with contexts of different sizes.
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
            distribution, "is given before it is bound: the layer is called with `(context, x)`"
        )
        self._is_conditional = waits_for_context(distribution)
        self._context_size = context_size(distribution) if self._is_conditional else 0
        if not trainable:
            # Assigned, so that it reaches the networks.
            self.trainable = False

    def call(self, inputs: tf.Tensor | tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Returns `log p(x)`, for inputs `(c, x)` `log p(x | c)`, or its bound, in nats."""
        return score_of_inputs(self.distribution, self._is_conditional, inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of x, or of x in `(c, x)`, without that of an event."""
        x_shape = input_shape[1] if self._is_conditional else input_shape
        return tuple(x_shape)[: len(x_shape) - self.distribution.event_shape.rank]

    def save_own_variables(self, store: Any) -> None:
        """Called by Keras; keeps a digest of what weights do not hold."""
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
                "parts, such as permutations, which recipes draw at random without a `seed`. "
                f"Received: distribution={self.distribution!r}"
            )

    def _digest(self) -> np.ndarray | None:
        """A hash of the structure of the distribution, or `None` if it cannot be written down."""
        try:
            structure = saving.encode(self.distribution)
        except ValueError:
            return None
        text = json.dumps(_without(structure, _NOT_STRUCTURE), sort_keys=True, default=str)
        return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)


def _without(plain: Any, names: tuple[str, ...]) -> Any:
    """Nested `dict`s and lists, without the entries of some names."""
    if isinstance(plain, dict):
        return {key: _without(item, names) for key, item in plain.items() if key not in names}
    if isinstance(plain, list | tuple):
        return [_without(item, names) for item in plain]
    return plain
