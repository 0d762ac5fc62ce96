"""The registry of recipes over sets of points, and a set to try them on."""

import dataclasses
from collections.abc import Callable

import numpy as np

import tfp_flows as tfpf

D = 2  # dimensions of a point
M = 4  # points of a set


@dataclasses.dataclass(frozen=True)
class SetCase:
    """One recipe.

    Attributes:
      name: the id of its tests.
      make: `make(dtype, **options)` returns the distribution of sets.
      covers: names of what it covers.
    """

    name: str
    make: Callable
    covers: tuple


def pointflow(dtype="float64", **options):
    """As small as it can be, by few fixed steps unless `options` say otherwise."""
    if "solver" not in options:
        options = {"solver": "euler", "num_steps": 6, **options}
    options = {"latent_size": 2, **options}
    return tfpf.flows.pointflow(
        D,
        hidden_units=(8,),
        prior_units=(6,),
        point_units=(6, 6),
        set_units=(6,),
        seed=1,
        dtype=dtype,
        **options,
    )


CASES = [SetCase("pointflow", pointflow, ("pointflow", "Continuous"))]


def sets(num_sets=3, num_points=M, seed=1):
    """Sets of points, `[num_sets, num_points, D]`."""
    return np.random.default_rng(seed).normal(size=[num_sets, num_points, D])
