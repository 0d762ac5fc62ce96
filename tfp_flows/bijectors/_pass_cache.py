"""The memory of one pass: a point, its image and the log-det that came with it."""

import threading
from typing import Any

import tensorflow as tf
from tensorflow_probability.python.internal import cache_util


class PassCache(cache_util.BijectorCacheWithGreedyAttrs):
    """Remembers `(x, y, log-det)` of one evaluation while both ends live.

    TFP scores a point by `x = inverse(y)` followed by `forward_log_det_jacobian(x)`. With this
    memory the second call finds what the first has computed, so that each conditioner runs once.
    Two things differ from TFP's own cache, which returns stale log-densities in eager training
    and hands tensors of one graph to another (TFP issue 840):

    - the log-det is dropped as soon as either end of the pair is gone, since the next evaluation
      may see other variables or another dropout mask;
    - entries are keyed by graph, so that nothing leaks from one `tf.function` trace to the next,
      and by thread: one that trains, with dropout, hands nothing to one that does not.

    It stands on a private class of TFP 0.25; `tests/bijectors/test_pass_cache.py` pins what is
    used of it.
    """

    def __init__(
        self,
        forward_name: str = "_remembered_forward",
        inverse_name: str = "_remembered_inverse",
        bijector: Any = None,
        bijector_class: Any = None,
        storage: Any = None,
    ) -> None:
        super().__init__(forward_name, inverse_name, bijector, bijector_class, storage)

    def _lookup(self, input: Any, forward_name: str, inverse_name: str, **kwargs: Any) -> Any:
        return super()._lookup(input, forward_name, inverse_name, place=_current_place(), **kwargs)

    def _attributes(self, input: Any, fn_name: str, **kwargs: Any) -> Any:
        kwargs["place"] = _current_place()
        entry = self._get_or_create_edge(input, fn_name, kwargs)
        if not entry.output_ref:
            entry.attributes.clear()
        return entry.attributes

    def _invoke(
        self, input: Any, fn_name: str, kwargs: dict[str, Any], attributes: dict[str, Any]
    ) -> Any:
        attributes.clear()
        kwargs = {name: value for name, value in kwargs.items() if name != "place"}
        return super()._invoke(input, fn_name, kwargs, attributes)


class _ThreadKey(threading.local):
    """A key of its own for each thread; the number of one that has ended is given to others."""

    def __init__(self) -> None:
        self.value = object()


_THREAD = _ThreadKey()


def _current_place() -> tuple[int | None, object]:
    """The graph and the thread in which a pass is evaluated."""
    # An id may be reused after its graph has died, but then every symbolic tensor of the old
    # graph is dead too, and with it the entry.
    graph = None if tf.executing_eagerly() else id(tf.compat.v1.get_default_graph())
    return graph, _THREAD.value
