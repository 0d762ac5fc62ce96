"""The logit of a mixture of sigmoids: the one step of deep sigmoids and of Flow++."""

import numpy as np
import tensorflow as tf

from tfp_flows.math.softplus import softplus


def logit_mixture(log_weights, z, log_slopes):
    """y = log F - log S,  F = sum_k w_k sigmoid(z_k),  S = sum_k w_k sigmoid(-z_k).

    So y = logit(F). Both sums are taken in the log domain, so neither tail loses digits: as z
    goes to +-inf, y follows the least steep z_k. With q_k the share of term k in F, and r_k that
    in S,

        dy/dx = sum_k (q_k sigmoid(-z_k) + r_k sigmoid(z_k)) dz_k/dx.

    All terms are positive, so none cancel.

    Args:
      log_weights: float `Tensor` `[..., K]`; each row of the weights sums to one.
      z: float `Tensor` `[..., K]`, increasing functions of x.
      log_slopes: float `Tensor` `[..., K]`, log dz_k/dx.

    Returns:
      `(y, log dy/dx)`, each `[...]`, broadcast.
    """
    # Keeps y and the shares finite where the exact z_k is beyond the range of the dtype.
    limit = 0.25 * z.dtype.max
    z = tf.clip_by_value(z, -limit, limit)
    log_sigmoid, log_survival = -softplus(-z), -softplus(z)
    log_f, log_q = _log_sum_and_shares(log_weights + log_sigmoid)
    log_s, log_r = _log_sum_and_shares(log_weights + log_survival)
    terms = tf.concat(
        [log_q + log_survival + log_slopes, log_r + log_sigmoid + log_slopes], axis=-1
    )
    return log_f - log_s, _log_sum_and_shares(terms)[0]


def distinct_offsets(num_units):
    """Where K sigmoids start so that they differ and their mixture is near the identity.

    logit(mean_k sigmoid(a x + b_k)) with the b_k evenly spaced, of variance v <= 0.09: its slope
    over a is 1 - v / 4 at zero and 1 in the tails, and a = 1 + v / 7 centres it on 1. For
    |x| <= 3 it stays within 0.01 of x, and its slope within [0.99, 1.01].

    Returns:
      `(b, log a)`: a numpy array `[K]` and a `float`.
    """
    b = np.linspace(-1.0, 1.0, num_units) if num_units > 1 else np.zeros([1])
    if num_units > 1:
        b *= 0.3 / np.std(b)
    return b, float(np.log1p(np.var(b) / 7.0))


def _log_sum_and_shares(t):
    """log sum_k exp(t_k), and the logarithms of the terms' shares in the sum.

    The shares are not `t - log_sum`, which cannot tell equal terms apart where |t| is huge.
    """
    return _log_sum(t), tf.nn.log_softmax(t)


@tf.custom_gradient
def _log_sum(t):
    """log sum_k exp(t_k), whose gradient is the shares as `softmax` gives them.

    That of `tf.math.log` is a reciprocal, off by a rounding: a term with the whole of the sum would
    get the share 1 - eps / 2, and eps / 2 times a z of 1e30 is not zero.
    """
    largest = tf.reduce_max(t, axis=-1)
    log_sum = largest + tf.math.log(
        tf.reduce_sum(tf.exp(t - largest[..., tf.newaxis]), axis=-1)
    )
    return log_sum, lambda cotangent: cotangent[..., tf.newaxis] * _softmax(t)


def _softmax(t):
    """As `tf.nn.softmax`, which takes no more than five axes on a CPU: draws of images have six."""
    if t.shape.rank is not None and t.shape.rank <= 5:
        return tf.nn.softmax(t)
    return tf.reshape(tf.nn.softmax(tf.reshape(t, [-1, t.shape[-1]])), tf.shape(t))
