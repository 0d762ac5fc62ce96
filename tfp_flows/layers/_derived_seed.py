"""Seeds for the parts of a network, derived from the seed of the network."""

import numpy as np


def derived_seed(seed: int | None, name: str) -> int | None:
    """Returns a 31-bit seed for the part `name`, or None if `seed` is None."""
    if seed is None:
        return None
    return int(np.random.SeedSequence([seed, *name.encode()]).generate_state(1)[0] >> 1)
