"""An orthogonal linear bijector: a product of reflections."""

from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.linear._far_sums import scaled_down, scaled_up
from tfp_flows.math.linalg.householder import householder_product, paired_vectors


class HouseholderLinear(FlowBijector):
    r"""$y = H_1 H_2 \cdots H_K x, \quad H_k = I - 2 v_k v_k^\top / |v_k|^2$

    An orthogonal linear bijector, stored as K Householder reflections.

    Below, $Q = H_1 H_2 \cdots H_K$ is the whole matrix. It is orthogonal, so the log-det is zero.
    `inverse`, $x = Q^\top y$, applies the reflections in reverse order. A product of an even number
    of reflections is a rotation. An odd number gives a rotation combined with one reflection. K = D
    reflections reach every orthogonal matrix of their kind, and so do K = D - 1.

    The vectors start in equal pairs. The two reflections of a pair undo each other, so Q starts as
    the identity up to rounding. If K is odd, one vector has no partner, and Q starts by changing
    the sign of the first coordinate. The lengths of the vectors have no effect. A vector of zeros
    gives no reflection, and its gradient is zero.

    Shapes: `x` is `[..., D]`. Domain: all reals.

    Cost: O(K D) for each point in both directions.

    Source: Tomczak and Welling (2016), Householder flows, arXiv:1611.09630. The product is
    evaluated as by Joffrain et al. (2006), see `tfp_flows.math.householder_product`.

    Args:
      event_size: D, a Python `int` of at least one.
      num_reflections: K, at least one. The default is the largest even number that is at most D,
        and 2 for D = 1.
      vectors: the vectors v, a `tf.Variable` or `Tensor` `[K, D]`. If `None`, a variable is made.
      seed: Python `int`, the seed for a variable that is made.
      dtype: float dtype of a variable that is made.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if a size is not an integer.
      ValueError: if a size is below one, or the shape of `vectors` does not fit.

    Example:
      >>> import tfp_flows as tfpf
      >>> mirror = tfpf.bijectors.HouseholderLinear(2, num_reflections=1, vectors=[[1.0, 0.0]])
      >>> y, log_det = mirror.forward_and_log_det([3.0, 4.0])
      >>> y.numpy()
      array([-3., 4.], dtype=float32)
      >>> float(log_det)
      0.0

    See also: `tfpf.bijectors.QRLinear`, `tfpf.math.householder_product`.
    """

    def __init__(
        self,
        event_size: int,
        num_reflections: int | None = None,
        vectors: ArrayLike | None = None,
        seed: int | None = None,
        dtype: tf.DType | str = "float32",
        validate_args: bool = False,
        name: str = "householder_linear",
    ) -> None:
        parameters = dict(locals())
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        num_reflections = checked_num_reflections(num_reflections, event_size)
        with tf.name_scope(name), tf.init_scope():
            if vectors is None:
                start = paired_vectors(num_reflections, event_size, seed)
                vectors = tf.Variable(start, dtype=dtype, name="vectors")
        parameters.update(vectors=vectors)
        dtype = self._keep(vectors=vectors)
        _checks.static_shape(self._vectors, (num_reflections, event_size), "vectors")
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
        return {"vectors": _parameters.own()}

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        y = scaled_up(householder_product(self._vectors, scaled_down(x)))
        return y, tf.zeros(tf.shape(x)[:-1], x.dtype)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = scaled_up(householder_product(self._vectors, scaled_down(y), transpose=True))
        return x, tf.zeros(tf.shape(y)[:-1], y.dtype)


def checked_num_reflections(num_reflections: int | None, event_size: int) -> int:
    """Returns K after checks; the default is even, so that the identity is among the products."""
    if num_reflections is None:
        return max(2, event_size - event_size % 2)
    return _checks.integer_at_least(num_reflections, 1, "num_reflections")
