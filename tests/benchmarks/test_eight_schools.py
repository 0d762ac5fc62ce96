"""The posterior of eight schools, non-centred, in small, against long chains of NUTS."""

import importlib.util
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

FILE = pathlib.Path(__file__).parents[2] / "benchmarks" / "posteriors" / "eight_schools.py"


def script():
    spec = importlib.util.spec_from_file_location("eight_schools", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_small_surrogate_has_the_moments_of_nuts():
    """3,000 steps of 64 samples; the benchmark takes 10,000 of 256, and more layers."""
    eight = script()
    pinned = eight.noncentred.experimental_pin(y=eight.EFFECTS)
    posterior = tfpf.surrogate_posterior(
        pinned, tfpf.flows.neural_spline, num_layers=4, hidden_units=(16, 16), seed=1
    )
    model = tfpf.VariationalModel(posterior, pinned.unnormalized_log_prob, num_samples=64, seed=1)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, 3_000)
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0))
    model.fit(steps_per_epoch=3_000, verbose=0)
    draw = tf.function(lambda: posterior.sample(20_000, seed=[5, 6]), autograph=False)
    values = eight.quantities(tf.nest.map_structure(np.array, draw()))
    nuts = json.loads(eight.REFERENCE.read_text())
    mean, stddev = np.array(nuts["mean"]), np.array(nuts["stddev"])
    np.testing.assert_allclose((values.mean(0) - mean) / stddev, 0.0, atol=0.1)
    np.testing.assert_allclose(values.std(0) / stddev, 1.0, atol=0.1)
