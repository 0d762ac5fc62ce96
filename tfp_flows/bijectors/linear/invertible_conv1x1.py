"""Glow's invertible 1x1 convolution."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.linear.lu_linear import LULinear


class InvertibleConv1x1(FlowBijector):
    """x_ij = W y_ij in every pixel (i, j), with W = L U P: a 1x1 convolution of the channels.

    `log |det dy/dx| = -height * width * log |det W|` in nats. W starts as a random orthogonal
    matrix, decomposed once; P, a permutation, stays, while L, with a unit diagonal, and U, with
    the diagonal exp(d), are learned (see `LULinear`), so that `log |det W| = sum(d)` is O(C), and
    `inverse` (data to base, the density) is one matrix product, O(C^2) a pixel; `forward` solves
    two triangular systems, also O(C^2).

    Glow writes W = P L (U + diag(s)) and fixes the signs of s as they are drawn. Here they are
    positive: rows of the drawn matrix change their sign where it takes that, which for the rest
    of a flow is a change of sign of a channel.

    Of series in time (`event_ndims=2`) W acts on the channels of every step, as in WaveGlow, and
    `log |det dy/dx| = -T log |det W|`.

    `linear` takes any other form in place of L U P, such as `QRLinear(num_channels)` or
    `HouseholderLinear(num_channels)`, which start as the identity.

    Shapes: `x` is `[..., height, width, C]` (NHWC), or `[..., T, C]`, and
    `forward_min_event_ndims` is 3 or 2. Domain: all reals.

    Source: Kingma and Dhariwal (2018), Glow, arXiv:1807.03039, sec. 3.2; the QR form by
    Hoogeboom, van den Berg and Welling (2019), arXiv:1901.11137; of series, Prenger, Valle and
    Catanzaro (2019), WaveGlow, arXiv:1811.00002.

    Args:
      num_channels: C, a Python `int` of at least one.
      linear: a `LULinear`, `QRLinear` or `HouseholderLinear` of C; made when it is `None`.
      seed: Python `int`, of the start that is drawn.
      dtype: float dtype of the variables that are made.
      event_ndims: 3 for images, 2 for series.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `num_channels` is not an integer, or `linear` no bijector of ours.
      ValueError: if `num_channels` is below one, `linear` is for vectors of another size, or
        `event_ndims` is another number.
    """

    def __init__(
        self,
        num_channels: int,
        linear: FlowBijector | None = None,
        seed: int | None = None,
        dtype: tf.DType | str = "float32",
        event_ndims: int = 3,
        validate_args: bool = False,
        name: str = "invertible_conv1x1",
    ) -> None:
        parameters = dict(locals())
        num_channels = _checks.integer_at_least(num_channels, 1, "num_channels")
        if linear is None:
            linear = _orthogonal_start(num_channels, seed, dtype)
        if not isinstance(linear, FlowBijector):
            raise TypeError(
                "`linear` must be a linear bijector of `tfp_flows.bijectors`, such as `QRLinear`. "
                f"Received: linear={linear!r}"
            )
        if (
            linear.forward_min_event_ndims != 1
            or not linear.is_constant_jacobian
            or getattr(linear, "_event_size", None) != num_channels
        ):
            raise ValueError(
                f"`linear` must be a linear map of vectors of {num_channels} channels. "
                f"Received: linear={linear!r}"
            )
        event_ndims = _checks.one_of(event_ndims, (2, 3), "event_ndims")
        parameters.update(linear=linear)
        self._pixels = self._no_dependency(list(range(1 - event_ndims, 0)))  # axes of log-dets
        self._linear = linear
        super().__init__(
            event_size=num_channels,
            forward_min_event_ndims=event_ndims,
            is_constant_jacobian=True,
            dtype=linear.dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {"linear": _parameters.own()}

    @property
    def linear(self) -> FlowBijector:
        """The bijector of the channels of one pixel."""
        return self._linear

    def _is_increasing(self) -> bool | tf.Tensor:
        return self._linear._is_increasing()

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        y, log_det = self._linear._forward_and_log_det(x)
        return y, tf.reduce_sum(log_det, axis=self._pixels)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_det = self._linear._inverse_and_log_det(y)
        return x, tf.reduce_sum(log_det, axis=self._pixels)


def _orthogonal_start(size: int, seed: int | None, dtype: tf.DType | str) -> LULinear:
    """A `LULinear` without a shift whose matrix L U P is random and orthogonal."""
    normal = np.random.default_rng(seed).normal(size=[size, size])
    q, r = np.linalg.qr(normal)
    # Without these signs Q is not uniform: LAPACK has its own convention (Mezzadri, 2007).
    lower, upper, permutation = _decomposed(q * np.sign(np.diag(r)))
    # A W is orthogonal if W is, for a diagonal A of signs, and A L U = (A L A) (A U).
    signs = np.sign(np.diag(upper))
    lower, upper = signs[:, np.newaxis] * lower * signs, signs[:, np.newaxis] * upper
    packed = np.tril(lower, -1) + np.triu(upper, 1) + np.diag(np.log(np.diag(upper)))
    with tf.init_scope():
        lower_upper = tf.Variable(packed, dtype=dtype, name="lower_upper")
    return LULinear(size, permutation, lower_upper, bias=tf.zeros([size], dtype))


def _decomposed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L, U and a permutation with matrix = L U P: elimination with pivots among the columns."""
    size = len(matrix)
    lower, upper, permutation = np.eye(size), matrix.copy(), np.arange(size)
    for k in range(size):
        pivot = k + int(np.argmax(np.abs(upper[k, k:])))
        upper[:, [k, pivot]] = upper[:, [pivot, k]]
        permutation[[k, pivot]] = permutation[[pivot, k]]
        lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
        upper[k + 1 :] -= np.outer(lower[k + 1 :, k], upper[k])
    return lower, upper, permutation
