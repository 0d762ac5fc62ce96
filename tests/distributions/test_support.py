"""Densities on and beyond the bounds of what a flow can reach: minus infinity, and no NaN."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.distributions._support import support

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors
INF = np.inf

# The outermost bijector, the bounds of both coordinates, and a point between them.
BOUNDED = {
    "sigmoid": (tfb.Sigmoid(), (0, 1), (0, 1)),
    "scaled sigmoid": (tfb.Sigmoid([-1.0, 2.0], [3.0, 2.5]), (-1, 3), (2, 2.5)),
    "exp": (tfb.Exp(), (0, INF), (0, INF)),
    "expm1": (tfb.Expm1(), (-1, INF), (-1, INF)),
    "softplus": (tfb.Softplus(), (0, INF), (0, INF)),
    "lower softplus": (tfb.Softplus(0.5, low=2.0), (2, INF), (2, INF)),
    "turned softplus": (tfb.Softplus(-0.5), (-INF, 0), (-INF, 0)),
    "tanh": (tfb.Tanh(), (-1, 1), (-1, 1)),
    "softsign": (tfb.Softsign(), (-1, 1), (-1, 1)),
    "normal cdf": (tfb.NormalCDF(), (0, 1), (0, 1)),
    "gumbel cdf": (tfb.GumbelCDF(), (0, 1), (0, 1)),
    "moyal cdf": (tfb.MoyalCDF(), (0, 1), (0, 1)),
    "soft clip": (tfb.SoftClip(-1.0, 2.0), (-1, 2), (-1, 2)),
    "soft clip above": (tfb.SoftClip(high=2.0), (-INF, 2), (-INF, 2)),
    "chain": (tfb.Chain([tfb.Tanh(), tfb.Scale(2.0)]), (-1, 1), (-1, 1)),
    "behind a scale": (
        tfb.Chain([tfb.Shift(1.0), tfb.Scale([-2.0, 4.0]), tfb.Sigmoid()]),
        (-1, 1),
        (1, 5),
    ),
    "behind a permutation": (
        tfb.Chain([tfb.Permute([1, 0]), tfb.Sigmoid([0.0, 5.0], [1.0, 7.0])]),
        (5, 7),
        (0, 1),
    ),
    "behind a reshape": (
        tfb.Chain([tfb.Reshape([2], [1, 2]), tfb.Sigmoid(), tfb.Reshape([1, 2], [2])]),
        (0, 1),
        (0, 1),
    ),
    "blockwise": (tfb.Blockwise([tfb.Identity(), tfb.Exp()], [1, 1]), (-INF, INF), (0, INF)),
    "inverted log": (tfb.Invert(tfb.Log()), (0, INF), (0, INF)),
    "inverted chain": (
        tfb.Invert(tfb.Chain([tfb.Scale(0.5), tfb.Invert(tfb.Sigmoid())])),
        (0, 1),
        (0, 1),
    ),
}


def flow(bijector, kind=tfpf.distributions.Flow):
    shift = tf.Variable([0.1, -0.2])
    base = tfd.MultivariateNormalDiag(shift, [1.0, 2.0])
    return kind(base, bijector), shift


def inside(bounds):
    low, high = bounds
    if np.isinf(low) and np.isinf(high):
        return 0.3
    return high - 0.7 if np.isinf(low) else low + 0.3 * min(high - low, 3.0)


@pytest.mark.parametrize("name", BOUNDED)
def test_rows_outside_have_no_density_and_no_gradient(name):
    bijector, *bounds = BOUNDED[name]
    good = np.float32([inside(each) for each in bounds])
    rows = [good]
    for column, ends in enumerate(bounds):
        for end, outwards in zip(ends, (-1.0, 1.0), strict=True):
            if np.isfinite(end):
                for far in (0.0, 0.5, 1e30, INF):
                    rows.append(np.where(np.arange(2) == column, end + far * outwards, good))
    x = tf.constant(np.stack(rows), tf.float32)
    distribution, shift = flow(bijector)
    plain = tfd.TransformedDistribution(distribution.distribution, bijector)
    with tf.GradientTape() as tape:
        expected = plain.log_prob(tf.constant(good))
    of_good = tape.gradient(expected, shift)
    assert np.isfinite(expected)

    def values_and_gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = distribution.log_prob(x)
        return values, *tape.gradient(values, [shift, x])

    in_graph = [tf.function(values_and_gradients)] if name in ("sigmoid", "blockwise") else []
    for run in (values_and_gradients, *in_graph):
        values, of_shift, of_x = run(x)
        np.testing.assert_allclose(values[0], expected, rtol=1e-5)
        np.testing.assert_array_equal(values[1:], -INF)
        np.testing.assert_allclose(of_shift, of_good, rtol=1e-5)
        np.testing.assert_array_equal(of_x[1:], 0.0)
    lost = np.stack([rows[-1], [np.nan, good[1]]])
    lost[0, 0] = np.nan  # beside a number that is outside, where the second coordinate is bounded
    assert np.isnan(distribution.log_prob(lost)).all()


def test_xla_and_conditional_flows():
    made = tfpf.flows.maf(2, num_layers=1, hidden_units=(4,), context_size=3, seed=0)
    bounded = tfpf.distributions.Flow(made, tfb.Sigmoid())
    context = np.float32([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    x = tf.constant([[0.3, 0.4], [0.3, 1.0]])
    bound = tfpf.condition(bounded, context)
    values = tf.function(bound.log_prob, jit_compile=True, autograph=False)(x)
    np.testing.assert_allclose(values, bound.log_prob(x), rtol=1e-5)
    assert np.isfinite(values[0]) and values[1] == -INF


def test_bounds_by_coordinate():
    for bijector, *bounds in BOUNDED.values():
        low, high = support(flow(bijector)[0])
        np.testing.assert_allclose(low, [each[0] for each in bounds])
        np.testing.assert_allclose(high, [each[1] for each in bounds])
    nested = tfb.Shift(3.0)(tfb.Sigmoid()(tfd.Sample(tfd.Normal(0.0, 1.0), 2)))
    np.testing.assert_allclose(support(nested), [[3.0, 3.0], [4.0, 4.0]])
    for unbounded in (
        tfb.Invert(tfb.Sigmoid()),
        B.LULinear(2),
        tfb.Chain([B.LULinear(2), tfb.Exp()]),
    ):
        assert support(flow(unbounded)[0]) is None
    assert support(tfd.Normal(0.0, 1.0)) is None
