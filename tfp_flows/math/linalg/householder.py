"""Products of Householder reflections, as matrix products and one triangular system."""

import ml_dtypes
import numpy as np
import tensorflow as tf


def householder_product(vectors: tf.Tensor, x: tf.Tensor, transpose: bool = False) -> tf.Tensor:
    r"""$Q x = H_1 H_2 \cdots H_K x$, $H_k = I - 2 v_k v_k^\top / |v_k|^2$

    Applies a product of K Householder reflections to vectors, or its transpose.

    With the unit vectors $v_k / |v_k|$ as rows of U, $Q = I - U^\top S^{-1} U$. S is upper
    triangular: 1/2 on its diagonal, and $U U^\top$ above it (the UT transform). So K reflections of
    N points take two matrix products instead of K steps one after the other. The cost is O(K D)
    for each point.

    A zero vector has no direction and means no reflection: its $H_k$ is I. The lengths of the
    vectors do not matter, from 1e-30 to 1e30.

    Source: Joffrain, Low, Quintana-Orti, van de Geijn and Van Zee (2006), Accumulating
    Householder transformations, revisited.

    Args:
      vectors: float `Tensor` `[K, D]`, any numbers.
      x: float `Tensor` `[..., D]`.
      transpose: Python `bool`. If true, the result is $Q^\top x$, which equals $Q^{-1} x$.

    Returns:
      A `Tensor` of the shape of `x`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> vectors = tf.constant([[1.0, 0.0], [1.0, -1.0]])  # two reflections: a quarter turn
      >>> tfpf.math.householder_product(vectors, tf.constant([3.0, 4.0])).numpy().round(3)
      array([-4., 3.], dtype=float32)

    See also: `tfpf.bijectors.HouseholderLinear`, `tfpf.bijectors.QRLinear`.
    """
    unit = _unit_rows(vectors)
    # As rows, Q r is r - (r U^T) S^-T U.
    solved = tf.linalg.triangular_solve(_system(unit), unit, lower=False, adjoint=not transpose)
    rows = tf.reshape(x, [-1, unit.shape[-1]])
    rows -= tf.matmul(tf.matmul(rows, unit, transpose_b=True), solved)
    return tf.reshape(rows, tf.shape(x))


def householder_columns(vectors: tf.Tensor, num_columns: int) -> tf.Tensor:
    """Returns the first M columns of the Q of `householder_product`.

    They are orthonormal. `vectors` may have batch dimensions.

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
    """Returns random vectors in equal pairs, whose reflections undo each other, so that Q = I.

    If K is odd, the last vector is e_1, which changes the sign of the first coordinate.

    Args:
      num_vectors: the number of vectors, K.
      size: the size of each vector, D.
      seed: Python `int`, or `None`.

    Returns:
      A float64 array `[K, D]`.
    """
    pairs = np.random.default_rng(seed).normal(size=[num_vectors // 2, size])
    odd = np.eye(1, size)[: num_vectors % 2]
    return np.concatenate([np.repeat(pairs, 2, axis=0), odd])


def _system(unit: tf.Tensor) -> tf.Tensor:
    """Returns S, `[..., K, K]`."""
    num_vectors = unit.shape[-2]
    above = np.triu(np.ones([num_vectors] * 2), 1)
    gram = tf.matmul(unit, unit, transpose_b=True) * tf.constant(above, unit.dtype)
    return gram + 0.5 * tf.eye(num_vectors, dtype=unit.dtype)


def _unit_rows(vectors: tf.Tensor) -> tf.Tensor:
    """Returns v / |v| for each row; rows of zeros stay zero, with zero gradients."""
    vectors = tf.convert_to_tensor(vectors)
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(vectors), axis=-1, keepdims=True))
    # XLA treats numbers below the smallest normal one as zero, and 0 / 0 is NaN. `tf.where` is
    # needed inside the division, too: outside alone it would keep the NaN of the gradient.
    is_zero = largest < ml_dtypes.finfo(vectors.dtype.as_numpy_dtype).tiny
    # Divided by the largest number first: float32 cannot hold the square of 1e30 or 1e-30.
    scaled = vectors / tf.where(is_zero, tf.ones_like(largest), largest)
    squared = tf.reduce_sum(tf.square(scaled), axis=-1, keepdims=True)
    unit = scaled / tf.sqrt(tf.where(is_zero, tf.ones_like(largest), squared))
    return tf.where(is_zero, tf.zeros_like(unit), unit)
