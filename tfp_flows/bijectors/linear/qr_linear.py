"""A linear bijector stored as a QR factorization."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.linear._far_sums import scaled_down, scaled_up
from tfp_flows.bijectors.linear.householder_linear import checked_num_reflections
from tfp_flows.math._elementwise import scaled_softsign
from tfp_flows.math.linalg.householder import householder_product, paired_vectors


class QRLinear(FlowBijector):
    r"""$y = Q R x, \quad Q = H_1 \cdots H_K$

    A linear bijector whose matrix is stored as a QR factorization.

    Q is a product of K Householder reflections, $H_k = I - 2 v_k v_k^\top / |v_k|^2$, as in
    `HouseholderLinear`. R is upper triangular with the positive diagonal $\exp(s)$, so that
    $\log |\det dy/dx| = \sum_i s_i$ in nats. With K = D every invertible matrix has this form, up
    to the signs of its columns. The bijector starts as the identity; with an odd K it starts by
    changing the sign of the first coordinate.

    The raw diagonal a gives $s = a / (1 + |a| / m)$. So |s| < m, and R always has full rank.

    Shapes: `x` is `[..., D]`. Domain: all reals.

    Cost: O((D + K) D) for each point in both directions, and O(D) for the log-det. `forward`
    (sampling) is a matrix product and the reflections. `inverse` (data to base) applies the
    reflections in reverse order and solves a triangular system. `tfb.Invert` swaps the two.

    Source: Hoogeboom, van den Berg and Welling (2019), Emerging convolutions, arXiv:1901.11137,
    sec. 3.3.

    Args:
      event_size: D, a Python `int` of at least one.
      num_reflections: K, at least one. The default is the largest even number that is at most D,
        and 2 for D = 1.
      max_log_scale: m, a positive number.
      vectors: the vectors v, a `tf.Variable` or `Tensor` `[K, D]`. If `None`, a variable is made.
      triangle: `tf.Variable` or `Tensor` `[D (D + 1) / 2]`: R above the diagonal and a on it, in
        the order of `tfp.math.fill_triangular(triangle, upper=True)`. If `None`, a variable of
        zeros is made.
      seed: Python `int`, the seed for vectors that are made.
      dtype: float dtype of the variables that are made.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if a size is not an integer.
      ValueError: if a size is below one, `max_log_scale` is not positive, or a shape does not fit.

    Example:
      >>> import tfp_flows as tfpf
      >>> linear = tfpf.bijectors.QRLinear(2, triangle=[0.0, 1.0, 0.0], seed=0)
      >>> y, log_det = linear.forward_and_log_det([1.0, 2.5])
      >>> y.numpy()
      array([3.5, 2.5], dtype=float32)
      >>> float(log_det)
      0.0

    See also: `tfpf.bijectors.LULinear`, `tfpf.bijectors.HouseholderLinear`.
    """

    def __init__(
        self,
        event_size: int,
        num_reflections: int | None = None,
        max_log_scale: float = 10.0,
        vectors: ArrayLike | None = None,
        triangle: ArrayLike | None = None,
        seed: int | None = None,
        dtype: tf.DType | str = "float32",
        validate_args: bool = False,
        name: str = "qr_linear",
    ) -> None:
        parameters = dict(locals())
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        num_reflections = checked_num_reflections(num_reflections, event_size)
        self._max_log_scale = _checks.positive_number(max_log_scale, "max_log_scale")
        num_above = event_size * (event_size + 1) // 2
        with tf.name_scope(name), tf.init_scope():
            if vectors is None:
                start = paired_vectors(num_reflections, event_size, seed)
                vectors = tf.Variable(start, dtype=dtype, name="vectors")
            if triangle is None:
                triangle = tf.Variable(tf.zeros([num_above], dtype), name="triangle")
        parameters.update(vectors=vectors, triangle=triangle)
        dtype = self._keep(vectors=vectors, triangle=triangle)
        _checks.static_shape(self._vectors, (num_reflections, event_size), "vectors")
        _checks.static_shape(self._triangle, (num_above,), "triangle")
        super().__init__(
            event_size=event_size,
            forward_min_event_ndims=1,
            is_constant_jacobian=True,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {"vectors": _parameters.own(), "triangle": _parameters.own()}

    def _triangular(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(R, s)`."""
        raw = tfp.math.fill_triangular(tf.convert_to_tensor(self._triangle), upper=True)
        a = tf.linalg.diag_part(raw)
        s = scaled_softsign(a, self._max_log_scale)
        return tf.linalg.set_diag(raw, tf.exp(s)), s

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        triangular, s = self._triangular()
        rows = tf.reshape(scaled_down(x), [-1, self._event_size])
        rows = tf.matmul(rows, triangular, transpose_b=True)
        y = tf.reshape(scaled_up(householder_product(self._vectors, rows)), tf.shape(x))
        return y, tf.broadcast_to(tf.reduce_sum(s), tf.shape(x)[:-1])

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        triangular, s = self._triangular()
        rows = tf.reshape(scaled_down(y), [-1, self._event_size])
        columns = tf.transpose(householder_product(self._vectors, rows, transpose=True))
        columns = tf.linalg.triangular_solve(triangular, columns, lower=False)
        x = tf.reshape(scaled_up(tf.transpose(columns)), tf.shape(y))
        return x, tf.broadcast_to(-tf.reduce_sum(s), tf.shape(y)[:-1])
