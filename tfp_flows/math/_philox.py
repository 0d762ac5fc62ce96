"""Random numbers that cost little under XLA and are the same with and without it."""

import math

import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

# A number is made from an integer of this type. The second entry is the number of its bits in a
# fraction in the open interval (0, 1), such that half a unit more is still exact.
_INTEGERS = {tf.float32: (tf.int32, 23), tf.float64: (tf.int64, 52)}


def philox_bits(shape: ArrayLike, seed: ArrayLike, dtype: tf.DType = tf.int32) -> tf.Tensor:
    """Integers over the whole range of their type, by the generator Philox.

    Under XLA on a CPU TensorFlow's default generator is many times slower and gives other numbers
    than without XLA. With Philox, `tf.random.stateless_normal` and uniform *floats* have the same
    fault, but integers do not. So everything else in this file is made from integers.

    Args:
      shape: the shape of the result.
      seed: integer `Tensor` `[2]`, as for TensorFlow's stateless generators.
      dtype: `tf.int32` or `tf.int64`.
    """
    return tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=dtype, alg="philox"
    )


def philox_split(seed: ArrayLike, num_seeds: int) -> list[tf.Tensor]:
    """A list of `num_seeds` seeds, derived from one."""
    return tf.unstack(philox_bits([num_seeds, 2], seed))


def philox_signs(shape: ArrayLike, seed: ArrayLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Numbers that are 1 or -1 with equal probability."""
    return tf.where(philox_bits(shape, seed) >= 0, tf.ones([], dtype), -tf.ones([], dtype))


def philox_uniform(shape: ArrayLike, seed: ArrayLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Uniform numbers in (0, 1): the midpoints of 2^23 intervals, in float64 of 2^52.

    Narrower dtypes are rounded from float32, and may then be 0 or 1.

    Args:
      shape: the shape of the result.
      seed: integer `Tensor` `[2]`.
      dtype: float dtype.
    """
    dtype, wide = tf.as_dtype(dtype), _wide(dtype)
    integer, num_bits = _INTEGERS[wide]
    return tf.cast(_fraction(philox_bits(shape, seed, integer), num_bits, wide), dtype)


def philox_normal(shape: ArrayLike, seed: ArrayLike, dtype: tf.DType = tf.float32) -> tf.Tensor:
    r"""Standard normal numbers, in pairs $\sqrt{-2 \log u} (\cos, \sin)(2 \pi v)$ of uniform u, v.

    The largest possible size is 6.7, in float64 9.4. Narrower dtypes are rounded from float32.

    Source: Box and Muller (1958), A note on the generation of random normal deviates.

    Args:
      shape: the shape of the result.
      seed: integer `Tensor` `[2]`.
      dtype: float dtype.
    """
    dtype, wide = tf.as_dtype(dtype), _wide(dtype)
    integer, _ = _INTEGERS[wide]
    count = ps.reduce_prod(ps.cast(shape, tf.int32))
    half = (count + 1) // 2
    # All bits but that of the sign, so that small fractions, which give the tails, are fine.
    fraction = _fraction(philox_bits([2, half], seed, integer), 8 * integer.size - 1, wide)
    radius = tf.sqrt(-2.0 * tf.math.log(fraction[0]))
    angle = 2.0 * math.pi * fraction[1]
    pairs = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=0)
    return tf.cast(tf.reshape(pairs[:count], shape), dtype)


def _wide(dtype: tf.DType) -> tf.DType:
    return tf.float64 if tf.as_dtype(dtype) == tf.float64 else tf.float32


def _fraction(bits: tf.Tensor, num_bits: int, dtype: tf.DType) -> tf.Tensor:
    """The lower bits of integers as a fraction of their range, plus half a unit."""
    lower = tf.bitwise.bitwise_and(bits, 2**num_bits - 1)
    return (tf.cast(lower, dtype) + 0.5) * 2.0**-num_bits
