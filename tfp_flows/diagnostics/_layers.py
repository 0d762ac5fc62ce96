"""The layers of a flow, each with its input on the way from data to base."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.bijectors import composition, invert

from tfp_flows._tree import bijectors_to_base, walk
from tfp_flows.bijectors import (
    Autoregressive,
    MaskedConvolution,
    forward_and_log_det,
    inverse_and_log_det,
)
from tfp_flows.bijectors._watched import Evaluation, watching
from tfp_flows.conditioning import condition, context_size
from tfp_flows.diagnostics._rows import bound
from tfp_flows.distributions import WithAngles
from tfp_flows.distributions._dequantizing import Dequantizing

_MADE_OF_OTHERS = (composition.Composition, invert._Invert)
_PARALLEL_IN_INVERSE = (Autoregressive, MaskedConvolution, tfb.MaskedAutoregressiveFlow)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer, and one evaluation of it towards the base: $y = f^{-1}(x)$.

    Attributes:
      label: its place and name, "2 coupling"; the layer at the data's end is 0.
      bijector: a part of the flow. Its forward map is f or, within `tfb.Invert`, the inverse of f.
      is_forward: whether the forward map of `bijector` leads to the base.
      x: its input, `[N, ...]`.
      y: its output, `[N, ...]`.
      log_det: log |dy/dx| in nats, `[N]`.
      transformers: evaluations of the bijectors that it makes for itself, by a network.
      context: contexts of the rows, `[N, ...]`, or `None`.
    """

    label: str
    bijector: tfb.Bijector
    is_forward: bool
    x: tf.Tensor
    y: tf.Tensor
    log_det: tf.Tensor
    transformers: list[Evaluation]
    context: np.ndarray | None = None

    @property
    def is_elementwise(self) -> bool:
        """Whether it maps each number alone."""
        return self.bijector.forward_min_event_ndims == 0

    @property
    def is_sequential(self) -> bool:
        """Whether the way to the base goes number by number, while the way back does not."""
        return self.is_forward and isinstance(self.bijector, _PARALLEL_IN_INVERSE)

    @property
    def changes_size(self) -> bool:
        """Whether its output has another number of dimensions than its input."""
        return self.x.shape[1:].num_elements() != self.y.shape[1:].num_elements()

    def to_base(
        self, x: tf.Tensor, context: ArrayLike | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns y and log |dy/dx| `[N]` for other rows, which may have their own contexts."""
        return self._map(x, context, self.is_forward)

    def to_data(
        self, y: tf.Tensor, context: ArrayLike | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns x and log |dx/dy| `[N]`."""
        return self._map(y, context, not self.is_forward)

    def _map(
        self, x: tf.Tensor, context: ArrayLike | None, is_forward: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        bijector = self.bijector
        if context is not None and context_size(bijector):
            bijector = condition(bijector, context)
        evaluate = forward_and_log_det if is_forward else inverse_and_log_det
        # A copy, because TFP remembers what it has mapped.
        x = tf.identity(x)
        y, log_det = evaluate(bijector, x, x.shape.rank - 1)
        return y, tf.broadcast_to(log_det, y.shape[:1])


def layers_to_base(
    flow: tfb.Bijector | tfd.Distribution, x: tf.Tensor, context: np.ndarray | None = None
) -> tuple[list[Layer], Any, tf.Tensor]:
    """Evaluates the layers of a flow at rows `x`, from data to base.

    Layers are the parts of chains, of inverted bijectors and of the scales of images, one by one.
    If the base is a `WithAngles`, those of its numbers and of its angles follow.

    Args:
      flow: a TFP distribution or bijector, not bound if there are contexts.
      x: a float `Tensor` `[N, *event]`.
      context: contexts of the rows, or `None`.

    Returns:
      A list of `Layer`, the base (`None` for a bijector), and u `[N, *event]`, the rows at the
      base.

    Raises:
      TypeError: if the distribution is not a `TransformedDistribution`.
    """
    bijectors, base = bijectors_and_base(bound(flow, context))
    layers, u = _evaluated(bijectors, x, context, 0)
    return layers + _layers_of_base(base, u, context, len(layers)), base, u


def _evaluated(
    bijectors: Sequence[tfb.Bijector], x: tf.Tensor, context: np.ndarray | None, count: int
) -> tuple[list[Layer], tf.Tensor]:
    layers: list[Layer] = []
    for bijector in bijectors:
        with watching() as seen:
            x, _ = inverse_and_log_det(bijector, tf.identity(x), x.shape.rank - 1)
        layers += _layers(seen, count + len(layers), {id(node) for node in walk(bijector)})
    return [dataclasses.replace(layer, context=context) for layer in layers], x


def _layers_of_base(base: Any, u: tf.Tensor, context: np.ndarray | None, count: int) -> list[Layer]:
    if not isinstance(base, WithAngles):
        return []
    numbers, angles = base._split(u)
    features = base._features(angles).numpy()
    given = {"numbers": (numbers, features), "angles": (angles, context)}
    layers: list[Layer] = []
    for name, (x, of_part) in given.items():
        part = getattr(base, name)
        bijectors, inner = bijectors_to_base(bound(part, of_part) if context_size(part) else part)
        found, u = _evaluated(bijectors, x, of_part, count + len(layers))
        found += _layers_of_base(inner, u, of_part, count + len(layers) + len(found))
        layers += [dataclasses.replace(each, label=f"{each.label} ({name})") for each in found]
    return layers


def hides_layers(base: Any) -> bool:
    """Whether a base, such as a mixture of flows, holds layers that `layers_to_base` leaves out."""
    if isinstance(base, WithAngles):
        parts = (bijectors_to_base(part)[1] for part in (base.numbers, base.angles))
        return any(hides_layers(part) for part in parts)
    return any(isinstance(node, tfb.Bijector) for node in walk(base))


def layers_to_data(flow: tfb.Bijector | tfd.Distribution, u: tf.Tensor) -> list[Layer]:
    """Evaluates the layers at rows `u` of the base, from base to data, as samples go.

    Returns:
      A list of `Layer`. On this way x is at the base's end, and y is at the data's end.
    """
    bijectors, _ = bijectors_and_base(flow)
    layers: list[Layer] = []
    for bijector in bijectors[::-1]:
        with watching() as seen:
            u, _ = forward_and_log_det(bijector, tf.identity(u), u.shape.rank - 1)
        layers += _layers(seen, len(layers), {id(node) for node in walk(bijector)})
    return layers


def bijectors_and_base(
    flow: tfb.Bijector | tfd.Distribution,
) -> tuple[list[tfb.Bijector], Any]:
    """The bijectors of a transformed distribution, from data to base, and its base."""
    if isinstance(flow, tfb.Bijector):
        return [flow], None
    if isinstance(flow, Dequantizing):
        flow = flow.distribution
    bijectors, base = bijectors_to_base(flow)
    if not bijectors and not isinstance(base, WithAngles):
        raise TypeError(
            "`flow` must be a `TransformedDistribution`, as recipes return, or a bijector. "
            f"Received: {type(flow).__name__} {flow.name!r}"
        )
    return bijectors, base


def _layers(seen: Sequence[Evaluation], count: int, parts_of_flow: set[int]) -> list[Layer]:
    layers: list[Layer] = []
    for evaluation in seen:
        inner = evaluation.parts
        if not isinstance(evaluation.bijector, _MADE_OF_OTHERS):
            inner = [part for part in inner if id(part.bijector) in parts_of_flow]
        if inner:
            layers += _layers(inner, count + len(layers), parts_of_flow)
            continue
        if tf.nest.is_nested(evaluation.x) or tf.nest.is_nested(evaluation.y):
            continue  # takes tensors apart, or puts them together
        layers.append(
            Layer(
                f"{count + len(layers)} {evaluation.bijector.name}",
                evaluation.bijector,
                evaluation.is_forward,
                evaluation.x,
                evaluation.y,
                tf.broadcast_to(evaluation.log_det, evaluation.y.shape[:1]),
                [part for part in _all_parts(evaluation) if not tf.is_symbolic_tensor(part.y)],
            )
        )
    return layers


def _all_parts(evaluation: Evaluation) -> Iterator[Evaluation]:
    for part in evaluation.parts:
        yield part
        yield from _all_parts(part)
