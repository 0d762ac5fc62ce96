"""The order of coordinates and the degrees of hidden units, which define a masked network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows import _checks


def resolved_order(
    order: str | Sequence[int] | None, event_size: int, seed: int | None
) -> tuple[int, ...]:
    """Returns the permutation of range(event_size) that `order` describes, as a tuple."""
    received = f"Received: order={order!r}"
    if order is None:
        order = range(event_size)
    elif is_word(order, "reverse"):
        order = range(event_size - 1, -1, -1)
    elif is_word(order, "random"):
        order = np.random.default_rng(seed).permutation(event_size)
    elif isinstance(order, str) or not hasattr(order, "__iter__"):
        raise ValueError(
            f"`order` must be None, 'reverse', 'random' or a permutation of range({event_size}). "
            f"{received}"
        )
    order = tuple(_checks.integer_at_least(j, 0, "order") for j in order)
    if sorted(order) != list(range(event_size)):
        raise ValueError(f"`order` must be a permutation of range({event_size}). {received}")
    return order


def resolved_degrees(
    hidden_degrees: str | Sequence[Sequence[int]],
    hidden_units: tuple[int, ...],
    lowest: int,
    highest: int,
    residual: bool,
    seed: int | None,
) -> tuple[np.ndarray, ...]:
    """Returns the degrees of each hidden layer that `hidden_degrees` describes, as arrays."""
    if is_word(hidden_degrees, "equal"):
        return tuple(_equal_degrees(n, lowest, highest) for n in hidden_units)
    if is_word(hidden_degrees, "random"):
        draws = np.random.default_rng(seed)
        degrees = [draws.integers(lowest, highest + 1, size=n) for n in hidden_units]
        for layer in degrees:
            layer[0] = lowest
            layer.sort()
        return tuple(degrees[:1] * len(degrees) if residual else degrees)
    received = f"Received: hidden_degrees={hidden_degrees!r}"
    if isinstance(hidden_degrees, str) or not hasattr(hidden_degrees, "__iter__"):
        raise ValueError(
            "`hidden_degrees` must be 'equal', 'random' or a sequence of degrees for each "
            f"hidden layer. {received}"
        )
    degrees = tuple(
        np.array([_checks.integer_at_least(m, lowest, "hidden_degrees") for m in layer], dtype=int)
        for layer in hidden_degrees
    )
    if tuple(map(len, degrees)) != hidden_units or any(
        layer[-1] > highest or np.any(np.diff(layer) < 0) for layer in degrees
    ):
        raise ValueError(
            "`hidden_degrees` must hold a degree for each of "
            f"hidden_units={hidden_units}, sorted, from {lowest} to {highest}. "
            f"{received}"
        )
    if residual and any(np.any(layer != degrees[0]) for layer in degrees):
        raise ValueError(f"`hidden_degrees` must be equal for all residual blocks. {received}")
    return degrees


def _equal_degrees(num_units: int, lowest: int, highest: int) -> np.ndarray:
    num_degrees = highest - lowest + 1
    if num_units >= num_degrees:
        return lowest + np.arange(num_units) * num_degrees // num_units
    # A unit of degree m cuts the order after position m. Evenly spaced cuts separate most pairs.
    first = [0] if lowest == 0 else []
    num_cuts = num_units - len(first)
    cuts = np.rint(np.arange(1, num_cuts + 1) * (highest + 1) / (num_cuts + 1)).astype(int)
    return np.concatenate([np.array(first, dtype=int), cuts])


def is_word(value: Any, word: str) -> bool:
    """Returns whether an argument, which may also be an array, is the word."""
    return isinstance(value, str) and value == word
