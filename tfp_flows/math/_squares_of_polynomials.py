"""Sums of squares of polynomials, and their means over an interval, without overflow."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps


def zero_with_gradient(x: tf.Tensor) -> tf.Tensor:
    """Zero, with the gradient of x, even of an x that has overflowed."""
    finite = tf.clip_by_value(x, x.dtype.min, x.dtype.max)
    return finite - tf.stop_gradient(finite)


def squares_of_polynomials(
    x: tf.Tensor, a: tf.Tensor, log_largest: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    r"""The mean of $\sum_k p_k^2$ over [0, x] and its value at x, both divided by exp(f), and f.

    With r = max(1, |x|), z = x / r and $f = 2 \max_{kl}(\log |a_{kl}| + l \log r)$,
    $p_k(s x) = e^{f/2} \sum_l (a_{kl} r^l e^{-f/2}) (s z)^l$, where no term is above one.

    Args:
      x: `[..., N]`.
      a: `[..., K, L + 1, N]`.
      log_largest: `[..., L + 1, N]`, log max_k |a_kl|.
    """
    degree = a.shape[-2] - 1
    dtype = x.dtype
    r = tf.maximum(tf.abs(x), 1.0)
    log_powers = _exponents(degree, dtype) * tf.math.log(r)[..., tf.newaxis, :]
    # Any f would do, so it needs no gradient. The floor is for coefficients that are all zero.
    half = tf.reduce_max(log_largest + log_powers, axis=-2)
    half = tf.stop_gradient(tf.maximum(half, -20.0))
    x += tf.zeros_like(half)
    shape = ps.concat([ps.shape(x)[:-1], a.shape[-3:-1], ps.shape(x)[-1:]], axis=0)
    mean, square = _mean_and_last(x, tf.broadcast_to(a, shape), half)
    return mean, square, 2.0 * half


@tf.custom_gradient
def _mean_and_last(x: tf.Tensor, a: tf.Tensor, half: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
    r"""The Gauss-Legendre mean of $\sum_k p_k(s x)^2 e^{-f}$ over s in [0, 1], and its value at 1.

    $p_k(s x)$ is the sum of $a_{kl} (r^l e^{-f/2}) z^l s^l$. $a_{kl}$ may be huge, so it is
    multiplied by its factor first. The gradient is written by hand: with autodiff XLA computed the
    factors again for each term. XLA also computes the upstream gradient again wherever it enters a
    sum, so it is the last factor.
    """
    degree, dtype = a.shape[-2] - 1, x.dtype
    exponents = _exponents(degree, dtype)
    r = tf.maximum(tf.abs(x), 1.0)
    # A zero coefficient does not count in f, and must not be multiplied by infinity.
    limit = 0.9 * math.log(dtype.max)
    log_scales = exponents * tf.math.log(r)[..., tf.newaxis, :] - half[..., tf.newaxis, :]
    scales = tf.exp(tf.minimum(log_scales, limit))
    z = x / r
    powers = [tf.ones_like(z)]
    for _ in range(degree):
        powers.append(powers[-1] * z)
    scaled_powers = (scales * tf.stack(powers, axis=-2))[..., tf.newaxis, :, :]
    terms = a * scaled_powers

    nodes, weights = np.polynomial.legendre.leggauss(degree + 1)
    nodes = np.append(0.5 * (nodes + 1.0), 1.0)
    table = tf.constant((nodes[:, np.newaxis] ** np.arange(degree + 1))[..., np.newaxis], dtype)
    weights = tf.constant(0.5 * weights[:, np.newaxis], dtype)
    # Not a matrix product: a GPU may compute it with half the digits.
    p = tf.reduce_sum(terms[..., tf.newaxis, :, :] * table, axis=-2)
    squares = tf.reduce_sum(tf.square(p), axis=-3)
    mean, last = tf.reduce_sum(squares[..., :-1, :] * weights, axis=-2), squares[..., -1, :]

    def gradient(to_mean: tf.Tensor, to_last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, None]:
        weighted = 2.0 * (p[..., :-1, :] * weights)
        mean_by_term = tf.reduce_sum(weighted[..., tf.newaxis, :] * table[:-1], axis=-3)
        last_by_term = 2.0 * p[..., -1:, :]
        lower = tf.stack([tf.zeros_like(z), *powers[:-1]], axis=-2)
        slopes = (a * scales[..., tf.newaxis, :, :]) * (exponents * lower)[..., tf.newaxis, :, :]
        mean_by_x = tf.reduce_sum(mean_by_term * slopes, axis=[-3, -2]) / r
        last_by_x = tf.reduce_sum(last_by_term * slopes, axis=[-3, -2]) / r
        to_x = to_mean * mean_by_x + to_last * last_by_x
        to_mean, to_last = (t[..., tf.newaxis, tf.newaxis, :] for t in (to_mean, to_last))
        return to_x, (to_mean * mean_by_term + to_last * last_by_term) * scaled_powers, None

    return (mean, last), gradient


def _exponents(degree: int, dtype: tf.DType) -> tf.Tensor:
    """0, ..., L, `[L + 1, 1]`."""
    return tf.range(degree + 1, dtype=dtype)[:, tf.newaxis]
