"""`tf.vectorized_map` within what XLA compiles and differentiates."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def inlined_maps() -> Iterator[None]:
    """Makes no function of its own of a `tf.vectorized_map` that runs while XLA's graph is traced.

    TensorFlow 2.21 wraps such a map in a function when it knows that XLA will compile the graph.
    The gradient of that call takes axes and permutations from its outputs, which XLA must know to
    compile: then all inputs of the call count as constants, and with them the seed that they are
    computed from. Each step of training is compiled anew, for seconds. Joint distributions with
    automatic batches map so in every density and in their constraining bijectors.

    Graphs that have left the control flow of XLA do not know that it will compile them.
    """
    with contextlib.ExitStack() as stack:
        graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        while graph is not None:
            stack.enter_context(graph.control_dependencies(None))
            graph = getattr(graph, "outer_graph", None)
        yield
