"""The base class of bijectors that learn from data before training."""

import abc
import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.bijectors.flow_bijector import FlowBijector

_waiting: contextvars.ContextVar[dict[int, Any] | None] = contextvars.ContextVar(
    "waiting", default=None
)


class DataDependent(FlowBijector):
    """A bijector with a method `adapt(data)` that can be run at its place in a flow.

    Within `adapting(parts)` each part adapts to the first tensor that reaches it on the way from
    data to base, and then maps this tensor. So one eager evaluation of a density adapts all parts
    of a flow, wherever they are. Each part sees the data as the parts before it have left them.
    """

    @abc.abstractmethod
    def adapt(self, data: ArrayLike) -> None:
        """Learns from data `[N, ...]`, in the form in which they reach this part."""

    def _check_finite(self, data: np.ndarray) -> None:
        """Refuses data `[N, ...]` with NaN or infinity, and names the row and column."""
        is_lost = ~np.isfinite(data)
        if is_lost.any():
            row, *column = np.argwhere(is_lost)[0].tolist()
            column = f", column {', '.join(map(str, column))}" if column else ""
            raise ValueError(
                f"`data` must be finite. Received: {data[is_lost][0]} in row {row}{column} of what "
                f"reaches `{self.name}`"
            )

    def _moments_of_rows(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns mean and standard deviation in float64, and which coordinates are constant."""
        # In float64, since a float32 sum over a million rows loses the digits that matter here.
        mean = data.mean(axis=0, dtype=np.float64)
        deviation = data.std(axis=0, dtype=np.float64)
        # A deviation below the rounding error of the mean does not show in this dtype.
        is_constant = deviation <= ml_dtypes.finfo(self.dtype.as_numpy_dtype).eps * np.abs(mean)
        return mean, deviation, is_constant

    def _meet(self, data: tf.Tensor, adapt: Callable[[np.ndarray], None] | None = None) -> None:
        """Adapts to the data if this part has not yet adapted within `adapting`.

        Subclasses call it in the first line of `_inverse_and_log_det`.
        """
        waiting = _waiting.get()
        if waiting is None or waiting.pop(id(self), None) is None:
            return
        data = np.asarray(data)
        ndims = self.forward_min_event_ndims
        if 0 < ndims < data.ndim - 1:
            # Several draws of noise for each row, as `elbo` makes them, count as rows.
            data = data.reshape([-1, *data.shape[-ndims:]])
        (adapt or self.adapt)(data)
        if not waiting:
            raise _AllAdapted


class _AllAdapted(Exception):
    """Ends a pass over the data early, since the rest of the flow may be slow."""


@contextlib.contextmanager
def adapting(parts: Iterable[Any]) -> Iterator[None]:
    """Lets each part adapt to the data that reach it, and ends the pass after the last one.

    Args:
      parts: a list of `DataDependent` bijectors.

    Raises:
      ValueError: at the end, if some part has received no data.
    """
    waiting = {id(part): part for part in parts}
    token = _waiting.set(waiting)
    try:
        yield
    except _AllAdapted:
        pass
    finally:
        _waiting.reset(token)
    if waiting:
        raise ValueError(
            "The data must reach every part that adapts on their way to the base. They do not "
            "reach a `Standardize` inside of `tfb.Invert`, for example. "
            f"Received: no data for {', '.join(part.name for part in waiting.values())}"
        )
