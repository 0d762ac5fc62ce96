"""Numbers drawn by Philox: their distribution, their ends, and that XLA gives the same."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfp_flows.math import _philox
from tfp_flows.math._philox import philox_normal, philox_split, philox_uniform

SEED = tf.constant([3, -4])
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@each_dtype
def test_the_same_with_xla_and_without(dtype):
    def draw(seed):
        return philox_uniform([1001], seed, dtype), philox_normal([7, 143], seed, dtype)

    eager = draw(SEED)
    for options in ({}, {"jit_compile": True}):
        uniform, normal = tf.function(draw, autograph=False, **options)(SEED)
        np.testing.assert_array_equal(uniform, eager[0])
        np.testing.assert_allclose(normal, eager[1], rtol=0, atol=20 * np.finfo(dtype).eps)


@each_dtype
def test_distribution(dtype):
    """Kolmogorov and Smirnov, whose statistic is above 1.95 with a chance of 0.001."""
    count = 100_000
    uniform = philox_uniform([count], SEED, dtype).numpy()
    normal = philox_normal([count], SEED, dtype).numpy()
    for u in (uniform, scipy.special.ndtr(normal.astype("float64"))):
        distance = np.abs(np.sort(u) - (np.arange(count) + 0.5) / count).max()
        assert distance * np.sqrt(count) < 1.95
    # The two of a pair lie half the numbers apart; their squares, too, are uncorrelated.
    for power in (1, 2):
        first, second = np.split(normal.astype("float64") ** power, 2)
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(count / 2)
    other = philox_normal([count], tf.constant([3, -3]), dtype)
    assert abs(np.corrcoef(normal, other)[0, 1]) < 4 / np.sqrt(count)


@pytest.mark.parametrize("jit_compile", [False, True])
@each_dtype
def test_ends(dtype, jit_compile, monkeypatch):
    """The least and the greatest integers give neither 0 nor 1, nor a NaN."""
    info = np.iinfo("int32" if dtype == "float32" else "int64")
    ends = np.array([info.min, info.min + 1, -1, 0, 1, info.max - 1, info.max], info.dtype)
    pairs = np.stack(np.meshgrid(ends, ends)).reshape(2, -1)

    def bits(shape, seed, dtype):
        return tf.constant(ends if len(shape) == 1 else pairs)

    monkeypatch.setattr(_philox, "philox_bits", bits)
    uniform, normal = tf.function(
        lambda: (
            philox_uniform([len(ends)], SEED, dtype),
            philox_normal([2 * pairs.shape[1]], SEED, dtype),
        ),
        jit_compile=jit_compile,
        autograph=False,
    )()
    assert (uniform.numpy() > 0).all() and (uniform.numpy() < 1).all()
    furthest = np.sqrt(2 * np.log(2) * info.bits)
    assert np.isfinite(normal).all() and np.abs(normal).max() == pytest.approx(furthest, rel=1e-5)


@pytest.mark.parametrize("shape", [[], [0], [1], [5], [3, 0, 2], [3, 5]])
def test_any_shape(shape):
    for draw in (philox_uniform, philox_normal):
        value = draw(shape, SEED)
        assert value.shape == shape and np.isfinite(value).all()
        given = tf.function(lambda shape, draw=draw: draw(shape, SEED), autograph=False)
        np.testing.assert_array_equal(given(tf.constant(shape, tf.int32)), value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes_are_rounded(dtype):
    for draw in (philox_uniform, philox_normal):
        narrow = draw([50], SEED, dtype)
        assert narrow.dtype == dtype
        np.testing.assert_array_equal(narrow, tf.cast(draw([50], SEED), dtype))


def test_split():
    seeds = philox_split(SEED, 3)
    compiled = tf.function(philox_split, jit_compile=True, autograph=False)(SEED, 3)
    np.testing.assert_array_equal(seeds, compiled)
    assert len({tuple(seed.numpy()) for seed in [SEED, *seeds]}) == 4
