"""What parts share that learn from data before training."""

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
    """A part with a method `adapt(data)`, and a place in a flow where data reach it.

    Inside of `adapting(parts)` each of the parts adapts to the first tensor that it is given on
    the way from data to base, and then maps it. So one density, evaluated eagerly, adapts all of
    the parts of a flow, each to what those before it leave, wherever in the flow they stand.
    """

    @abc.abstractmethod
    def adapt(self, data: ArrayLike) -> None:
        """Learns from data `[N, ...]`, as they are at the data's end of this part."""

    def _check_finite(self, data: np.ndarray) -> None:
        """Refuses data `[N, ...]` with NaN or infinity, by row and column."""
        is_lost = ~np.isfinite(data)
        if is_lost.any():
            row, *column = np.argwhere(is_lost)[0].tolist()
            column = f", column {', '.join(map(str, column))}" if column else ""
            raise ValueError(
                f"`data` must be finite. Received: {data[is_lost][0]} in row {row}{column}, where "
                f"they reach `{self.name}`"
            )

    def _moments_of_rows(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean and standard deviation in float64, and which coordinates are constant."""
        # float64: a float32 sum over a million rows loses the digits that matter here.
        mean = data.mean(axis=0, dtype=np.float64)
        deviation = data.std(axis=0, dtype=np.float64)
        # Less than the rounding of the mean is not seen to vary in this dtype.
        is_constant = deviation <= ml_dtypes.finfo(self.dtype.as_numpy_dtype).eps * np.abs(mean)
        return mean, deviation, is_constant

    def _meet(self, data: tf.Tensor, adapt: Callable[[np.ndarray], None] | None = None) -> None:
        """Adapts to the data if this is its turn. The first line of `_inverse_and_log_det`."""
        waiting = _waiting.get()
        if waiting is None or waiting.pop(id(self), None) is None:
            return
        data = np.asarray(data)
        ndims = self.forward_min_event_ndims
        if 0 < ndims < data.ndim - 1:
            # Draws of noise for each row, as `elbo` makes them, count as rows.
            data = data.reshape([-1, *data.shape[-ndims:]])
        (adapt or self.adapt)(data)
        if not waiting:
            raise _AllAdapted


class _AllAdapted(Exception):
    """Ends a pass over the data: what lies behind the last part may be slow."""


@contextlib.contextmanager
def adapting(parts: Iterable[Any]) -> Iterator[None]:
    """Lets the parts adapt to the data that pass them, and ends with the last one.

    Args:
      parts: a list of `DataDependent` bijectors.

    Raises:
      ValueError: at its end, if data have not reached a part.
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
            "A part that adapts must stand where data reach it on the way to the base, as "
            "`Standardize` inside of `tfb.Invert` does not. "
            f"Received: {', '.join(part.name for part in waiting.values())} elsewhere"
        )
