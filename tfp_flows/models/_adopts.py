"""A Keras layer that adopts the variables of a TFP distribution and saves it."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import saving
from tfp_flows._tree import walk
from tfp_flows.models._loose_variables import _LooseVariables


class Adopts(keras.Layer):
    """A layer whose weights are all the variables of a TFP distribution.

    Its networks are tracked as Keras layers, and every other `tf.Variable` is adopted. So
    optimizers, `summary`, checkpoints and `.keras` files see all of them.

    Args:
      distribution: a TFP distribution.
      name: Python `str`.
      **kwargs: further arguments of the Keras class.
    """

    # Whether events may be several tensors of one dtype.
    _takes_structures = False

    def __init__(
        self, distribution: tfp.distributions.Distribution, name: str | None = None, **kwargs: Any
    ) -> None:
        if not isinstance(distribution, tfp.distributions.Distribution):
            raise TypeError(
                "`distribution` must be a TFP distribution. "
                f"Received: distribution={distribution!r}"
            )
        dtypes = set(tf.nest.flatten(distribution.dtype))
        is_one = isinstance(distribution.dtype, tf.DType)
        if not is_one and not (self._takes_structures and len(dtypes) == 1):
            raise TypeError(
                "`distribution` must be over one tensor; a joint distribution is over several. "
                f"Received: distribution={distribution!r}"
            )
        dtype = dtypes.pop()
        if "dtype" in kwargs:
            raise ValueError(
                "`dtype` must not be given: the layer has the dtype of the distribution. "
                f"Received: dtype={kwargs['dtype']!r}"
            )
        _build_networks(distribution)
        variables = distribution.variables
        networks = [node for node in walk(distribution) if isinstance(node, keras.Layer)]
        if not variables and not any(network.weights for network in networks):
            raise ValueError(
                "`distribution` must have variables to train. TFP does not see those of a Keras 3 "
                "network inside of its own bijectors, nor those that a function closes over. An "
                "unbuilt network has no variables yet. "
                f"Received: distribution={distribution!r} without variables"
            )
        # The layer has the dtype of the distribution, whatever the global policy is: under a mixed
        # policy the layer would round its inputs to half precision.
        dtype = getattr(distribution, "density_dtype", dtype)
        super().__init__(name=name, dtype=dtype.name if dtype.is_floating else "float32", **kwargs)
        self._distribution = distribution
        self.networks = networks
        owned = {id(weight.value) for network in networks for weight in network.weights}
        self.loose_variables = _LooseVariables(
            [variable for variable in variables if id(variable) not in owned]
        )
        self.built = True

    @property
    def distribution(self) -> tfp.distributions.Distribution:
        """The TFP distribution whose variables are the weights of this layer."""
        return self._distribution

    def get_config(self) -> dict[str, Any]:
        """The layer as plain data; raises a `ValueError` that names what cannot be saved."""
        return {
            "name": self.name,
            "format_version": saving.FORMAT_VERSION,
            "distribution": saving.encode(self.distribution),
            # Layers as well: Keras unfreezes weights only through the layer that was frozen.
            "frozen_layers": _frozen(self._flatten_layers()),
            "frozen_weights": _frozen(self.weights),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "Adopts":
        """Makes the layer again; see `tfp_flows.saving`.

        Raises:
          ValueError: if the configuration has another format or was tampered with.
        """
        config = dict(config)
        saving.check_version(config.pop("format_version", None))
        with saving.reading("The saved model"):
            with saving.custom_object_scope(custom_objects):
                distribution = saving.decode(config.pop("distribution"))
            frozen = {name: config.pop(name) for name in ("frozen_layers", "frozen_weights")}
            layer = cls(distribution, **config)
            _freeze(list(layer._flatten_layers()), frozen["frozen_layers"], "frozen_layers")
            _freeze(layer.weights, frozen["frozen_weights"], "frozen_weights")
        return layer

    def get_build_config(self) -> None:
        """Returns `None`, since networks are already built when they are made."""
        return None


def check_is_one(distribution: tfp.distributions.Distribution, advice: str) -> None:
    """Refuses a batch of distributions; `advice` is for a flow that is bound to contexts."""
    batch_shape = distribution.batch_shape
    if not (batch_shape.is_compatible_with([]) or batch_shape.is_compatible_with([1])):
        raise ValueError(
            f"`distribution` must be one distribution, not a batch of them. A conditional flow "
            f"{advice}. Received: distribution.batch_shape={batch_shape}"
        )


def _build_networks(distribution: tfp.distributions.Distribution) -> None:
    """Runs a density once if a network inside, such as TFP's, waits for its first input."""
    if all(getattr(part, "built", True) for part in distribution.submodules):
        return
    shape = distribution.event_shape
    if isinstance(shape, tf.TensorShape) and shape.is_fully_defined():
        distribution.log_prob(tf.zeros([1, *shape], distribution.dtype))


def _freeze(parts: list[Any], numbers: list[int], name: str) -> None:
    for i in numbers:
        if i not in range(len(parts)):
            raise ValueError(f"`{name}` must hold integers below {len(parts)}. Received: {i!r}")
        parts[i].trainable = False


def _frozen(parts: Iterable[Any]) -> list[int]:
    return [i for i, part in enumerate(parts) if not part.trainable]
