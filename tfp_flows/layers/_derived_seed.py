"""Seeds for the parts of a network, derived from the seed of the network."""

from typing import Any

import keras
import numpy as np


def derived_seed(seed: int | None, name: str) -> int | None:
    """Returns a 31-bit seed for the part `name`, or None if `seed` is None."""
    if seed is None:
        return None
    return int(np.random.SeedSequence([seed, *name.encode()]).generate_state(1)[0] >> 1)


def reseeded(initializer: Any, seed: int | None, name: str) -> str | keras.initializers.Initializer:
    """Returns the initializer with a seed for the part `name`, unless it has a generator.

    With one seed for all parts, all kernels of one shape would be equal.
    """
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    given = config.get("seed", initializer)
    if not (given is None or isinstance(given, int)):
        return initializer
    seed = derived_seed(given if seed is None else seed, name)
    return type(initializer).from_config({**config, "seed": seed})
