"""Records a pass: what each part of a bijector gets, and what it returns."""

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

_watch: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("watch", default=None)


@dataclasses.dataclass
class Evaluation:
    """One evaluation of a part: y = f(x) of its `bijector`, or y = f^-1(x), and the log-det.

    Attributes:
      bijector: the part, which may be a chain or the inverse of another.
      x: the input.
      event_ndims: the number of axes of one event of `x`.
      is_forward: whether f was evaluated, and not its inverse.
      y: the output.
      log_det: log |dy/dx| in nats.
      parts: the evaluations of its components, such as those of a chain, or of what it makes
        itself, such as the transformer of a `Coupling`.
    """

    bijector: tfb.Bijector
    x: Any
    event_ndims: Any
    is_forward: bool
    y: Any
    log_det: tf.Tensor
    parts: list


@contextlib.contextmanager
def watching() -> Iterator[list[Evaluation]]:
    """Yields a list to which an `Evaluation` of each evaluated bijector is added.

    It only sees calls of `forward_and_log_det` and `inverse_and_log_det`, and what they evaluate.
    """
    seen: list[Evaluation] = []
    token = _watch.set(seen)
    try:
        yield seen
    finally:
        _watch.reset(token)


def watched(
    evaluate: Callable[..., tuple[tf.Tensor, tf.Tensor]],
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Wraps `evaluate(bijector, x, event_ndims, is_forward)`, to record its calls in `watching`."""

    @functools.wraps(evaluate)
    def call(
        bijector: tfb.Bijector, x: Any, event_ndims: Any, is_forward: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        seen = _watch.get()
        if seen is None:
            return evaluate(bijector, x, event_ndims, is_forward)
        with watching() as parts:
            y, log_det = evaluate(bijector, x, event_ndims, is_forward)
        seen.append(Evaluation(bijector, x, event_ndims, is_forward, y, log_det, parts))
        return y, log_det

    return call
