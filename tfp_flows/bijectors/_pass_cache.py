"""The cache of one pass: a point, its image and the log-det that was computed with it."""

import threading
from typing import Any

import tensorflow as tf
from tensorflow_probability.python.internal import cache_util


class PassCache(cache_util.BijectorCacheWithGreedyAttrs):
    """Remembers `(x, y, log-det)` of one evaluation while both points are alive.

    TFP scores a point by `x = inverse(y)` followed by `forward_log_det_jacobian(x)`. With this
    cache the second call finds the result of the first, so that each conditioner runs once. TFP's
    own cache returns stale log-densities in eager training and hands tensors of one graph to
    another (TFP issue 840). This one differs from it in two ways:

    - It drops the log-det as soon as one point of the pair is gone, since the next evaluation may
      see other variables or another dropout mask.
    - Its entries are keyed by graph, so that no tensor leaks from one `tf.function` trace to the
      next. They are also keyed by thread, so that a thread that trains, with dropout, hands nothing
      to one that does not.

    It is based on a private class of TFP 0.25. `tests/bijectors/test_pass_cache.py` tests what is
    used of that class.
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
        self._refuse(kwargs)
        return super()._lookup(input, forward_name, inverse_name, place=_current_place(), **kwargs)

    def _attributes(self, input: Any, fn_name: str, **kwargs: Any) -> Any:
        self._refuse(kwargs)
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

    def _refuse(self, kwargs: dict[str, Any]) -> None:
        """TFP would pass on what `bijector_kwargs` holds, its way to give a context."""
        if kwargs:
            raise TypeError(
                f"`{self.bijector.name}` takes no `bijector_kwargs`: bind a context by "
                f"`tfp_flows.condition(flow, context)`. Received: {', '.join(kwargs)}"
            )


class _ThreadKey(threading.local):
    """A unique key for each thread, since Python reuses the ids of threads that have ended."""

    def __init__(self) -> None:
        self.value = object()


_THREAD = _ThreadKey()


def _current_place() -> tuple[int | None, object]:
    """Returns the graph and the thread in which a pass is evaluated."""
    # The id of a graph may be reused after the graph is gone. But then all its symbolic tensors are
    # gone as well, and with them the entry.
    graph = None if tf.executing_eagerly() else id(tf.compat.v1.get_default_graph())
    return graph, _THREAD.value
