"""KL divergences of flows: that of the bases, or an error that says how to estimate it."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions import transformed_distribution
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows.distributions.flow import Flow

tfd = tfp.distributions


@tfd.RegisterKL(Flow, Flow)
@tfd.RegisterKL(Flow, transformed_distribution._TransformedDistribution)
@tfd.RegisterKL(transformed_distribution._TransformedDistribution, Flow)
@tfd.RegisterKL(Flow, tfd.Distribution)
@tfd.RegisterKL(tfd.Distribution, Flow)
def _kl_flow(a: tfd.Distribution, b: tfd.Distribution, name: str | None = None) -> tf.Tensor:
    """KL(a || b), that of the bases in nats, if both flows have the same bijector."""
    with tf.name_scope(name or "kl_flow"):
        try:
            # Bijectors are equal in TFP if all of their parameters are.
            if a.bijector == b.bijector:
                kl = tfd.kl_divergence(a.distribution, b.distribution)
                shape = ps.broadcast_shape(a.batch_shape_tensor(), b.batch_shape_tensor())
                return tf.broadcast_to(kl, ps.broadcast_shape(ps.shape(kl), shape))
        except (AttributeError, NotImplementedError):
            pass  # no bijector, or bases without a divergence of their own
    raise NotImplementedError(
        "KL(a || b) has a closed form only if both flows have the same bijector, and their bases "
        "have a closed form. Estimate it by Monte Carlo: `x = a.sample(1000)`, then "
        "`tf.reduce_mean(a.log_prob(x) - b.log_prob(x), axis=0)`. "
        f"Received: a={a!r}, b={b!r}"
    )
