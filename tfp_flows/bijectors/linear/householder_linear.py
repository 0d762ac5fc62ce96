"""The orthogonal linear bijector, a product of reflections."""

from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.linear._far_sums import scaled_down, scaled_up
from tfp_flows.math.linalg.householder import householder_product, paired_vectors


class HouseholderLinear(FlowBijector):
    """y = Q x with Q = H_1 H_2 ... H_K and H_k = I - 2 v_k v_k^T / |v_k|^2.

    Q is orthogonal: `log |det dy/dx| = 0`, and `inverse`, x = Q^T y, takes the reflections in
    reverse. Both directions cost the same, O(K D) a point. A product of an even number of
    reflections is a rotation, of an odd number a rotation with one reflection; D reflections, or
    one fewer, reach every one of its kind.

    The vectors start in equal pairs, which undo each other, so that Q starts as the identity up
    to rounding; with an odd K one is left over, and the first coordinate changes its sign. A
    vector of zeros stands for no reflection, and its gradient is zero; lengths do not matter.

    Shapes: `x` is `[..., D]`. Domain: all reals.

    Source: Tomczak and Welling (2016), Householder flows, arXiv:1611.09630. The product is
    evaluated as by Joffrain et al. (2006), see `tfp_flows.math.householder_product`.

    Args:
      event_size: D, a Python `int` of at least one.
      num_reflections: K, at least one; by default the largest even number that is not above D,
        and 2 for D = 1.
      vectors: v, `tf.Variable` or `Tensor` `[K, D]`. A variable is made when it is `None`.
      seed: Python `int`, of the vectors that are made.
      dtype: float dtype of the variable that is made.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if a size is not an integer.
      ValueError: if a size is below one, or the shape of `vectors` does not fit.
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
    """K, by default an even number, so that the identity is among the products."""
    if num_reflections is None:
        return max(2, event_size - event_size % 2)
    return _checks.integer_at_least(num_reflections, 1, "num_reflections")
