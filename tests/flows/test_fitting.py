"""Recipes learn a banana to within 0.05 nats of its entropy; `benchmarks/fitting.py` does more."""

import inspect
import math

import keras
import numpy as np
import pytest

import tfp_flows as tfpf

SCALE = 0.5
ENTROPY = math.log(2 * math.pi * math.e) + math.log(SCALE)
SMALL = {
    "bnaf": {"hidden_units": (12,), "num_layers": 1},
    "recurrent": {"hidden_units": (16,), "num_layers": 1},
    "flow_plus_plus": {"num_components": 4},
    "umnn": {"integrand_units": (6,), "num_nodes": 16, "num_layers": 1},
    "sos": {"num_polynomials": 2, "degree": 2, "bound": 5.0, "num_layers": 1},
    "naf": {"num_units": 6, "num_layers": 1},
}
LEARNING_RATES = {"bnaf": 5e-2}
# Those of one-dimensional transformers; the others have tests of their own. One is quick: the
# gradients of all are those of finite differences in the contract.
RECIPES = ["real_nvp"]
SLOW = [
    "nice",
    "neural_spline",
    "recurrent",
    "maf",
    "iaf",
    "flow_plus_plus",
    "sos",
    "umnn",
    "naf",
    "bnaf",
]


def banana(num_rows, seed):
    """y_1 ~ N(0, 1), y_2 | y_1 ~ N((y_1^2 - 1) / 2, SCALE)."""
    u = np.random.default_rng(seed).normal(size=[num_rows, 2])
    u[:, 1] = SCALE * u[:, 1] + 0.5 * (u[:, 0] ** 2 - 1.0)
    return u.astype("float32")


@pytest.mark.parametrize(
    "name", [*RECIPES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_learns_a_banana(name):
    make = getattr(tfpf.flows, name)
    settings = {"num_layers": 2, "hidden_units": (32, 32), **SMALL.get(name, {})}
    accepted = inspect.signature(make).parameters
    settings = {key: value for key, value in settings.items() if key in accepted}
    flow = make(2, seed=1, **settings)
    model = tfpf.FlowModel(flow)
    num_steps = 300
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATES.get(name, 1e-2), num_steps)
    # Not compiled by XLA: for so few steps that costs more than it saves.
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=5.0)
    model.compile(optimizer=optimizer, jit_compile=False)
    test = banana(5_000, seed=1)
    before = model.evaluate(test, batch_size=5_000, verbose=0)
    model.fit(banana(256 * num_steps // 3, seed=0), batch_size=256, epochs=3, verbose=0)
    after = model.evaluate(test, batch_size=5_000, verbose=0)
    assert before > ENTROPY + 0.3
    assert after < ENTROPY + 0.05
