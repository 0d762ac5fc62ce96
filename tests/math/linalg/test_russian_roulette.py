"""The random number of terms: unbiased, of the stated length and of finite variance."""

import numpy as np
import tensorflow as tf

from tfp_flows.math import russian_roulette_log_det
from tfp_flows.math.linalg import exact_log_det

A = np.random.default_rng(0).normal(size=[3, 3])
A = tf.constant(0.8 * A / np.linalg.norm(A, 2))
X = tf.constant([[0.3, -0.2, 0.5]], tf.float64)


def contraction(a):
    return lambda x: tf.tanh(tf.matmul(x, a))


COUNT = 3000


def draw(seed, noise):
    with tf.GradientTape() as tape:
        tape.watch(A)
        function = contraction(A)
        _, log_det = russian_roulette_log_det(function, X, noise, seed, 1, 0.7)
    return log_det[0], tape.gradient(log_det, A)


@tf.function(jit_compile=True, autograph=False)
def draws(seeds, noise):
    """Of each seed `[COUNT, 2]` with its noise `[COUNT, 1, 3]`: values, and gradients."""
    return tf.map_fn(lambda row: draw(*row), (seeds, noise), (tf.float64, tf.float64))


def seeds_of(first, second):
    return tf.stack([tf.fill([COUNT], first), tf.constant(np.resize(second, COUNT), tf.int32)], 1)


def test_value_and_gradient_are_unbiased():
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=[COUNT, 1, 3])
    drawn = draws(seeds_of(0, range(COUNT)), tf.constant(signs))
    with tf.GradientTape() as tape:
        tape.watch(A)
        _, exact = exact_log_det(contraction(A), X)
    for values, expected in zip(drawn, (exact[0], tape.gradient(exact, A)), strict=True):
        values = values.numpy()
        error = values.std(axis=0) / np.sqrt(len(values))
        assert np.all(error < 0.1 * np.abs(expected).max())
        assert np.all(np.abs(values.mean(axis=0) - expected) < 4 * error)


def test_number_of_terms_is_geometric():
    """Read off from linear g = c x in one dimension, whose partial sums are known."""
    c, num_sure, survival = 0.5, 2, 0.6
    x = tf.ones([1, 1], tf.float64)

    def value(seed):
        return russian_roulette_log_det(lambda x: c * x, x, x, seed, num_sure, survival)[1][0]

    @tf.function(autograph=False)
    def values(seeds):
        return tf.map_fn(value, seeds, tf.float64)

    k = np.arange(1, 40)
    weight = survival ** -np.maximum(0.0, k - num_sure)
    sums = np.cumsum(-((-c) ** k) * weight / k)
    drawn = values(tf.constant([[3, i] for i in range(2000)])).numpy()
    terms = 1 + np.argmin(np.abs(drawn[:, np.newaxis] - sums), axis=1)
    np.testing.assert_allclose(drawn, sums[terms - 1], rtol=1e-10)
    more = terms - num_sure
    assert more.min() == 0
    for m in range(4):
        share, chance = np.mean(more >= m), survival**m
        assert abs(share - chance) <= 4 * np.sqrt(chance * (1 - chance) / 2000)
    np.testing.assert_allclose(np.mean(drawn), np.log1p(c), atol=4 * np.std(drawn) / 2000**0.5)


def test_follows_from_the_seed_alone():
    noise = tf.ones([COUNT, 1, 3], tf.float64)
    by_seed = np.reshape(draws(seeds_of(5, range(10)), noise)[0], [-1, 10])
    np.testing.assert_array_equal(by_seed, by_seed[:1].repeat(len(by_seed), axis=0))
    assert len(set(by_seed[0])) > 2
