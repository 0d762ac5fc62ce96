"""Adapts the parts of a flow to data, in the order in which data pass through them."""

import contextlib
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows._tree import walk
from tfp_flows.bijectors.normalization._data_dependent import DataDependent, adapting
from tfp_flows.bijectors.normalization.act_norm import ActNorm
from tfp_flows.bijectors.normalization.standardize_context import StandardizeContext
from tfp_flows.conditioning import condition
from tfp_flows.models._first_look import no_batches
from tfp_flows.models._score import score

# How many batches may come before one with a positive weight. Some sources never end.
_MOST_BATCHES = 1000


def adapt(
    distribution: tfp.distributions.Distribution, x: ArrayLike, context: ArrayLike | None = None
) -> None:
    """Calls `adapt` of every part that has it, from the data to the base.

    Each part sees the data as the parts before it leave them. A `StandardizeContext` sees the
    contexts.

    Args:
      distribution: a TFP distribution.
      x: an array `[N, ...]`.
      context: an array `[N, C]` for a conditional flow. It may be left out if no part takes a
        context before the last part that adapts.

    Raises:
      ValueError: if no part adapts, or if the data do not reach a part that does.
    """
    parts = [node for node in walk(distribution) if isinstance(node, DataDependent)]
    of_contexts = [node for node in walk(distribution) if isinstance(node, StandardizeContext)]
    if of_contexts and context is None:
        raise ValueError(
            "`adapt` must be given contexts, `adapt(context, x)`, since "
            f"`{of_contexts[0].name}` learns from them. Received: x alone"
        )
    if not (parts or of_contexts):
        raise ValueError(
            "`distribution` must have a part that adapts, such as `Standardize`. "
            f"Received: {distribution!r}"
        )
    put_back = _memory(of_contexts)
    try:
        for part in of_contexts:
            part.adapt(context)  # type: ignore[arg-type]  # `None` was refused above
        if parts:
            _adapt(parts, distribution, x, context)
    except BaseException:
        put_back()
        raise


def initialized(
    distribution: tfp.distributions.Distribution,
    batches: Any,
    unpacked: Callable[[Any], tuple[Any, Any]],
) -> Any:
    """Lets each `ActNorm` that has not seen data adapt to the first batch.

    Args:
      distribution: a TFP distribution.
      batches: what Keras's `fit` takes for data: a dataset, a `PyDataset`, a generator.
      unpacked: a function of a batch that returns `(x or (context, x), weights or None)`.

    Returns:
      `batches`, or an iterator over the same batches if reading the first one has used it up.
    """
    parts = _waiting(distribution)
    if not parts:
        return batches
    (inputs, weight), batches = first_batch(batches, unpacked)
    context, x = inputs if isinstance(inputs, tuple) else (None, inputs)
    if weight is not None:
        # A row of weight zero must have no effect, even if it is infinite.
        counts = weight > 0
        x = tf.boolean_mask(x, counts)
        context = None if context is None else tf.boolean_mask(context, counts)
    _adapt(parts, distribution, x, context)
    return batches


@contextlib.contextmanager
def forgotten_unless_trained(model: keras.Model) -> Iterator[None]:
    """Resets an `ActNorm` that adapts to a first batch if no step can be made of that batch.

    Args:
      model: a model whose steps record their `Outcome`.
    """
    model._outcome.reset()
    put_back = _memory(_waiting(model.distribution))
    try:
        yield
    except BaseException:
        if model._outcome.count == 0:
            put_back()
        raise


def _waiting(distribution: tfp.distributions.Distribution) -> list[tfp.bijectors.Bijector]:
    """Each `ActNorm` that has not seen data."""
    parts = [node for node in walk(distribution) if isinstance(node, ActNorm)]
    # `tf.identity`, since a variable of several devices is not true or false as its value is.
    return [part for part in parts if not tf.identity(part.initialized)]


def _memory(parts: list[tfp.bijectors.Bijector]) -> Callable[[], None]:
    """A callable that restores the values that the variables of the parts have now."""
    variables = [variable for part in parts for variable in part.variables]
    kept = [tf.identity(variable) for variable in variables]

    def put_back() -> None:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)

    return put_back


def _adapt(
    parts: list[tfp.bijectors.Bijector],
    distribution: tfp.distributions.Distribution,
    x: tf.Tensor,
    context: tf.Tensor | None,
) -> None:
    if context is not None:
        # Binding copies only the parts that take a context.
        distribution = condition(distribution, context)
    put_back = _memory(parts)
    try:
        with adapting(parts):
            score(distribution, tf.convert_to_tensor(x))
    except BaseException:
        put_back()  # Parts before the one that raised have adapted already.
        raise


def first_batch(
    batches: Any, unpacked: Callable[[Any], tuple[Any, Any]]
) -> tuple[tuple[Any, Any], Any]:
    """Returns the first batch with a positive weight, unpacked, and the same batches."""
    if isinstance(batches, keras.utils.PyDataset):
        count = batches.num_batches
        indices = itertools.count() if count is None else range(count)
        iterator = (batches[i] for i in indices)
    else:
        iterator = iter(batches)
    seen = []
    for batch in itertools.islice(iterator, _MOST_BATCHES):
        seen.append(batch)
        tensors = tf.nest.map_structure(
            lambda t: None if t is None else tf.convert_to_tensor(t), batch
        )
        inputs, weight = unpacked(tensors)
        if weight is None or tf.reduce_any(weight > 0):
            is_used_up = isinstance(batches, types.GeneratorType)
            return (inputs, weight), _again(seen, iterator) if is_used_up else batches
    if seen:
        raise ValueError(
            "`sample_weight` must have a positive number. "
            f"Received: only zeros, in {len(seen)} batches"
        )
    raise no_batches("x", batches)


def _again(first: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    yield from first
    yield from rest
