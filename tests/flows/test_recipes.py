"""What every recipe promises at its start, and what it refuses."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import RECIPES, D, perturb

import tfp_flows as tfpf

tfd = tfp.distributions

FUNCTIONS = sorted({name for case in RECIPES for name in case.covers} & set(tfpf.flows.__all__))
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def bound(case, flow):
    if not case.context_size:
        return flow
    return tfpf.condition(flow, np.full([case.context_size], 0.3))


# Whose density and samples come from layers that other cases have, too; the contract holds all of
# them to their Jacobians.
SAME_LAYERS = {"nice", "real_nvp", "maf", "iaf", "iresnet", "recurrent", "naf"}
SAME_LAYERS |= {"neural_spline", *(f"neural_spline_{x}" for x in ("linear", "quadratic", "cubic"))}
NUM_SAMPLES = 5_000
# How far variables are moved: velocities are small; raw numbers of splines are scaled down.
SCALES = {"neural_spline": 1.5, "ffjord": 0.5, "sylvester": 1.2, "sos": 3.0}


class Recipe:
    """A flow, made once: how far from its base it starts, and where it is moved."""

    def __init__(self, case):
        self.flow = bound(case, case.make.flow("float64"))
        x = np.random.default_rng(0).normal(size=[50, D])
        self.difference = self.flow.log_prob(x) - self.flow.distribution.log_prob(x)
        perturb(self.flow.variables, scale=SCALES.get(case.covers[0], 0.8))

    @functools.cached_property
    def drawn(self):
        """Samples and their densities, by one pass."""
        return self.flow.experimental_sample_and_log_prob(NUM_SAMPLES, seed=4)

    @functools.cached_property
    def scored(self):
        """Points of a Student t wider than the samples, its density, the flow's, and its log-dets.

        The first points are samples, whose densities are known: one pass is for all.
        """
        samples = self.drawn[0].numpy()
        scale = 1.2 * np.linalg.cholesky(np.cov(samples.T))
        proposal = tfd.MultivariateStudentTLinearOperator(
            np.float64(5.0), samples.mean(axis=0), tf.linalg.LinearOperatorLowerTriangular(scale)
        )
        x = tf.concat([samples[:20], proposal.sample(NUM_SAMPLES, seed=5)], axis=0)
        log_prob = self.flow.log_prob(x)
        log_dets = self.flow.bijector.inverse_log_det_jacobian(x, 1)
        return x, proposal.log_prob(x), log_prob, log_dets


@functools.cache
def recipe(case):
    return Recipe(case)


each_case = pytest.mark.parametrize("case", RECIPES, ids=str)
# Autoregressive layers are drawn and scored as those of `naf_dense_context`, and the contract holds
# these transformers to their Jacobians. `ffjord` takes many steps of thousands of rows: there it is
# held to its Jacobian and its round trip, and in `test_continuous.py` to a closed form.
# `nice` is `real_nvp` without a scale, `iaf` is `maf` the other way round, `sylvester_context` has
# the layers of `sylvester`, and the autoregressive spline has those of two others that stay.
SLOW = (
    "umnn",
    "sos",
    "ffjord_context",
    "nice_context",
    "iaf_context",
    "sylvester",
    "neural_spline_autoregressive",
)
each_layer = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if case.name in SLOW else ())
        for case in RECIPES
        if case.name not in SAME_LAYERS
    ],
    ids=str,
)


@each_case
def test_starts_close_to_its_base(case):
    assert np.abs(recipe(case).difference).max() <= 0.1 * D


@each_case
def test_points_of_another_size_are_refused(case):
    for shape in ((5, D + 1), (5, 1), ()):
        with pytest.raises(ValueError, match="Received: "):
            recipe(case).flow.log_prob(np.zeros(shape))


@each_layer
def test_sample_and_log_prob_agrees_with_log_prob(case):
    x, log_prob = recipe(case).drawn
    assert x.shape == [NUM_SAMPLES, D]
    np.testing.assert_allclose(recipe(case).scored[2][:20], log_prob[:20], rtol=1e-8, atol=1e-8)


@each_layer
def test_density_is_that_of_samples(case):
    """Its integral, and those over octants, by importance sampling from a wider Student t.

    Without the log-dets they would be others, which is asserted: this test can fail.
    """
    samples = recipe(case).drawn[0].numpy()
    center = samples.mean(axis=0)
    x, log_q, log_prob, log_dets = (values[20:].numpy() for values in recipe(case).scored)

    def regions(points):
        """For each point 1, and in which octant about the center it lies."""
        octant = (points > center) @ [1, 2, 4]
        return np.concatenate([np.ones([NUM_SAMPLES, 1]), np.eye(8)[octant]], axis=1)

    expected = regions(samples)

    def deviation(log_weights):
        """The largest, in standard errors."""
        weighted = np.exp(log_weights)[:, np.newaxis] * regions(x)
        error = np.sqrt((weighted.var(axis=0) + expected.var(axis=0)) / NUM_SAMPLES)
        return np.abs((weighted.mean(axis=0) - expected.mean(axis=0)) / error).max()

    assert deviation(log_prob - log_q) < 5.0
    assert deviation(log_prob - log_q - log_dets) > 5.0


@functools.cache
def started(name):
    """Flows of two dimensions, given in three ways; the third has another seed."""
    make = getattr(tfpf.flows, name)
    options = {"num_layers": 1, "hidden_units": (4,)}
    given = ((2, 1), ((2,), 1), (tf.TensorShape([2]), 2))
    return [make(event_shape, seed=seed, **options) for event_shape, seed in given]


@each_function
def test_event_shape_is_a_size_or_a_sequence(name):
    for flow in started(name):
        assert flow.event_shape == [2] and flow.batch_shape == []
        assert flow.dtype == tf.float32 and flow.trainable_variables


@each_function
def test_seed_decides_the_start(name):
    first, same, other = (
        np.concatenate([np.ravel(v) for v in flow.variables]) for flow in started(name)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@each_function
def test_any_base(name):
    make = getattr(tfpf.flows, name)
    base = tfd.MultivariateNormalTriL(tf.Variable([1.0, -1.0]), scale_tril=[[1.0, 0.0], [0.5, 2.0]])
    # Of a flow that is nearly the identity, few steps are enough.
    options = {"solver": "rk4", "num_steps": 4} if name == "ffjord" else {}
    flow = make([2], num_layers=2, hidden_units=(4,), base=base, seed=2, **options)
    assert any(v is base.loc for v in flow.trainable_variables)
    # Where the recipes that are not exactly the identity at the start are close to it.
    x = base.loc + 0.5 * np.random.default_rng(1).normal(size=[7, 2]).astype("float32")
    np.testing.assert_allclose(flow.log_prob(x), base.log_prob(x), atol=0.2)


@pytest.mark.parametrize(("name", "atol"), [("neural_spline", 1e-9), ("flow_plus_plus", 0.1)])
def test_permutations_are_undone_at_the_start(name, atol):
    """Of more than three coordinates, so that they are not their own inverses."""
    base = tfd.MultivariateNormalDiag(np.arange(5.0), np.linspace(0.5, 1.5, 5))
    options = {"num_layers": 3, "hidden_units": (4,), "seed": 1, "dtype": "float64"}
    flow = getattr(tfpf.flows, name)(5, base=base, **options)
    orders = [part.parameters["permutation"] for part in flow.bijector.bijectors[1::2]]
    assert any(np.any(np.argsort(order) != order) for order in orders)
    x = base.sample(4, seed=(1, 2))
    np.testing.assert_allclose(flow.log_prob(x), base.log_prob(x), atol=atol)


@pytest.mark.parametrize("name", ["maf", "iaf"])
def test_orders_of_layers_alternate(name):
    flow = getattr(tfpf.flows, name)(4, num_layers=3, hidden_units=(8,), seed=1)
    layers = [getattr(part, "bijector", part) for part in flow.bijector.bijectors]
    orders = [layer.conditioner.order for layer in layers]
    assert orders == [(0, 1, 2, 3), (3, 2, 1, 0), (0, 1, 2, 3)]


@each_function
@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"event_shape": 0}, ValueError, "event_shape"),
        ({"event_shape": (2, 2)}, ValueError, "event_shape"),
        ({"event_shape": 2.5}, TypeError, "event_shape"),
        ({"num_layers": 0}, ValueError, "num_layers"),
        ({"hidden_units": (4, 0)}, ValueError, "hidden_units"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"base": "normal"}, TypeError, "base"),
        ({"base": tfd.Normal(0.0, 1.0)}, ValueError, "base"),
        ({"seed": -1}, ValueError, "seed"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else None,
)
def test_bad_input_is_named(name, change, error, named):
    arguments = {"event_shape": 2, "num_layers": 1, "hidden_units": (4,), **change}
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        getattr(tfpf.flows, name)(**arguments)


@pytest.mark.parametrize(("name", "num_moved"), [("real_nvp", 1), ("maf", 2)])
def test_scales_of_a_layer_are_bounded_by_e_squared(name, num_moved):
    """Rows held out of small tables were worth -1e9 nats where six layers could reach e^30."""
    flow = getattr(tfpf.flows, name)(2, num_layers=1, hidden_units=(4,), seed=1)
    perturb(flow.variables, scale=100.0)
    x = np.random.default_rng(0).normal(scale=100.0, size=[20, 2]).astype("float32")
    log_det = flow.bijector.inverse_log_det_jacobian(x, 1)
    assert 1.0 < np.abs(log_det).max() <= 2.0 * num_moved


def test_options_are_checked():
    with pytest.raises(ValueError, match="`spline`.*Received: spline='wavy'"):
        tfpf.flows.neural_spline(2, spline="wavy")
    with pytest.raises(ValueError, match="`solver` applies only to auto.*Received: solver="):
        tfpf.flows.neural_spline(2, solver="jacobi")
    with pytest.raises(ValueError, match="`bound`"):
        tfpf.flows.neural_spline(2, bound=0.0)
    with pytest.raises(ValueError, match="`max_log_scale`"):
        tfpf.flows.maf(2, max_log_scale=-1.0)
    with pytest.raises(ValueError, match="`event_shape`"):
        tfpf.flows.real_nvp(1)


@pytest.mark.parametrize("dtype", ["int32", "float23", "bfloat16", None])
@each_function
def test_only_two_dtypes(name, dtype):
    with pytest.raises(ValueError, match="`dtype` must be float32 or float64. Received: dtype="):
        getattr(tfpf.flows, name)(2, dtype=dtype)


def test_a_base_of_another_dtype_is_refused():
    base = tfd.Sample(tfd.Normal(np.float64(0.0), 1.0), 2)
    with pytest.raises(
        ValueError, match="`base` must have the dtype float32 .*Received: base.dtype"
    ):
        tfpf.flows.maf(2, base=base)
