"""What likelihood training maximises, and means of it."""

import tensorflow as tf

from tfp_flows.distributions import Flow
from tfp_flows.distributions._support import log_prob_in_support


def score(distribution, x):
    """log p(x), or of a distribution that has only a bound of it, the bound: `[N]`, in nats."""
    elbo = getattr(distribution, "elbo", None)
    if elbo is not None:
        return elbo(x)
    if isinstance(distribution, Flow):
        return distribution.log_prob(x)
    return log_prob_in_support(distribution, x, distribution.log_prob)


def weighted_mean(values, weight):
    """sum_n w_n a_n / sum_n w_n, or without weights the mean.

    Zero where there are no rows, as one of several devices may have none.
    """
    if weight is None:
        return tf.math.divide_no_nan(tf.reduce_sum(values), tf.cast(tf.size(values), values.dtype))
    # A row of weight zero fills up a batch; what it gives must not matter, even if infinite.
    total = tf.reduce_sum(tf.math.multiply_no_nan(values, weight))
    return tf.math.divide_no_nan(total, tf.reduce_sum(weight))


def total_weight(values, weight):
    """sum_n w_n, or without weights the number of values."""
    return tf.cast(tf.size(values), values.dtype) if weight is None else tf.reduce_sum(weight)
