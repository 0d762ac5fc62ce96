"""A training step is compiled when it first runs, and not again when weights have changed.

XLA makes a constant of what it has to know when it compiles, such as the start of a slice, and of
all that this is computed from. If that includes a weight, every step compiles.
"""

import time

import numpy as np
import pytest

import tfp_flows as tfpf

SMALL = {"num_layers": 1, "hidden_units": (4,)}
RECIPES = {
    "ffjord": {"hidden_units": (4,), "solver": "euler", "num_steps": 1},
    "bnaf": {"num_layers": 1},
    "planar": {"num_layers": 1},
    "radial": {"num_layers": 1},
    "sylvester": {"num_layers": 1, "num_units": 1},
    **dict.fromkeys(("circular_spline", "flow_plus_plus", "iaf", "iresnet", "maf", "naf"), SMALL),
    **dict.fromkeys(("neural_spline", "nice", "real_nvp", "recurrent"), SMALL),
    **dict.fromkeys(("residual", "sos", "umnn"), SMALL),
}


def cases():
    yield "ffjord"
    # Each compiles for seconds; what they are made of has no slice that a weight decides.
    yield from (pytest.param(n, marks=pytest.mark.slow) for n in RECIPES if n != "ffjord")


@pytest.mark.parametrize("name", cases())
def test_a_second_fit_takes_a_fraction_of_the_first(name):
    model = tfpf.FlowModel(getattr(tfpf.flows, name)(2, seed=1, **RECIPES[name]))
    model.compile("sgd", jit_compile=True)
    x = np.random.default_rng(0).uniform(-3.0, 3.0, size=(16, 2)).astype("float32")
    seconds = []
    for _ in range(2):
        start = time.process_time()
        model.fit(x, batch_size=16, verbose=0)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 0.3 * seconds[0]
