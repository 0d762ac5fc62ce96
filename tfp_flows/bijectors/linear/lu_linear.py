"""A linear bijector stored as an LU factorization."""

from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.linear._far_sums import scaled_down, scaled_up
from tfp_flows.math.linalg._permute import permute


class LULinear(FlowBijector):
    r"""$y = P^\top (L U)^{-1} x + b$

    A linear bijector whose matrix is stored as an LU factorization.

    The inverse is $x = L U P (y - b)$. L is lower triangular with a unit diagonal. U is upper
    triangular with the diagonal $\exp(d)$. P is a fixed permutation, `(P v)_i = v[permutation[i]]`;
    by default it is the identity. With the variables that it makes, the bijector starts as
    $y = P^\top x$.

    $\log |\det dy/dx| = -\sum_i d_i$ in nats. Each d is clipped to $\pm 44$ in float32, and to
    $\pm 354$ in float64.

    Shapes: `x` is `[..., D]`. Domain: all reals.

    Cost: $O(D^2)$ for each point in both directions, and O(D) for the log-det. `inverse` (data to
    base, the density) is one matrix product. `forward` solves two triangular systems, which is
    slower on most hardware. `tfb.Invert` swaps the two directions.

    Source: Oliva et al. (2018), arXiv:1801.09819; Kingma and Dhariwal (2018), Glow,
    arXiv:1807.03039, sec. 3.2; as used by Durkan et al. (2019), arXiv:1906.04032.

    Args:
      event_size: D, a Python `int` of at least one.
      permutation: a permutation of `range(D)`, or `None`.
      lower_upper: `tf.Variable` or `Tensor` `[D, D]`: L below the diagonal, d on it, U above it. If
        `None`, a variable of zeros is made.
      bias: b, a `tf.Variable` or `Tensor` `[D]`. If `None`, a variable of zeros is made.
      dtype: float dtype of the variables that are made.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `event_size` is not an integer.
      ValueError: if `event_size` is below one, a shape does not fit, or `permutation` is not a
        permutation.

    Example:
      >>> import tfp_flows as tfpf
      >>> linear = tfpf.bijectors.LULinear(2, permutation=[1, 0], bias=[1.0, 3.0])
      >>> linear.forward([0.0, 5.0]).numpy()
      array([6., 3.], dtype=float32)
      >>> linear.inverse([6.0, 3.0]).numpy()
      array([0., 5.], dtype=float32)

    See also: `tfpf.bijectors.QRLinear`, `tfb.ScaleMatvecLU`.
    """

    _increases = True

    def __init__(
        self,
        event_size: int,
        permutation: ArrayLike | None = None,
        lower_upper: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        dtype: tf.DType | str = "float32",
        validate_args: bool = False,
        name: str = "lu_linear",
    ) -> None:
        parameters = dict(locals())
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        if permutation is not None:
            permutation = _checks.permutation(permutation, event_size, "permutation")
        with tf.name_scope(name), tf.init_scope():
            if lower_upper is None:
                lower_upper = tf.Variable(tf.zeros([event_size] * 2, dtype), name="lower_upper")
            if bias is None:
                bias = tf.Variable(tf.zeros([event_size], dtype), name="bias")
        parameters.update(permutation=permutation, lower_upper=lower_upper, bias=bias)
        dtype = self._keep(lower_upper=lower_upper, bias=bias)
        _checks.static_shape(self._lower_upper, (event_size, event_size), "lower_upper")
        _checks.static_shape(self._bias, (event_size,), "bias")
        # The permutation P^T. It permutes the D x D matrix, so it adds no cost for each point.
        self._back = None if permutation is None else np.argsort(permutation)
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
        return {"lower_upper": _parameters.own(2), "bias": _parameters.own(1)}

    def _factors(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns `(L, U, d)`."""
        packed = tf.convert_to_tensor(self._lower_upper)
        # Within the bound the squares of exp(d) and exp(-d) are finite. Beyond it, 0 * inf in the
        # product of L and U would be NaN.
        bound = 0.5 * np.log(ml_dtypes.finfo(packed.dtype.as_numpy_dtype).max)
        d = tf.clip_by_value(tf.linalg.diag_part(packed), -bound, bound)
        below = np.tril(np.ones([self._event_size] * 2), -1)
        lower = packed * tf.constant(below, packed.dtype)
        upper = packed * tf.constant(below.T, packed.dtype)
        identity = tf.eye(self._event_size, dtype=packed.dtype)
        return identity + lower, upper + tf.linalg.diag(tf.exp(d)), d

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, d = self._factors()
        columns = tf.transpose(tf.reshape(scaled_down(x), [-1, self._event_size]))
        columns = tf.linalg.triangular_solve(lower, columns, lower=True)
        columns = tf.linalg.triangular_solve(upper, columns, lower=False)
        if self._back is not None:
            columns = permute(columns, self._back, axis=0)
        y = tf.reshape(scaled_up(tf.transpose(columns)), tf.shape(x)) + self._bias
        return y, tf.broadcast_to(-tf.reduce_sum(d), tf.shape(x)[:-1])

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, d = self._factors()
        rows = tf.reshape(scaled_down(y - self._bias), [-1, self._event_size])
        matrix = tf.matmul(lower, upper)
        if self._back is not None:
            matrix = permute(matrix, self._back, axis=1)
        x = tf.reshape(scaled_up(tf.matmul(rows, matrix, transpose_b=True)), tf.shape(y))
        return x, tf.broadcast_to(tf.reduce_sum(d), tf.shape(y)[:-1])
