"""`cdf`, `survival_function`, their logarithms and `quantile` of flows over one number."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import mlp, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
B = tfpf.bijectors
F = tfpf.flows
Flow = tfpf.distributions.Flow

P = np.array([0.02, 0.3, 0.5, 0.9])
POINTS = np.linspace(-15.0, 15.0, 2001)


def constant(value):
    return tf.constant(value, tf.float64)


STANDARD = tfd.Normal(constant(0.0), constant(1.0))
VECTORS = tfd.Sample(STANDARD, 1)
RISES = B.Affine(constant(1.0), constant(0.3))


def points(flow):
    """x of the shape of events, for each member of the batch."""
    shape = [*flow.batch_shape, *flow.event_shape]
    x = POINTS.reshape([-1, *[1] * len(shape)])
    return np.broadcast_to(x, [len(POINTS), *shape])


def integral(flow):
    """The integral of the density from the first of the points, by the trapezoid rule."""
    p = flow.prob(points(flow)).numpy()
    areas = 0.5 * (p[1:] + p[:-1]) * (POINTS[1] - POINTS[0])
    return np.concatenate([np.zeros_like(p[:1]), np.cumsum(areas, axis=0)])


def check(flow, tolerance=1e-4):
    """All five functions against the density; returns the `cdf` at every 100th point."""
    x = points(flow)[::100]
    cdf = flow.cdf(x).numpy()
    assert cdf.shape == (len(x), *flow.batch_shape)
    np.testing.assert_allclose(cdf - cdf[0], integral(flow)[::100], atol=tolerance)
    assert cdf[0].max() < 1e-2 and cdf[-1].min() > 0.99
    upper = flow.survival_function(x)
    np.testing.assert_allclose(upper, 1.0 - cdf, atol=1e-12)
    np.testing.assert_allclose(np.exp(flow.log_cdf(x)), cdf, rtol=1e-8, atol=1e-300)
    np.testing.assert_allclose(np.exp(flow.log_survival_function(x)), upper, rtol=1e-8, atol=1e-300)
    p = np.broadcast_to(P.reshape([-1, *[1] * flow.batch_shape.rank]), [4, *flow.batch_shape])
    quantile = flow.quantile(p)
    assert quantile.shape == (4, *flow.batch_shape, *flow.event_shape)
    np.testing.assert_allclose(flow.cdf(quantile), p, atol=1e-6)
    return cdf


RECIPES = {
    "bnaf": {},
    "ffjord": {"num_layers": None, "solver": "rk4", "num_steps": 10},
    "iaf": {},
    "iresnet": {},
    "maf": {},
    "naf": {"num_units": 4},
    "neural_spline": {"autoregressive": True},
    "planar": {},
    "radial": {},
    "recurrent": {},
    "residual": {},
    "sos": {},
    "sylvester": {},
    "umnn": {},
}


@functools.cache
def recipe(name, context_size=0):
    options = {"num_layers": 2, "hidden_units": (6,), **RECIPES[name]}
    options = {key: value for key, value in options.items() if value is not None}
    make = getattr(F, name)
    flow = make(1, seed=1, dtype="float64", context_size=context_size, **options)
    perturb(flow.trainable_variables, scale=0.2)
    return flow


# The next test has the same layers as "iaf", "neural_spline" and "planar", with a context;
# "residual" differs from "iresnet" in how its log-det is estimated in training alone. Layers of
# "umnn" and "sos" are those of "naf" with other transformers, and "recurrent" has those of "maf".
SEEN_ELSEWHERE = ("iaf", "neural_spline", "planar", "residual", "umnn", "sos", "recurrent")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SEEN_ELSEWHERE else [])
        for name in RECIPES
    ],
)
def test_of_recipes(name):
    check(recipe(name))


@pytest.mark.parametrize("name", ["iaf", "neural_spline", "planar"])
def test_of_a_batch_of_contexts(name):
    contexts = np.random.default_rng(0).normal(size=[3, 2])
    cdf = check(tfpf.condition(recipe(name, 2), contexts))
    assert np.ptp(cdf, axis=1).max() > 1e-3
    assert tfpf.condition(recipe(name, 2), contexts).quantile(0.5).shape == [3, 1]


def of_conditional_normal():
    base = tfpf.distributions.ConditionalNormal(mlp(2, 2, "float64"), 1, 2)
    perturb(base.trainable_variables)
    return tfpf.condition(base, np.random.default_rng(0).normal(size=[3, 2]))


def mixture():
    components = [Flow(VECTORS, tfb.Scale(constant(-2.0))), Flow(VECTORS, tfb.Shift(constant(3.0)))]
    return tfd.Mixture(tfd.Categorical(logits=constant([0.0, 1.0])), components)


# What the sign, the shape of the batch and the base can be.
FLOWS = {
    "falls": lambda: Flow(VECTORS, tfb.Chain([tfb.Scale(constant(-0.5)), RISES])),
    "signs_of_a_batch": lambda: Flow(
        VECTORS,
        tfb.Chain([tfb.Scale(constant([[-2.0], [1.0], [-0.5]])), B.LULinear(1, dtype="float64")]),
    ),
    "scalars": lambda: Flow(STANDARD, tfb.Chain([RISES, tfb.Scale(constant([-2.0, 1.0]))])),
    "bare_scalars": lambda: tfd.TransformedDistribution(
        STANDARD, tfb.Chain([RISES, tfb.Scale(constant([-2.0, 1.0]))])
    ),
    "negative_scale": lambda: Flow(
        VECTORS,
        tfb.Chain([B.Standardize(1, dtype="float64"), tfb.Scale(constant(-1.0))]),
    ),
    "odd_reflections": lambda: Flow(
        VECTORS, tfb.Chain([RISES, B.HouseholderLinear(1, 3, seed=1, dtype="float64")])
    ),
    "even_reflections": lambda: Flow(
        VECTORS, tfb.Chain([RISES, B.QRLinear(1, 2, seed=1, dtype="float64")])
    ),
    "normalized": lambda: Flow(
        VECTORS,
        tfb.Chain(
            [RISES, tfb.Invert(B.ActNorm(1, dtype="float64")), B.BatchNorm(1, dtype="float64")]
        ),
    ),
    "matrix": lambda: Flow(VECTORS, tfb.Chain([tfb.ScaleMatvecTriL(constant([[-2.0]])), RISES])),
    "normal_base": lambda: Flow(
        tfd.MultivariateNormalDiag(constant([1.0]), constant([0.5])), tfb.Scale(constant(-2.0))
    ),
    "independent_base": lambda: Flow(
        tfd.Independent(tfd.Logistic(constant([0.5]), constant([0.5])), 1),
        tfb.Scale(constant(-1.0)),
    ),
    "mixture_base": lambda: Flow(
        tfpf.distributions.mixture_of_gaussians(1, 3, seed=1, dtype="float64"),
        tfb.Scale(constant([[-2.0], [1.0]])),
    ),
    "mixture": lambda: tfpf.distributions.mixture_of_gaussians(1, 3, seed=1, dtype="float64"),
    "flow_of_a_mixture": lambda: Flow(mixture(), tfb.Scale(constant(-1.0))),
    "flow_of_a_flow": lambda: Flow(Flow(VECTORS, tfb.Scale(constant(-2.0))), RISES),
    "broadcast_base": lambda: Flow(tfd.BatchBroadcast(VECTORS, [2]), tfb.Scale(constant(-1.0))),
    "matrices_of_one": lambda: Flow(tfd.Sample(STANDARD, [1, 1]), RISES),
    "conditional_normal": of_conditional_normal,
    "on_conditional_normal": lambda: Flow(of_conditional_normal(), tfb.Scale(constant(-1.0))),
}


@pytest.mark.parametrize("name", FLOWS)
def test_of_signs_batches_and_bases(name):
    check(FLOWS[name]())


def test_a_scale_below_zero_falls():
    # Its density is none: the assertion is about the sign alone.
    bijector = B.Standardize(1, scale=tf.Variable([-2.0]))
    assert not bijector._internal_is_increasing()
    assert B.Standardize(1)._internal_is_increasing()


def test_xla_and_gradients():
    """The derivative of the `cdf` is the density."""
    flow = recipe("maf")
    y = tf.constant(points(flow)[::100])

    @tf.function(jit_compile=True, autograph=False)
    def compiled(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            cdf = flow.cdf(y)
        return cdf, tape.gradient(cdf, y), flow.quantile(tf.constant(P))

    cdf, slope, quantile = compiled(y)
    np.testing.assert_allclose(cdf, flow.cdf(y), atol=1e-12)
    np.testing.assert_allclose(slope[..., 0], flow.prob(y), atol=1e-12)
    np.testing.assert_allclose(quantile, flow.quantile(P), atol=1e-10)


def test_far_tails_in_logarithms():
    flow = Flow(VECTORS, tfb.Scale(constant(-2.0)))
    x = constant([[-60.0], [60.0]])
    expected = STANDARD.log_cdf([-30.0, 30.0])
    np.testing.assert_allclose(flow.log_cdf(x), expected, rtol=1e-12)
    np.testing.assert_allclose(flow.log_survival_function(x), expected[::-1], rtol=1e-12)


FUNCTIONS = ("cdf", "log_cdf", "survival_function", "log_survival_function", "quantile")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_more_dimensions_are_refused(function):
    flow = F.maf(2, num_layers=1, hidden_units=(4,))
    p = 0.3 * tf.ones([3] if function == "quantile" else [3, 2])
    with pytest.raises(NotImplementedError, match="only for events of one number.*Received: "):
        getattr(flow, function)(p)
    # TFP asks the bijector alone, whose answer would be a wrong number.
    base = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
    bare = tfd.TransformedDistribution(base, flow.bijector)
    with pytest.raises(NotImplementedError, match="one number.*Received"):
        getattr(bare, function)(p)


def test_of_coordinates_that_are_mapped_alone():
    base = tfd.Independent(tfd.Normal(constant([0.0, 1.0]), constant(1.0)), 1)
    x = constant([[0.3, 2.0], [-1.0, 0.5]])
    flow = Flow(base, RISES)
    np.testing.assert_allclose(flow.cdf(x), base.cdf(RISES.inverse(x)))
    for bijector in (tfb.Scale(constant(-1.0)), tfb.Scale(constant([1.0, -1.0]))):
        with pytest.raises(NotImplementedError, match="one number"):
            Flow(base, bijector).cdf(x)


def test_what_does_not_say_whether_it_increases():
    params = tf.zeros([1, B.CircularSpline.params_size()])
    flow = Flow(tfd.Sample(tfd.Uniform(-np.pi, np.pi), 1), B.CircularSpline.new(params))
    with pytest.raises(NotImplementedError, match="must say whether it increases.*CircularSpline"):
        flow.cdf([[0.3]])


def test_a_context_is_missed():
    with pytest.raises(ValueError, match="needs a context"):
        recipe("maf", 2).cdf([[0.3]])


def test_after_an_update():
    shift = tf.Variable(constant(0.0))
    flow = Flow(VECTORS, B.Affine(shift))
    x = flow.sample(3, seed=1)
    before = flow.cdf(x)
    shift.assign(1.0)
    np.testing.assert_allclose(flow.cdf(x), STANDARD.cdf(x[:, 0] - 1.0))
    assert np.abs(flow.cdf(x) - before).min() > 1e-3
