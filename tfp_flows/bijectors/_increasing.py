"""Whether a bijector is increasing, if an event is one number."""

from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.bijectors import chain, invert
from tensorflow_probability.python.internal import prefer_static as ps


class SaysWhetherIncreasing:
    """A mixin for bijectors that says whether y increases with x, for the `cdf` of a distribution.

    A subclass sets `_increases` if the answer is the same for all parameters. Otherwise it has a
    method `_is_increasing()`, which returns a bool, or a bool `Tensor` of the batch shape. Affine
    bijectors need neither.
    """

    _increases: bool | None = None
    # Attributes of the bijector that this is mixed into.
    name: str
    is_constant_jacobian: bool
    forward_min_event_ndims: int
    _declared_shape: tf.TensorShape | None
    _event_size: Any

    def _is_increasing(self) -> bool | tf.Tensor:
        if self._increases is not None:
            return self._increases
        if not self.is_constant_jacobian:  # to TFP this means affine
            raise NotImplementedError
        return _is_affine_increasing(self, self.forward_min_event_ndims)

    def _internal_is_increasing(
        self, name: str = "is_increasing", **kwargs: Any
    ) -> bool | tf.Tensor:
        # TFP calls this for any event. With several dimensions its `cdf` would be wrong.
        if self.forward_min_event_ndims and not self._is_of_one_dimension():
            raise NotImplementedError(
                f"`{self.name}` must have events of one number to be increasing or decreasing. "
                f"Received: {self!r}"
            )
        return is_increasing(self, self.forward_min_event_ndims)

    def _is_of_one_dimension(self) -> bool:
        if self._declared_shape is not None:
            return self._declared_shape.num_elements() == 1
        return self._event_size == 1 and self.forward_min_event_ndims == 1


def is_increasing(bijector: tfb.Bijector, event_ndims: int) -> bool | tf.Tensor:
    """Returns whether y increases with x, for a `tfb.Bijector` whose events are one number each.

    TFP's own method is for bijectors of scalars. Here the one number may have axes, as in a vector
    with one dimension; the answer leaves these axes out. A known answer stays a Python `bool`, so
    that only one tail of a distribution is computed.

    Args:
      bijector: a `tfb.Bijector`; chains and inverses are taken apart.
      event_ndims: the number of axes of x that make one event, all of size one.

    Returns:
      A Python `bool`, or a bool `Tensor` that broadcasts with a batch of events.

    Raises:
      NotImplementedError: if the answer for a part is not known.
    """
    if isinstance(bijector, invert._Invert):
        return is_increasing(bijector.bijector, bijector.forward_event_ndims(event_ndims))
    if isinstance(bijector, chain._Chain):
        increasing = True
        for part in reversed(bijector.bijectors):
            increasing = ps.equal(increasing, is_increasing(part, event_ndims))
            event_ndims = part.forward_event_ndims(event_ndims)
        return increasing
    try:
        increasing = bijector._is_increasing()
    except NotImplementedError:
        if not bijector.is_constant_jacobian:
            raise NotImplementedError(
                f"`{bijector.name}` must say whether it increases, by a method `_is_increasing()`. "
                f"Received: a bijector of class {type(bijector).__name__!r} without it"
            ) from None
        return _is_affine_increasing(bijector, event_ndims)
    return _without_axes(increasing, event_ndims - bijector.forward_min_event_ndims)


def _is_affine_increasing(bijector: tfb.Bijector, event_ndims: int) -> bool | tf.Tensor:
    """Returns whether an affine bijector is increasing, from its values at zero and one."""
    zero = tf.zeros([1] * event_ndims, bijector.dtype or tf.float32)
    difference = bijector.forward(zero + 1.0) - bijector.forward(zero)
    return _without_axes(difference > 0.0, bijector.forward_event_ndims(event_ndims))


def _without_axes(increasing: Any, event_ndims: int) -> bool | tf.Tensor:
    """Removes the last `event_ndims` axes, or fewer if there are fewer."""
    if not tf.is_tensor(increasing):
        return increasing
    for _ in range(min(event_ndims, increasing.shape.rank)):
        increasing = increasing[..., 0]
    return increasing
