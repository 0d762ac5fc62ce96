"""The values that likelihood training maximizes, and their means."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.conditioning import condition
from tfp_flows.distributions import Flow
from tfp_flows.distributions._support import log_prob_in_support


def score(distribution: tfp.distributions.Distribution, x: tf.Tensor) -> tf.Tensor:
    """log p(x), or its lower bound if the distribution has only that: `[N]`, in nats."""
    elbo = getattr(distribution, "elbo", None)
    if elbo is not None:
        return elbo(x)
    if isinstance(distribution, Flow):
        return distribution.log_prob(x)
    return log_prob_in_support(distribution, x, distribution.log_prob)


def score_of_inputs(
    distribution: tfp.distributions.Distribution,
    is_conditional: bool,
    inputs: tf.Tensor | tuple[tf.Tensor, ...],
) -> tf.Tensor:
    """The `score` of a layer's inputs: x, or `(c, x)` for a conditional distribution."""
    if not is_conditional:
        return score(distribution, inputs)
    if not isinstance(inputs, tuple | list) or len(inputs) != 2:
        raise ValueError(
            "The inputs of a conditional flow must be `(context, x)`. "
            f"Received: {type(inputs).__name__}"
        )
    context, x = inputs
    return score(condition(distribution, context), x)


def weighted_mean(values: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    r"""$\sum_n w_n a_n / \sum_n w_n$, or the mean if there are no weights.

    It is zero without rows, since one of several devices may have none.
    """
    if weight is None:
        return tf.math.divide_no_nan(tf.reduce_sum(values), tf.cast(tf.size(values), values.dtype))
    # A row of weight zero only fills up a batch. Its value has no effect, even if infinite.
    total = tf.reduce_sum(tf.math.multiply_no_nan(values, weight))
    return tf.math.divide_no_nan(total, tf.reduce_sum(weight))


def total_weight(values: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
    r"""$\sum_n w_n$, or the number of values if there are no weights."""
    return tf.cast(tf.size(values), values.dtype) if weight is None else tf.reduce_sum(weight)
