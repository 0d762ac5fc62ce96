"""KL divergences of flows: those of the bases, or an error that says how to estimate them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
Flow = tfpf.distributions.Flow
BASE = tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0])
OTHER = tfd.MultivariateNormalDiag([1.0, 2.0], [1.0, 1.0])
KL = 2.5


def maf(context_size=0):
    flow = tfpf.flows.maf(2, num_layers=1, hidden_units=(4,), context_size=context_size)
    perturb(flow.trainable_variables)
    return flow


def test_one_bijector():
    bijector = maf().bijector
    a, b = Flow(BASE, bijector), Flow(OTHER, bijector)
    np.testing.assert_allclose(tfd.kl_divergence(a, b), KL, rtol=1e-6)
    np.testing.assert_allclose(tfd.kl_divergence(a, a), 0.0)
    # The recipe that the error gives.
    x = a.sample(4000, seed=(0, 1))
    np.testing.assert_allclose(tf.reduce_mean(a.log_prob(x) - b.log_prob(x), axis=0), KL, atol=0.2)
    bare = tfd.TransformedDistribution(OTHER, bijector)
    np.testing.assert_allclose(tfd.kl_divergence(a, bare), KL, rtol=1e-6)


def test_has_the_batch_shape_of_flows():
    bijector = tfpf.condition(maf(3), np.ones([4, 3], "float32")).bijector
    a, b = Flow(BASE, bijector), Flow(OTHER, bijector)
    np.testing.assert_allclose(tfd.kl_divergence(a, b), [KL] * 4, rtol=1e-6)
    together = tfd.kl_divergence(tfd.Independent(a, 1), tfd.Independent(b, 1))
    np.testing.assert_allclose(together, 4 * KL, rtol=1e-6)


STUDENT = tfd.Sample(tfd.StudentT(5.0, 0.0, 1.0), 2)


@pytest.mark.parametrize(
    "pair",
    [
        lambda flow: (flow, maf()),
        lambda flow: (flow, BASE),
        lambda flow: (BASE, flow),
        lambda flow: (flow, tfd.Sample(tfd.Normal(0.0, 1.0), 2)),
        lambda flow: (tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1), flow),
        lambda flow: (Flow(STUDENT, flow.bijector), Flow(BASE, flow.bijector)),
    ],
)
def test_others_are_refused(pair):
    with pytest.raises(NotImplementedError, match=r"by Monte Carlo: `x = a.sample.*Received: a="):
        tfd.kl_divergence(*pair(maf()))
