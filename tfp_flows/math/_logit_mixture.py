"""The logit of a mixture of sigmoids, the common step of deep sigmoids and Flow++."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def logit_mixture(
    log_weights: tf.Tensor, z: tf.Tensor, log_slopes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y = \log F - \log S, \quad F = \sum_k w_k \sigma(z_k), \quad S = \sum_k w_k \sigma(-z_k)$

    So y = logit(F). All is computed in the log domain, so neither tail loses digits: as z goes to
    $\pm\infty$, y follows the least steep $z_k$. Since F + S = 1,

        $dy/dx = \sum_k w_k \sigma(z_k) \sigma(-z_k) (dz_k/dx) / (F S)$,

    a sum of positive terms, where nothing cancels. The units are on the axis before the last, so
    that XLA vectorizes its loops over the last one, which is long.

    Args:
      log_weights: float `Tensor` `[..., K, N]`; the weights of the K units sum to one.
      z: float `Tensor` `[..., K, N]`, increasing functions of x.
      log_slopes: float `Tensor` `[..., K, N]`, log dz_k/dx.

    Returns:
      `(y, log dy/dx)`, each `[..., N]`, broadcast.
    """
    # This keeps y and the shares finite where the exact z_k is beyond the range of the dtype.
    limit = 0.25 * z.dtype.max
    z = tf.clip_by_value(z, -limit, limit)
    shape = tf.broadcast_dynamic_shape(tf.shape(z), tf.shape(log_weights))
    shape = tf.broadcast_dynamic_shape(shape, tf.shape(log_slopes))
    return _logit_mixture(*(tf.broadcast_to(t, shape) for t in (log_weights, z, log_slopes)))


def log_softmax(t: tf.Tensor) -> tf.Tensor:
    """log softmax over the axis before the last.

    TensorFlow's own, over any axis but the last, cannot be differentiated in a loop under XLA.
    """
    t -= tf.stop_gradient(tf.reduce_max(t, axis=-2, keepdims=True))
    return t - tf.math.log(tf.reduce_sum(tf.exp(t), axis=-2, keepdims=True))


def distinct_offsets(num_units: int) -> tuple[np.ndarray, float]:
    r"""Offsets of K sigmoids that differ, while their mixture is near the identity.

    $\text{logit}(\text{mean}_k \sigma(a x + b_k))$ with the $b_k$ evenly spaced, of variance
    $v \le 0.09$. Its slope over a is 1 - v / 4 at zero and 1 in the tails, and a = 1 + v / 7
    centers it on 1. For $|x| \le 3$ it stays within 0.01 of x, and its slope within [0.99, 1.01].

    Returns:
      `(b, log a)`: a numpy array `[K]` and a `float`.
    """
    b = np.linspace(-1.0, 1.0, num_units) if num_units > 1 else np.zeros([1])
    if num_units > 1:
        b *= 0.3 / np.std(b)
    return b, float(np.log1p(np.var(b) / 7.0))


@tf.custom_gradient
def _logit_mixture(
    log_weights: tf.Tensor, z: tf.Tensor, log_slopes: tf.Tensor
) -> tuple[Any, Callable[..., Any]]:
    r"""Both results, and the gradient by the units' shares in the sums F, S and F S dy/dx.

    These shares are $q_k$, $r_k$ and $p_k$. With $s = \sigma$, F = s(y) and S = s(-y), the
    derivatives are

        of y:          q_k - r_k (log w_k),            q_k s(-z_k) + r_k s(z_k) (z_k);
        of log dy/dx:  p_k - S q_k - F r_k (log w_k),  p_k (s(-z_k) - s(z_k)) - q_k s(-z_k)
                       + r_k s(z_k) (z_k),             p_k (log dz_k/dx).

    In a tail $p_k$ equals $r_k$, or $q_k$, to the last bit, and the slope is constant. Autodiff
    would leave a rounding there. On the way to the gradient of a parameter it would be multiplied
    by x.
    """
    positive = z > 0.0
    small = tf.exp(tf.where(positive, -z, z))
    large_sigmoid = 1.0 / (1.0 + small)
    small_sigmoid = small * large_sigmoid
    # log w_k + log s(+-z_k) is the sum of this and log large_sigmoid, which is at least -log 2.
    t_f = log_weights + tf.where(positive, tf.zeros_like(z), z)
    t_s = log_weights - tf.where(positive, z, tf.zeros_like(z))
    t_f, largest_f = _below_largest(t_f)
    t_s, largest_s = _below_largest(t_s)
    # Subtract first: both of the largest can be huge where one of the t is zero.
    t_p = tf.where(positive, t_s - largest_f, t_f - largest_s) + log_slopes
    t_p, largest_p = _below_largest(t_p)
    f, q = _sum_and_shares(tf.exp(t_f) * large_sigmoid, 0.5)
    s, r = _sum_and_shares(tf.exp(t_s) * large_sigmoid, 0.5)
    p_sum, p = _sum_and_shares(tf.exp(t_p) * tf.square(large_sigmoid), 0.25)
    log_f, log_s = tf.math.log(f), tf.math.log(s)
    y = largest_f - largest_s + log_f - log_s
    log_slope = largest_p + tf.math.log(p_sum) - log_f - log_s

    def gradient(
        of_y: tf.Tensor, of_log_slope: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        up = tf.where(positive, large_sigmoid, small_sigmoid)
        down = tf.where(positive, small_sigmoid, large_sigmoid)
        rise, fall = r * up, q * down
        of_z = of_y * (fall + rise) + of_log_slope * ((rise - p * up) + (p * down - fall))
        of_log_weights = of_y * (q - r)
        of_log_weights += of_log_slope * (p - tf.sigmoid(-y) * q - tf.sigmoid(y) * r)
        return of_log_weights, of_z, of_log_slope * p

    shape = tf.concat([tf.shape(z)[:-2], tf.shape(z)[-1:]], axis=0)
    results = tuple(tf.reshape(t, shape) for t in (y, log_slope))
    return results, lambda *cotangents: gradient(*(t[..., tf.newaxis, :] for t in cotangents))


def _below_largest(t: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The t_k minus their largest, and the largest, which gets no gradient.

    Any number near the largest would do. Two loops of XLA may round a huge t_k differently, so the
    minimum ensures that no difference is above zero.
    """
    largest = tf.stop_gradient(tf.reduce_max(t, axis=-2, keepdims=True))
    return tf.minimum(t - largest, 0.0), largest


def _sum_and_shares(terms: tf.Tensor, least: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The sum, and the terms divided by it.

    The exact sum is at least `least`; only roundings of huge numbers can bring it below.
    """
    total = tf.maximum(tf.reduce_sum(terms, axis=-2, keepdims=True), least)
    return total, terms / total
