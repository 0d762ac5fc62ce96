"""The invertible 1x1 convolution of Glow."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.linear.lu_linear import LULinear


class InvertibleConv1x1(FlowBijector):
    r"""$x_{ij} = W y_{ij}, \quad W = L U P$

    An invertible 1x1 convolution: it multiplies the channels of every pixel (i, j) by one matrix.

    $\log |\det dy/dx| = -H W \log |\det W|$ in nats, for images of H x W pixels. W starts as a
    random orthogonal matrix, which is factorized once. L is lower triangular with a unit diagonal.
    U is upper triangular with the diagonal $\exp(d)$. Both are learned, while the permutation P is
    fixed (see `LULinear`). So $\log |\det W| = \sum_i d_i$.

    Glow writes $W = P L (U + \text{diag}(s))$ and fixes the signs of s as drawn. Here all signs are
    positive: where needed, rows of the drawn matrix change their sign. For the rest of a flow this
    is only a change of sign of a channel.

    With `event_ndims=2` the events are time series of T steps, as in WaveGlow. W acts on the
    channels of every step, and $\log |\det dy/dx| = -T \log |\det W|$.

    Another form of W is given by `linear`, such as `QRLinear(num_channels)` or
    `HouseholderLinear(num_channels)`. Both start as the identity.

    Shapes: `x` is `[..., height, width, C]` (NHWC), or `[..., T, C]`. `forward_min_event_ndims` is
    3 or 2. Domain: all reals.

    Cost: $O(C^2)$ for each pixel. `inverse` (data to base, the density) is one matrix product;
    `forward` solves two triangular systems. The log-det takes O(C).

    Source: Kingma and Dhariwal (2018), Glow, arXiv:1807.03039, sec. 3.2; for the QR form,
    Hoogeboom, van den Berg and Welling (2019), arXiv:1901.11137; for time series, Prenger, Valle
    and Catanzaro (2019), WaveGlow, arXiv:1811.00002.

    Args:
      num_channels: C, a Python `int` of at least one.
      linear: a `LULinear`, `QRLinear` or `HouseholderLinear` of size C. If `None`, a `LULinear` is
        made.
      seed: Python `int`, the seed for the random orthogonal matrix.
      dtype: float dtype of the variables that are made.
      event_ndims: 3 for images, 2 for time series.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `num_channels` is not an integer, or `linear` is not a bijector of this package.
      ValueError: if `num_channels` is below one, `linear` is for vectors of another size, or
        `event_ndims` is another number.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> convolution = tfpf.bijectors.InvertibleConv1x1(3, seed=0)
      >>> images = tf.ones([2, 4, 4, 3])
      >>> x, log_det = convolution.inverse_and_log_det(images)
      >>> x.shape, log_det.shape
      (TensorShape([2, 4, 4, 3]), TensorShape([2]))

    See also: `tfpf.flows.glow`, `tfpf.flows.waveglow`.
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
        """The bijector of vectors that maps the channels of one pixel."""
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
    """Returns a `LULinear` without a shift whose matrix L U P is random and orthogonal."""
    normal = np.random.default_rng(seed).normal(size=[size, size])
    q, r = np.linalg.qr(normal)
    # Without these signs Q is not uniformly distributed: LAPACK's convention would bias it
    # (Mezzadri, 2007).
    lower, upper, permutation = _decomposed(q * np.sign(np.diag(r)))
    # For a diagonal matrix A of signs, A W is orthogonal if W is, and A L U = (A L A) (A U).
    signs = np.sign(np.diag(upper))
    lower, upper = signs[:, np.newaxis] * lower * signs, signs[:, np.newaxis] * upper
    packed = np.tril(lower, -1) + np.triu(upper, 1) + np.diag(np.log(np.diag(upper)))
    with tf.init_scope():
        lower_upper = tf.Variable(packed, dtype=dtype, name="lower_upper")
    return LULinear(size, permutation, lower_upper, bias=tf.zeros([size], dtype))


def _decomposed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns L, U and a permutation with matrix = L U P, by elimination with column pivots."""
    size = len(matrix)
    lower, upper, permutation = np.eye(size), matrix.copy(), np.arange(size)
    for k in range(size):
        pivot = k + int(np.argmax(np.abs(upper[k, k:])))
        upper[:, [k, pivot]] = upper[:, [pivot, k]]
        permutation[[k, pivot]] = permutation[[pivot, k]]
        lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
        upper[k + 1 :] -= np.outer(lower[k + 1 :, k], upper[k])
    return lower, upper, permutation
