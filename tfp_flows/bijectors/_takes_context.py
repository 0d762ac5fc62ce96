"""The base of parts that take a context: they bind it, check it and broadcast it with events."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import parameter_properties
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.math._elementwise import clip_network_input


class TakesContext:
    """A TFP object that depends on a context c of shape `[..., C]`, or on no context (C = 0).

    A context may have several axes, such as a spectrogram, `[..., frames, channels]`. Then
    `context_size` is the tuple of their sizes.

    `tfp_flows.condition` finds the object by `context_size`, and binds c by `copy(context=c)`. Then
    c is one of its parameters. The batch shape of c broadcasts with that of the object, and is
    sliced with it.
    """

    # Attributes of the TFP object that this is mixed into.
    name: str
    _no_dependency: Callable[[Any], Any]

    def _bind_context(
        self,
        context: Any,
        context_size: int | Sequence[int],
        dtype: tf.DType | str | None,
        name: str,
    ) -> None:
        """Keeps a context, or `None`, after checks. Constructors call it before that of TFP.

        Args:
          context: what converts to a float `Tensor` `[..., C]`, or `None`.
          context_size: C, a tuple of the sizes of several axes, or 0 if no context is taken.
          dtype: the dtype of the part, or `None` if it is not known.
          name: the name of the part.

        Raises:
          TypeError: if `context_size` is neither an integer nor a tuple of integers.
          ValueError: if it is negative, or the last axes of `context` have other sizes.
        """
        self._context_size = self._no_dependency(_checks.context_size(context_size))
        self._context = None
        if context is None:
            return
        if self._context_size == 0:
            raise ValueError(
                f"`{name}` takes no `context` (its `context_size` is 0). "
                f"Received: context of shape {np.shape(context)}"
            )
        if dtype is None:
            dtype = context.dtype if tf.is_tensor(context) else tf.float32
        self._context = _checks.as_tensor(context, dtype, "context")
        _checks.context(self._context, self._context_size, name)

    @property
    def context_size(self) -> int | tuple[int, ...]:
        """C, the size of a context, or the tuple of the sizes of its axes; 0 for no context."""
        return self._context_size

    @property
    def context_shape(self) -> tuple[int, ...]:
        """The shape of one context: `(C,)`, or the sizes of its axes."""
        return _checks.context_shape(self._context_size)

    @property
    def context(self) -> tf.Tensor | None:
        """The bound context c, `[..., C]`, or `None`."""
        return self._context

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        return {
            "context": tfp.util.ParameterProperties(
                event_ndims=_context_ndims,
                shape_fn=parameter_properties.SHAPE_FN_NOT_IMPLEMENTED,
                is_preferred=False,  # so that `make_trainable` binds no context
            )
        }

    def _check_is_bound(self) -> None:
        if self._context_size and self._context is None:
            raise ValueError(
                f"`{self.name}` needs a context of shape "
                f"[..., {_checks.listed(self.context_shape)}]: bind one "
                "by `tfp_flows.condition(flow, context)`. Received: context=None"
            )

    def _broadcast_with_context(self, x: tf.Tensor, event_ndims: int = 1) -> tf.Tensor:
        """Broadcasts `x` with the batch shape of the bound context; an error without one."""
        self._check_is_bound()
        if self._context is None:
            return x
        shape = ps.shape(x)
        batch_shape = ps.broadcast_shape(shape[:-event_ndims], self._context_batch_shape())
        return tf.broadcast_to(x, ps.concat([batch_shape, shape[-event_ndims:]], axis=0))

    def _context_rows(self, batch_shape: Any, network: Any = None) -> tf.Tensor | None:
        """Returns c for each event of a batch, `[N, *context_shape]`, or `None` without a context.

        It is clipped for the network, so that no product overflows (see `clip_network_input`).
        """
        if self._context is None:
            return None
        shape = ps.concat([batch_shape, self.context_shape], axis=0)
        context = tf.broadcast_to(clip_network_input(self._context, network), shape)
        return tf.reshape(context, [-1, *self.context_shape])

    def _context_batch_shape(self) -> Any:
        return ps.shape(self._context)[: -len(self.context_shape)]


def _context_ndims(part: Any, x_event_ndims: int | None = None) -> int:
    """Returns how many axes of a part's context belong to one event, for TFP."""
    ndims = len(part.context_shape)
    if x_event_ndims is None:
        return ndims
    # Further event axes of a bijector are batch axes of the contexts.
    return ndims + x_event_ndims - part.forward_min_event_ndims
