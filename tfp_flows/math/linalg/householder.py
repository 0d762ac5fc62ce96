"""Products of Householder reflections, as matrix products and one triangular system."""

import ml_dtypes
import numpy as np
import tensorflow as tf


def householder_product(vectors: tf.Tensor, x: tf.Tensor, transpose: bool = False) -> tf.Tensor:
    """Q x with Q = H_1 H_2 ... H_K and H_k = I - 2 v_k v_k^T / |v_k|^2, or Q^T x.

    With the unit vectors u_k as rows of U, Q = I - U^T S^-1 U, where S is upper triangular: 1/2 on
    its diagonal, and above it U U^T (the UT transform). So K reflections of N points are two
    matrix products, O(K D) a point, instead of K steps one after the other.

    A zero vector, which has no direction, stands for no reflection: its H_k is I. Lengths do not
    matter: vectors of 1e-30 or 1e30 are as good as those of length one.

    Source: Joffrain, Low, Quintana-Orti, van de Geijn and Van Zee (2006), Accumulating
    Householder transformations, revisited.

    Args:
      vectors: float `Tensor` `[K, D]`, any numbers.
      x: float `Tensor` `[..., D]`.
      transpose: Python `bool`: Q^T x, which is Q^-1 x, instead.

    Returns:
      A `Tensor` of the shape of `x`.
    """
    unit = _unit_rows(vectors)
    # For rows r the product Q r is r - (r U^T) S^-T U.
    solved = tf.linalg.triangular_solve(_system(unit), unit, lower=False, adjoint=not transpose)
    rows = tf.reshape(x, [-1, unit.shape[-1]])
    rows -= tf.matmul(tf.matmul(rows, unit, transpose_b=True), solved)
    return tf.reshape(rows, tf.shape(x))


def householder_columns(vectors: tf.Tensor, num_columns: int) -> tf.Tensor:
    """The first M columns of the Q of `householder_product`, orthonormal, also in batches.

    Args:
      vectors: float `Tensor` `[..., K, D]`, any numbers.
      num_columns: Python `int` M, at most D.

    Returns:
      A `Tensor` `[..., D, M]`.
    """
    unit = _unit_rows(vectors)
    solved = tf.linalg.triangular_solve(_system(unit), unit[..., :num_columns], lower=False)
    start = tf.eye(unit.shape[-1], num_columns, dtype=unit.dtype)
    return start - tf.matmul(unit, solved, transpose_a=True)


def paired_vectors(num_vectors: int, size: int, seed: int | None = None) -> np.ndarray:
    """Random vectors in equal pairs, whose reflections undo each other: Q = I to start from.

    An odd one is left over: e_1, which changes the sign of the first coordinate.

    Args:
      num_vectors: K.
      size: D.
      seed: Python `int`, or `None`.

    Returns:
      A float64 array `[K, D]`.
    """
    pairs = np.random.default_rng(seed).normal(size=[num_vectors // 2, size])
    odd = np.eye(1, size)[: num_vectors % 2]
    return np.concatenate([np.repeat(pairs, 2, axis=0), odd])


def _system(unit: tf.Tensor) -> tf.Tensor:
    """S, `[..., K, K]`."""
    num_vectors = unit.shape[-2]
    above = np.triu(np.ones([num_vectors] * 2), 1)
    gram = tf.matmul(unit, unit, transpose_b=True) * tf.constant(above, unit.dtype)
    return gram + 0.5 * tf.eye(num_vectors, dtype=unit.dtype)


def _unit_rows(vectors: tf.Tensor) -> tf.Tensor:
    """v / |v| by rows; rows of zeros stay so, with gradients of zero."""
    vectors = tf.convert_to_tensor(vectors)
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(vectors), axis=-1, keepdims=True))
    # Below the smallest normal number XLA takes numbers for zero, and 0 / 0 is NaN. `where` stands
    # inside, too: behind a division by zero it would stop the NaN of the value only.
    is_zero = largest < ml_dtypes.finfo(vectors.dtype.as_numpy_dtype).tiny
    # First by the largest number: the square of 1e30, or of 1e-30, is not a float32.
    scaled = vectors / tf.where(is_zero, tf.ones_like(largest), largest)
    squared = tf.reduce_sum(tf.square(scaled), axis=-1, keepdims=True)
    unit = scaled / tf.sqrt(tf.where(is_zero, tf.ones_like(largest), squared))
    return tf.where(is_zero, tf.zeros_like(unit), unit)
