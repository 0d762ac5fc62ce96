"""TFP objects as trees: every distribution and bijector knows the parts that it was made of.

The `parameters` of a TFP object are the arguments of its constructor. One walk over them serves
conditioning (bind a context everywhere), training (find the networks), saving (record how to make
the object again) and copying.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions import transformed_distribution


def is_node(value: Any) -> bool:
    """Whether the value is a TFP object with parameters of its own."""
    return isinstance(value, tfp.distributions.Distribution | tfp.bijectors.Bijector) or isinstance(
        value, tf.linalg.LinearOperator
    )


def parameters_of(node: Any) -> dict[str, Any]:
    """The parameters of a TFP object, as a `dict`."""
    return node.parameters or {}


def bijectors_to_base(
    distribution: tfp.distributions.Distribution,
) -> tuple[list[tfp.bijectors.Bijector], tfp.distributions.Distribution]:
    """The bijectors of nested transformed distributions, from data to base, and the base."""
    bijectors = []
    while isinstance(distribution, transformed_distribution._TransformedDistribution):
        bijectors.append(distribution.bijector)
        distribution = distribution.distribution
    return bijectors, distribution


# These two functions are plain Python; AutoGraph would warn that it cannot read them.
@tf.autograph.experimental.do_not_convert
def walk(root: Any, parameters: Callable[[Any], dict[str, Any]] = parameters_of) -> Iterator[Any]:
    """Yields every TFP object and every Keras layer below `root`, each once, parents first.

    Args:
      root: a TFP object.
      parameters: a callable that gives the parameters of a TFP object that are walked through.
    """
    seen = set()

    def visit(value: Any) -> Iterator[Any]:
        if is_node(value) or isinstance(value, keras.Layer):
            if id(value) in seen:
                return
            seen.add(id(value))
            yield value
        if is_node(value):
            yield from visit(parameters(value))
        elif isinstance(value, dict):
            for item in value.values():
                yield from visit(item)
        elif isinstance(value, list | tuple):
            for item in value:
                yield from visit(item)

    return visit(root)


@tf.autograph.experimental.do_not_convert
def rebuild(
    root: Any,
    changes: Callable[[Any], dict[str, Any]] = lambda node: {},
    twin: Callable[[Any], Any] = lambda node: type(node),
    parameters: Callable[[Any], dict[str, Any]] = parameters_of,
    leaf: Callable[[Any], Any] | None = None,
    fit: Callable[[Any, dict[str, Any]], dict[str, Any]] = lambda node, changed: {},
) -> Any:
    """Returns `root` with some parameters or classes changed; all other parts are shared.

    Args:
      root: a TFP object.
      changes: a callable that takes one of the TFP objects below (or at) `root` and returns a
        `dict` of its own parameters to change, empty for none.
      twin: a callable that takes one of them and returns the class to make it with. That class
        must have the same parameters.
      parameters: a callable that gives the parameters of a TFP object that are walked through.
      leaf: a callable that takes a value that is neither a TFP object nor a `dict`, list or tuple,
        and returns its replacement; `None` keeps all such values.
      fit: a callable that takes a TFP object and the parameters that have changed below it, and
        returns a `dict` of parameters that have to change with them.

    Returns:
      The same object if nothing in it has changed, else a copy. A part that occurs twice in `root`
      also occurs twice in the result.
    """
    done = {}

    def visit(value: Any) -> Any:
        if is_node(value):
            if id(value) not in done:
                changed = {
                    name: new
                    for name, old in parameters(value).items()
                    if (new := visit(old)) is not old
                }
                changed.update(changes(value))
                if changed:
                    changed.update(fit(value, changed))
                cls = twin(value)
                # A `copy` of a distribution keeps a reference to the original and its variables.
                if cls is not type(value) or (changed and leaf is not None):
                    done[id(value)] = cls(**{**value.parameters, **changed})
                else:
                    done[id(value)] = value.copy(**changed) if changed else value
            return done[id(value)]
        if isinstance(value, dict):
            items = {name: visit(item) for name, item in value.items()}
            same = all(items[name] is value[name] for name in items)
            return value if same else type(value)(items)
        if isinstance(value, list | tuple):
            items = [visit(item) for item in value]
            if all(new is old for new, old in zip(items, value, strict=True)):
                return value
            is_namedtuple = hasattr(value, "_fields")
            return type(value)(*items) if is_namedtuple else type(value)(items)
        return value if leaf is None else leaf(value)

    return visit(root)


def deep_copy(root: Any, memo: dict[int, Any]) -> Any:
    """`root` with variables of its own, for `__deepcopy__`.

    The copy is made again from parameters. Distributions cannot be copied attribute by attribute,
    and bijectors would list variables that their networks, which Keras copies, do not have.
    """
    copied = rebuild(root, leaf=lambda value: copy.deepcopy(value, memo))
    # Constructors make some variables with new values.
    for variable, value in zip(copied.variables, root.variables, strict=True):
        variable.assign(value)
    return copied
