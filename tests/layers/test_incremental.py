"""Samples by units computed once, beside those of one call of the network a coordinate."""

import numpy as np
import pytest
import tensorflow as tf
from cases import perturb

from tfp_flows.bijectors import Affine, Autoregressive, RationalQuadraticSpline
from tfp_flows.layers import MADE
from tfp_flows.layers._incremental import _groups

RNG = np.random.default_rng(0)


def both(made, transformer=Affine, kwargs=None):
    """The bijector, and the same one that calls the network for each coordinate."""
    size, context_size = made.event_size, made.context_size
    made.build((None, size), (None, context_size) if context_size else None)
    perturb(v.value for v in made.variables)
    context = tf.constant(RNG.normal(size=[4, context_size])) if context_size else None
    options = {"context": context, "context_size": context_size, "dtype": "float64"}
    fast = Autoregressive(made, transformer, kwargs, **options)

    def conditioner(y, context=None):
        return made(y, context=context)

    return fast, Autoregressive(conditioner, transformer, kwargs, order=made.order, **options)


def assert_alike(made, transformer=Affine, kwargs=None):
    fast, slow = both(made, transformer, kwargs)
    x = tf.constant(RNG.normal(size=[4, made.event_size]))
    variables = [v.value for v in made.trainable_variables]
    results = []
    for bijector in (fast, slow):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_det = bijector._forward_and_log_det(x)
            total = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_det)
        gradients = tape.gradient(total, [x, *variables])
        results.append([y, log_det, *map(tf.convert_to_tensor, gradients)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("size", "residual", "context_size"),
    [(1, False, 2), (5, True, 2), (8, False, 0), (11, True, 0)],
)
def test_equals_a_call_for_each_coordinate(size, residual, context_size):
    """13 units are no multiple of the degrees; beyond 8 coordinates there are groups."""
    assert_alike(
        MADE(size, 2, (13, 13), "tanh", "random", context_size, residual, seed=2, dtype="float64")
    )


@pytest.mark.parametrize(
    ("hidden_units", "hidden_degrees", "context_size"),
    [
        ((), "equal", 1),
        ((2, 30, 3), "equal", 1),
        ((20, 20), "random", 0),
        ((4, 3), [[1, 1, 5, 8], [2, 5, 8]], 1),
    ],
)
def test_other_widths_and_degrees(hidden_units, hidden_degrees, context_size):
    assert_alike(
        MADE(
            9,
            2,
            hidden_units,
            "tanh",
            "reverse",
            context_size,
            hidden_degrees=hidden_degrees,
            seed=0,
            dtype="float64",
        )
    )


def test_another_transformer():
    kwargs = {"num_bins": 4, "bound": 3.0}
    size = RationalQuadraticSpline.params_size(**kwargs)
    made = MADE(10, size, (16,), "tanh", seed=1, dtype="float64")
    assert_alike(made, RationalQuadraticSpline, kwargs)


def test_xla_equals_eager():
    """With groups; the contract compiles those of few coordinates."""
    fast, _ = both(MADE(10, 2, (16,), "tanh", context_size=2, seed=1, dtype="float64"))
    x = tf.constant(RNG.normal(size=[4, 10]))
    variables = fast.trainable_variables

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_det = fast._forward_and_log_det(x)
            total = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_det)
        gradients = tape.gradient(total, [x, *variables])
        return [y, log_det, *map(tf.convert_to_tensor, gradients)]

    compiled = tf.function(run, jit_compile=True, autograph=False)(x)
    for a, b in zip(compiled, run(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_the_network_is_not_called():
    made = MADE(5, 2, (16, 16), seed=1)
    made.build((None, 5))
    bijector = Autoregressive(made)
    calls = []
    made.call = lambda *args, **kwargs: calls.append(1)
    bijector.forward(tf.zeros([3, 5]))
    assert not calls


def test_each_unit_is_activated_once():
    """What the activation is given adds up to the slots of the units: no unit comes twice."""
    widths = []

    def activation(z):
        widths.append(z.shape[-1])
        return tf.tanh(z)

    made = MADE(7, 2, (12, 18), activation, seed=1)
    made.build((None, 7))
    bijector = Autoregressive(made)
    widths.clear()  # of the calls by which layer and bijector look at what they are given
    bijector.forward(tf.zeros([3, 7]))
    # Six degrees share 12 and 18 units, and the last coordinate unlocks none, but has slots.
    assert sum(widths) == 7 * (2 + 3)


def test_mixed_precision():
    made = MADE(10, 2, (16, 16), seed=1, dtype="mixed_bfloat16")
    made.build((None, 10))
    perturb((v.value for v in made.variables), scale=0.1)
    bijector = Autoregressive(made)
    x = tf.constant(RNG.normal(size=[4, 10]), tf.float32)
    y = bijector.forward(x)
    assert y.dtype == tf.float32
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, atol=0.05)


@pytest.mark.parametrize("size", range(1, 70))
def test_groups_hold_all_coordinates_and_waste_few(size):
    num_groups, group_size = _groups(size)
    assert size <= num_groups * group_size < 1.2 * size + 1
