"""Letting the parts of a flow learn from data, in the order in which data pass them."""

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

# How many batches may come before one with a weight; some sources have no end.
_MOST_BATCHES = 1000


def adapt(
    distribution: tfp.distributions.Distribution, x: ArrayLike, context: ArrayLike | None = None
) -> None:
    """Calls `adapt` of every part that has it, from the data inwards.

    Each part sees the data as those before it leave them, and a `StandardizeContext` the contexts.

    Args:
      distribution: a TFP distribution.
      x: an array `[N, ...]`.
      context: an array `[N, C]` for a conditional flow. It may be left out if no part takes a
        context before the last part that adapts.

    Raises:
      ValueError: if no part adapts, or one stands where the data do not come.
    """
    parts = [node for node in walk(distribution) if isinstance(node, DataDependent)]
    of_contexts = [node for node in walk(distribution) if isinstance(node, StandardizeContext)]
    if of_contexts and context is None:
        raise ValueError(
            "`adapt` must be given contexts, `adapt(context, x)`, for "
            f"`{of_contexts[0].name}` to learn from. Received: x alone"
        )
    if not (parts or of_contexts):
        raise ValueError(
            "`distribution` must have a part that adapts, such as `Standardize`. "
            f"Received: {distribution!r}"
        )
    put_back = _memory(of_contexts)
    try:
        for part in of_contexts:
            part.adapt(context)
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
    """Lets each `ActNorm` that has not met data adapt to the first batch.

    Args:
      distribution: a TFP distribution.
      batches: what Keras's `fit` takes for data: a dataset, a `PyDataset`, a generator.
      unpacked: a function of a batch that returns `(x or (context, x), weights or None)`.

    Returns:
      `batches`, or if these are used up by looking at them, the same again.
    """
    parts = _waiting(distribution)
    if not parts:
        return batches
    (inputs, weight), batches = first_batch(batches, unpacked)
    context, x = inputs if isinstance(inputs, tuple) else (None, inputs)
    if weight is not None:
        # A row of weight zero must not matter, even if it is infinite.
        counts = weight > 0
        x = tf.boolean_mask(x, counts)
        context = None if context is None else tf.boolean_mask(context, counts)
    _adapt(parts, distribution, x, context)
    return batches


@contextlib.contextmanager
def forgotten_unless_trained(model: keras.Model) -> Iterator[None]:
    """An `ActNorm` that adapts to a first batch of which no step can be made goes on waiting.

    Args:
      model: one whose steps record their `Outcome`.
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
    """Each `ActNorm` that has not met data."""
    parts = [node for node in walk(distribution) if isinstance(node, ActNorm)]
    # The truth of a variable of several devices is not that of its value.
    return [part for part in parts if not tf.identity(part.initialized)]


def _memory(parts: list[tfp.bijectors.Bijector]) -> Callable[[], None]:
    """A callable that gives the variables of parts the values that they have now."""
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
        # Parts without a context are the same in the bound flow.
        distribution = condition(distribution, context)
    put_back = _memory(parts)
    try:
        with adapting(parts):
            score(distribution, tf.convert_to_tensor(x))
    except BaseException:
        put_back()  # Parts before the one that has refused what it was given.
        raise


def first_batch(
    batches: Any, unpacked: Callable[[Any], tuple[Any, Any]]
) -> tuple[tuple[Any, Any], Any]:
    """Returns `(the first batch in which a row counts, unpacked; the same batches)`."""
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
