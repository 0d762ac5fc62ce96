"""`tf.vectorized_map` in code that XLA compiles and differentiates."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def inlined_maps() -> Iterator[None]:
    """Keeps a `tf.vectorized_map` from becoming a function of its own while XLA's graph is traced.

    TensorFlow 2.21 wraps such a map in a function if it knows that XLA will compile the graph. The
    gradient of that call takes axes and permutations from its outputs, and XLA must know these when
    it compiles. So all inputs of the call count as constants, and so does the seed that they are
    computed from. Each training step would be compiled again, which takes seconds. Joint
    distributions with automatic batches use such maps in every density and in their constraining
    bijectors.

    Inside this context TensorFlow does not know that XLA will compile the graph, since the graph
    has left XLA's control flow.
    """
    with contextlib.ExitStack() as stack:
        graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        while graph is not None:
            stack.enter_context(graph.control_dependencies(None))
            graph = getattr(graph, "outer_graph", None)
        yield
