"""Every transformer is trained through its inverse: reverse KL against a banana, in nats.

The fit through a search is quick; `tests/test_tfp_interplay.py` has one by reverse KL in closed
form. The others are slow: the contract compares their gradients, through the inverse too, with
finite differences.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import mlp

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
B = tfpf.bijectors

BANANA = tfd.JointDistributionSequentialAutoBatched(
    [tfd.Normal(0.0, 1.0), lambda y_1: tfd.Normal(0.4 * (y_1**2 - 1.0), 0.6)]
)
SPLINE = {"num_bins": 8, "bound": 5.0}
TRANSFORMERS = [
    (B.Affine, {}),
    (B.LinearSpline, {"num_bins": 16, "bound": 5.0}),
    (B.QuadraticSpline, SPLINE),
    (B.CubicSpline, SPLINE),
    (B.RationalQuadraticSpline, SPLINE),
    (B.LogisticMixtureCDF, {"num_components": 3}),
    (B.DeepSigmoid, {"num_units": 4}),
    (B.DenseDeepSigmoid, {"num_units": 3}),
    (B.MonotoneActivations, {"num_units": 4}),
    (B.SumOfSquares, {"num_polynomials": 2, "degree": 2, "bound": 5.0}),
    (B.MonotoneIntegral, {"hidden_units": (4,), "num_nodes": 16}),
]
QUICK = [B.LogisticMixtureCDF]


def coupling(transformer, kwargs):
    network = mlp(1, transformer.params_size(**kwargs), "float32")
    return B.Coupling(network, transformer, kwargs, mask=(True, False), invert_transformer=True)


def block_autoregressive():
    return tfb.Invert(B.BlockAutoregressive(2, (8, 8), seed=1))


def divergence_after_training(bijector, num_steps):
    """The first and last of KL(q || banana), q sampled by the direction `forward`."""
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [2])
    flow = tfpf.distributions.Flow(base, bijector)
    variables = flow.trainable_variables
    # Where a sum of squares comes near to zero, one draw gives a gradient of a million.
    schedule = keras.optimizers.schedules.CosineDecay(0.03, num_steps)
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    optimizer.build(variables)

    def divergence(seed, num_samples):
        y, log_prob = flow.experimental_sample_and_log_prob(num_samples, seed=seed)
        return tf.reduce_mean(log_prob - BANANA.log_prob(tf.unstack(y, axis=-1)))

    @tf.function(autograph=False)
    def step(seed):
        with tf.GradientTape() as tape:
            loss = divergence(seed, 256)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    first = step(tf.constant([0, 1]))
    for i in range(num_steps):
        step(tf.constant([i, 2]))
    return first.numpy(), divergence(tf.constant([0, 3]), 10_000).numpy()


# Some take more steps to learn, and the quick one fewer.
NUM_STEPS = {
    "LogisticMixtureCDF": 100,
    "LinearSpline": 400,
    "SumOfSquares": 800,
    "BlockAutoregressive": 600,
}


@pytest.mark.parametrize(
    "make",
    [
        *(
            pytest.param(
                lambda t=t, k=k: coupling(t, k),
                id=t.__name__,
                marks=[] if t in QUICK else [pytest.mark.slow],
            )
            for t, k in TRANSFORMERS
        ),
        pytest.param(block_autoregressive, id="BlockAutoregressive", marks=pytest.mark.slow),
    ],
)
def test_fits_a_banana_through_the_inverse(make, request):
    num_steps = NUM_STEPS.get(request.node.callspec.id, 200)
    first, last = divergence_after_training(make(), num_steps)
    assert first > 0.3
    assert np.abs(last) < 0.05
