"""Trained networks with ReLU, far from all data: what float64 has there, and never NaN."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

# Both directions of `maf` are those of `iaf`, and `nice` is `real_nvp` without a scale, which the
# contract holds to the same.
NAMES = ["real_nvp", "maf", "neural_spline", "flow_plus_plus", "sos", "naf", "bnaf"]
SEARCHED = ("flow_plus_plus", "sos", "naf", "bnaf")
FAR = [0.0, 3.0, -1e15, 1e30, -1e30]


def moved(flow):
    """The flow, with twice the weights it starts with, and moved."""
    rng = np.random.default_rng(0)
    for v in flow.trainable_variables:
        v.assign(2.0 * v + tf.constant(0.1 * rng.normal(size=v.shape), v.dtype))
    return flow


@functools.cache
def single(name, *args, **options):
    """The moved flow in float32, made once; tests leave it as it is."""
    return moved(getattr(tfpf.flows, name)(*args, seed=1, **options))


def moved_pair(name, *args, **options):
    """The moved flow in float32, and the same in float64."""
    flow = single(name, *args, **options)
    exact = getattr(tfpf.flows, name)(*args, seed=1, dtype="float64", **options)
    for v, w in zip(flow.variables, exact.variables, strict=True):
        w.assign(tf.cast(v, w.dtype))
    return flow, exact


def assert_close_to_float64(bijector, exact, x, method):
    """To 1e-5 of the largest number of a row, and of the log-det to 1e-4."""
    wide = tf.cast(x, tf.float64)
    y, expected = getattr(bijector, method)(x), getattr(exact, method)(wide)
    scale = np.max(np.maximum(np.abs(wide), np.abs(expected)), axis=-1, keepdims=True)
    np.testing.assert_allclose(y / scale, expected / scale, atol=1e-5)
    name = f"{method}_log_det_jacobian"
    nats, expected = getattr(bijector, name)(tf.identity(x), 1), getattr(exact, name)(wide, 1)
    np.testing.assert_allclose(nats, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_far_points_are_mapped_as_in_float64(name):
    """Less far than where networks of float32 are given no more."""
    flow, exact = moved_pair(name, 3, num_layers=2 if name in ("real_nvp", "maf") else 1)
    x = tf.constant(list(itertools.product([3.0, -1e10, 2e10], repeat=3)), tf.float32)
    # Not by searches, which take long without compilation.
    for method in ("inverse",) if name in SEARCHED else ("forward", "inverse"):
        assert_close_to_float64(flow.bijector, exact.bijector, x, method)


@pytest.mark.parametrize("name", ["real_nvp", "maf", "bnaf", "residual"])
def test_far_contexts_act_as_in_float64(name):
    flows = moved_pair(name, 3, num_layers=1, context_size=2)
    context = list(itertools.product([3.0, 1e10, -1e10], repeat=2))
    bound = [tfpf.condition(flow.bijector, np.array(context)) for flow in flows]
    x = tf.random.stateless_normal([len(context), 3], seed=[1, 2])
    assert_close_to_float64(*bound, x, "inverse")


# The densities of these at such rows, with their gradients, are tested below. The contract gives
# both directions of `SumOfSquares`, `DeepSigmoid` and `BlockAutoregressive` what is far.
SLOW = ("sos", "naf", "bnaf")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in NAMES]
)
def test_no_nan(name):
    # What one layer makes of such numbers the next one is given, too: two see all there is.
    num_layers = 2 if name in ("real_nvp", "maf") else 1
    flow = single(name, 3, num_layers=num_layers)
    bijector = flow.bijector
    x = tf.constant(list(itertools.product(FAR, FAR, FAR)), tf.float32)
    for value, log_det in (
        (bijector.forward, bijector.forward_log_det_jacobian),
        (bijector.inverse, bijector.inverse_log_det_jacobian),
    ):
        x = tf.identity(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, nats = value(x), log_det(x, 1)
        assert not np.isnan(y).any()
        assert not np.isnan(nats).any()
        gradients = tape.gradient(nats, [x, *flow.trainable_variables])
        assert not any(g is not None and np.isnan(g).any() for g in gradients)


@pytest.mark.parametrize("name", ["real_nvp", "maf", "bnaf", "residual", "ffjord"])
def test_no_nan_of_far_contexts(name):
    # Far rows, below, have steps that adapt.
    options = {"solver": "euler", "num_steps": 4} if name == "ffjord" else {}
    flow = single(name, 3, num_layers=1, context_size=2, **options)
    far = [0.0, 3.0, 1e15, 3e38, -3e38]
    context = tf.constant(list(itertools.product(far, far)))
    x = tf.random.stateless_normal([len(context), 3], seed=[1, 2])
    with tf.GradientTape() as tape:
        tape.watch(context)
        bijector = tfpf.condition(flow.bijector, context)
        y, nats = bijector.inverse(x), bijector.inverse_log_det_jacobian(x, 1)
    assert not np.isnan(y).any()
    assert not np.isnan(nats).any()
    gradients = tape.gradient(nats, [context, *flow.trainable_variables])
    assert not any(g is not None and np.isnan(g).any() for g in gradients)


@pytest.mark.parametrize("network", ["MLP", "MADE", "Recurrent"])
def test_no_nan_of_networks_in_half_precision(network):
    """A float16 network must not see what float16 cannot hold."""
    options = {"context_size": 2, "dtype": "mixed_float16", "seed": 1}
    arguments = (4, (8,)) if network == "MLP" else (3, 2)
    conditioner = getattr(tfpf.layers, network)(*arguments, **options)
    conditioner(tf.zeros([1, 1 if network == "MLP" else 3]), context=tf.zeros([1, 2]))
    if network == "MLP":
        bijector = tfpf.bijectors.Coupling(conditioner, mask=[True, False, False], context_size=2)
    else:
        bijector = tfpf.bijectors.Autoregressive(conditioner, context_size=2)
    for v in conditioner.trainable_variables:
        v.assign(v + 0.1 * np.random.default_rng(0).normal(size=v.shape))
    context = tf.constant([[1e5, -1e5], [1e30, 0.0], [300.0, -3.0]])
    bijector = tfpf.condition(bijector, context)
    x = tf.constant([[1e5, -1e6, 1e5], [1e30, 2.0, -1e30], [-2000.0, 1000.0, 3.0]])
    for y in (bijector.forward(x), bijector.inverse(x)):
        assert not np.isnan(y).any()


@pytest.mark.parametrize("name", ["bnaf", "naf", "sylvester", "radial", "planar"])
def test_roots_of_the_largest_numbers(name):
    """The first brackets of searches reach beyond the dtype there."""
    flow, exact = moved_pair(name, 2, num_layers=2)
    y = tf.constant([[1e38, -1e38], [1e38, 0.0], [-3.0, 2e38], [-1e34, 1e35]])
    for method in ("forward", "inverse"):
        found = getattr(flow.bijector, method)(tf.identity(y))
        assert not np.isnan(found).any()
        # Networks of `naf` are given less in float32.
        if name != "naf":
            expected = tf.cast(getattr(exact.bijector, method)(tf.cast(y, tf.float64)), tf.float32)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", ["MADE", "Recurrent"])
def test_sampling_sees_what_density_sees(network):
    """`generate` bounds what its network sees as a call for each coordinate does."""
    conditioner = getattr(tfpf.layers, network)(3, 2, seed=1, dtype="float64")
    conditioner.build((None, 3))
    rng = np.random.default_rng(0)
    for v in conditioner.trainable_variables:
        v.assign(v + 0.1 * rng.normal(size=v.shape))
    affine = tfpf.bijectors.Affine
    fast = tfpf.bijectors.Autoregressive(conditioner, affine)
    slow = tfpf.bijectors.Autoregressive(lambda x: conditioner(x), affine, dtype="float64")
    x = tf.constant([[1e200, 1.0, -2.0], [-1e170, 0.5, 1e180]], tf.float64)
    np.testing.assert_allclose(fast.forward(x), slow.forward(x), rtol=1e-12)


TINY = {
    "nice": {"num_layers": 4},
    "real_nvp": {"num_layers": 4},
    "maf": {"num_layers": 2},
    "iaf": {"num_layers": 2},
    "naf": {"num_units": 3},
    "bnaf": {"hidden_units": (2,)},
    "flow_plus_plus": {"num_layers": 2, "num_components": 2},
    "umnn": {"integrand_units": (3,), "num_nodes": 8},
    "sos": {},
    "neural_spline": {"num_layers": 2},
    "recurrent": {},
    "planar": {"num_layers": 2},
    "radial": {"num_layers": 2},
    "sylvester": {"num_units": 2},
    "residual": {},
    "ffjord": {"rtol": 1e-2, "atol": 1e-2},
}
WITHOUT_NETWORK = ("planar", "radial", "sylvester")


@pytest.mark.parametrize(
    ("name", "dtype"),
    # Its gradient is traced for seconds. `test_continuous.py` has that of far rows, too.
    [
        pytest.param(name, "float32", marks=pytest.mark.slow if name == "ffjord" else ())
        for name in TINY
    ]
    + [(name, "float64") for name in ("real_nvp", "maf", "naf", "sos", "neural_spline")],
)
def test_gradients_of_densities_of_far_rows(name, dtype):
    """Beside a row that is near: what is far leaves the gradients of the weights numbers."""
    options = dict(TINY[name])
    if name != "ffjord":
        options.setdefault("num_layers", 1)
    if name not in WITHOUT_NETWORK:
        options.setdefault("hidden_units", (4,))
    flow = moved(getattr(tfpf.flows, name)(3, seed=1, dtype=dtype, **options))
    info = np.finfo(dtype)
    rows = [[0.3, -0.2, 1.0]]
    # Of the first, half of the square root of the largest number, densities are numbers.
    root = 0.5 * float(info.max) ** 0.5
    far = (root, float(info.max) ** 0.79, info.max, np.inf)
    for a in (*far, info.tiny, info.smallest_subnormal):
        rows += [[a, a, a], [-a, a, -a], [a, 0.0, 1.0], [0.0, -a, 2.0], [1.0, 1.0, a]]
    x = tf.constant(rows, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = flow.log_prob(x)
    gradients = tape.gradient(log_prob, [x, *flow.trainable_variables])
    assert np.all(np.isfinite(log_prob) | np.isneginf(log_prob))
    # Ten rows are near.
    assert np.isfinite(log_prob).sum() >= 11
    assert all(np.all(np.isfinite(g)) for g in gradients if g is not None)
    # Those of the first row alone: the far ones add nothing but zeros, where they are infinite.
    lost = log_prob.numpy() < -1e-3 * info.max
    np.testing.assert_array_equal(gradients[0].numpy()[lost], 0.0)


@pytest.mark.parametrize("name", ["nice", "naf", "planar", "radial", "sylvester"])
def test_a_row_of_nan_leaves_the_others_their_gradients(name):
    """A loss that leaves its density out, as a user would, has the gradients of the others."""
    options = {} if name in WITHOUT_NETWORK else {"hidden_units": (4,)}
    flow = moved(getattr(tfpf.flows, name)(2, num_layers=1, seed=1, **options))
    rows = [[0.3, -0.2], [np.nan, 0.0], [np.inf, np.nan], [np.inf, 1.0], [0.0, -np.inf]]
    gradients = []
    for x in (tf.constant(rows), tf.constant(rows[:1])):
        with tf.GradientTape() as tape:
            log_prob = flow.log_prob(x)
            value = tf.reduce_sum(tf.where(tf.math.is_finite(log_prob), log_prob, 0.0))
        gradients.append(tape.gradient(value, flow.trainable_variables))
        if len(log_prob) > 1:
            np.testing.assert_array_equal(log_prob[1:], [np.nan, np.nan, -np.inf, -np.inf])
    for a, b in zip(*gradients, strict=True):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
