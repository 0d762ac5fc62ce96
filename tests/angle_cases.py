"""The registry of recipes over angles, whose base is no normal distribution."""

import numpy as np
from cases import Case, recipe

import tfp_flows as tfpf


def angles(rng, shape):
    """All around the circle."""
    return rng.uniform(-np.pi, np.pi, size=shape)


CASES = [
    Case(
        "torus",
        recipe(tfpf.flows.circular_spline, num_layers=3, num_bins=4),
        ("circular_spline",),
        domain=angles,
        combines=True,
    )
]
