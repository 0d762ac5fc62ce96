"""Checks of the widths of a network's layers."""

from typing import Any

from tfp_flows import _checks


def widths(value: Any, name: str) -> tuple[int, ...]:
    """Refuses a value that is not a sequence of integers of at least one; returns a tuple."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(
            f"`{name}` must be a tuple of integers of at least 1. Received: {name}={value!r}"
        )
    return tuple(_checks.integer_at_least(item, 1, name) for item in value)


def at_least_one_layer(value: Any, name: str) -> tuple[int, ...]:
    """The widths of layers; refuses an empty sequence."""
    layers = widths(value, name)
    if not layers:
        raise ValueError(f"`{name}` must have at least one layer. Received: {name}={value!r}")
    return layers


def block_widths(value: Any, name: str) -> tuple[int, ...]:
    """The widths of residual blocks; refuses an empty sequence and unequal widths."""
    blocks = widths(value, name)
    if not blocks or len(set(blocks)) > 1:
        raise ValueError(
            f"`{name}` must give one width for each residual block, at least one and all equal. "
            f"Received: {name}={value!r}"
        )
    return blocks
