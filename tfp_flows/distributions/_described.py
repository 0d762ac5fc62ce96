"""A summary of a flow in a few lines."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow_probability as tfp
from tensorflow_probability.python.bijectors import chain, invert
from tensorflow_probability.python.distributions import transformed_distribution

from tfp_flows._tree import walk
from tfp_flows.distributions._dequantizing import Dequantizing

# The longest name that is shown whole.
_LONGEST = 40


def described(flow: tfp.distributions.Distribution) -> str:
    """One line for each layer of a flow, from data to base, and the number of weights.

    Args:
      flow: a `tfd.TransformedDistribution`, or one with a continuous `distribution` inside.
    """
    rows = [*_rows(flow), ("all", "", _number(flow.trainable_variables))]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"  {a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}} weights" for a, b, c in rows]
    return "\n".join(lines)


def short(name: str) -> str:
    """The name, cut if it is long, as the default name of a chain of many parts is."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."


def _rows(distribution: tfp.distributions.Distribution) -> list[tuple[str, str, str]]:
    """`(name, network, number of weights)` of each layer and base within a distribution."""
    if isinstance(distribution, transformed_distribution._TransformedDistribution):
        return [*_layers(distribution.bijector), *_rows(distribution.distribution)]
    if isinstance(distribution, Dequantizing):
        dequantizer = distribution.parameters.get("dequantizer")
        noise = [] if dequantizer is None else _layers(dequantizer)
        return [*noise, *_rows(distribution.distribution)]
    if hasattr(distribution, "numbers") and hasattr(distribution, "angles"):  # a `WithAngles`
        return [
            (f"{name} ({part})", network, number)
            for part in ("numbers", "angles")
            for name, network, number in _rows(getattr(distribution, part))
        ]
    return [_row(distribution, short(distribution.name))]


def _layers(bijector: tfp.bijectors.Bijector) -> list[tuple[str, str, str]]:
    """`(name, network, number of weights)` of each part of nested chains."""
    if isinstance(bijector, chain._Chain):
        return [row for part in bijector.bijectors for row in _layers(part)]
    inner = bijector.bijector if isinstance(bijector, invert._Invert) else bijector
    name = type(inner).__name__.lstrip("_")
    transformer = getattr(inner, "transformer", None)
    if transformer is not None:
        name = f"{name} of {transformer.__name__}"
    if inner is not bijector:
        name = f"Invert {name}"
    return [_row(bijector, name)]


def _row(part: Any, name: str) -> tuple[str, str, str]:
    networks = [node for node in walk(part) if isinstance(node, keras.Layer)]
    return name, ", ".join(map(_network, networks)), _number(part.trainable_variables)


def _network(network: keras.Layer) -> str:
    widths = getattr(network, "hidden_units", None)
    name = type(network).__name__
    return name if widths is None else f"{name} {tuple(widths)}"


def _number(variables: Iterable[Any]) -> str:
    return f"{sum(int(np.prod(variable.shape)) for variable in variables):,}"
