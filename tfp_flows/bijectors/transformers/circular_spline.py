"""The rational-quadratic spline transformer of angles."""

import math
from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors.transformers import _batch_last, _spline
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._elementwise import softplus
from tfp_flows.math.splines import _spline_bins
from tfp_flows.math.splines.circular_spline import circular_spline, inverse_circular_spline

_PERIOD = 2.0 * math.pi


class CircularSpline(_spline.Spline):
    r"""$y = (g(x) + \text{shift}) \bmod 2 \pi$

    A spline that maps angles to angles, smoothly around the circle.

    g is a rational-quadratic spline (see `RationalQuadraticSpline`) that maps the interval
    [range_min, range_min + $2 \pi$) onto itself, with the same slope at both ends. So value and
    derivative are continuous on the whole circle. For a flow on a torus, use it in `Coupling` or
    `Autoregressive`, over a base of angles, for instance uniform ones. The conditioners should get
    the cosine and the sine of each angle.

    It has `forward_min_event_ndims=0`. Both directions are closed forms of the same cost.
    $\log |dy/dx|$ is elementwise, in nats.

    Shapes: `x` and `shift` are `[..., D]`, the other parameters `[..., D, K]` (bins last). Batch
    shapes broadcast. A parameter of rank one is shared by all elements of `x`. Domain: [range_min,
    range_min + $2 \pi$), onto itself. Other finite angles are taken modulo $2 \pi$.

    `new` takes raw parameters of shape `[..., P]`, `P = 3 K + 1`: K for the widths, K for the
    heights, K for the slopes, and the shift. At zero the bijector is the identity.

    Source: Rezende, Papamakarios, Racaniere, Albergo, Kanwar, Shanahan and Cranmer (2020),
    Normalizing Flows on Tori and Spheres, arXiv:2002.02428.

    Args:
      bin_widths: positive `Tensor` `[..., K]` with the sum $2 \pi$.
      bin_heights: positive `Tensor` `[..., K]` with the sum $2 \pi$.
      knot_slopes: positive `Tensor` `[..., K]`, the slope at the left knot of each bin. The first
        is also the slope at the right end of the interval.
      shift: `Tensor` `[...]`, any angles.
      range_min: float `Tensor`, the least angle: $-\pi$, or 0.
      validate_args: Python `bool`: checks signs and sums. XLA drops these assertions.
      name: Python `str`.

    Raises:
      ValueError: if the numbers of widths, heights and slopes differ.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> halves = np.pi * np.ones(2)
      >>> spline = tfpf.bijectors.CircularSpline(halves, halves, knot_slopes=np.ones(2), shift=2.0)
      >>> spline.forward([-3.0, 0.0, 3.0]).numpy().round(2)  # x + 2, where 5 - 2 pi is -1.28
      array([-1.  ,  2.  , -1.28])

    See also: `tfpf.math.circular_spline`, the function.
    """

    def __init__(
        self,
        bin_widths: ArrayLike,
        bin_heights: ArrayLike,
        knot_slopes: ArrayLike,
        shift: ArrayLike = 0.0,
        range_min: ArrayLike = -math.pi,
        validate_args: bool = False,
        name: str = "circular_spline",
    ) -> None:
        super().__init__(
            dict(locals()),
            bin_widths=bin_widths,
            bin_heights=bin_heights,
            knot_slopes=knot_slopes,
            shift=shift,
            range_min=range_min,
        )

    _forward_kernel = staticmethod(circular_spline)
    _inverse_kernel = staticmethod(inverse_circular_spline)

    def _check_bins(self) -> None:
        num_bins = _spline.same_bins(self._bin_widths, self._bin_heights)
        _checks.last_axis(self._knot_slopes, num_bins, "knot_slopes")

    @property
    def bin_heights(self) -> tf.Tensor | tf.Variable:
        """Heights of the bins, `[..., K]`."""
        return self._bin_heights

    @property
    def knot_slopes(self) -> tf.Tensor | tf.Variable:
        """Slopes at the left knots of the bins, `[..., K]`."""
        return self._knot_slopes

    @property
    def shift(self) -> tf.Tensor | tf.Variable:
        """The angle that is added, `[...]`."""
        return self._shift

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return _spline.properties(
            dtype, ["bin_widths", "bin_heights"], ["knot_slopes"], ["shift", "range_min"]
        )

    def _assertions(self, is_init: bool) -> list[Any]:
        sizes = {"bin_widths": self._bin_widths, "bin_heights": self._bin_heights}
        named = sizes | {"knot_slopes": self._knot_slopes}
        assertions = _spline.positive_assertions(named, is_init)
        assertions += [
            tf.debugging.assert_near(
                tf.reduce_sum(t, axis=-1),
                tf.constant(_PERIOD, self.dtype),
                message=f"`{name}` must have the sum 2 pi.",
            )
            for name, t in sizes.items()
            if _spline.is_due(is_init, t)
        ]
        return assertions

    @staticmethod
    def _sizes(num_bins: int) -> tuple[int, ...]:
        _checks.integer_at_least(num_bins, 1, "num_bins")
        return num_bins, num_bins, num_bins, 1

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_bins: int = 8,
        range_min: float = -math.pi,
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
        min_slope: float = 1e-3,
        validate_args: bool = False,
        name: str = "circular_spline",
    ) -> Self:
        r"""Makes the bijector on [range_min, range_min + $2 \pi$) from raw parameters.

        The widths are $w = 2 \pi (m + (1 - K m) \text{softmax}(r))$ for raw numbers r and the
        minimum m. The heights are made in the same way. The slopes are
        $d = m + \text{softplus}(r + c)$, with the c for which d = 1 at r = 0. The shift is its raw
        number.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_bins: Python `int` K, at least 1.
          range_min: `float`, the least angle: $-\pi$, or 0.
          min_bin_width: the least width, as a fraction of the circle; below 1 / K.
          min_bin_height: the least height, as a fraction of the circle; below 1 / K.
          min_slope: the least slope at a knot, below 1.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, or the last axis of `params` is not P.
        """
        sizes = _checked(num_bins, min_bin_width, min_bin_height, min_slope)
        params = tf.convert_to_tensor(params, name="params")
        raw_widths, raw_heights, raw_slopes, raw_shift = _batch_last.split(params, sizes)
        offset = math.log(math.expm1(1.0 - min_slope))
        positive = (
            _PERIOD * _spline_bins.fractions(raw_widths, min_bin_width),
            _PERIOD * _spline_bins.fractions(raw_heights, min_bin_height),
            min_slope + softplus(raw_slopes + offset),
        )
        widths, heights, slopes = (_batch_last.restore(t, params) for t in positive)
        shift = _batch_last.restore(raw_shift, params)[..., 0]
        return cls(widths, heights, slopes, shift, range_min, validate_args, name)

    def _tensors_by_bin(self) -> tuple[tf.Tensor, ...]:
        return self._bin_widths, self._bin_heights, self._knot_slopes

    def _apply(
        self, kernel: Callable[..., tuple[tf.Tensor, tf.Tensor]], value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        bins, start = self._tensors_by_bin(), self._range_min
        return _batch_last.apply(kernel, value, bins, self._shift, start)


@_spline.checked_once
def _checked(
    num_bins: int, min_bin_width: float, min_bin_height: float, min_slope: float
) -> tuple[Any, ...]:
    """Returns the numbers of raw parameters."""
    sizes = CircularSpline._sizes(num_bins)
    _spline.minimum_size(min_bin_width, num_bins, "min_bin_width")
    _spline.minimum_size(min_bin_height, num_bins, "min_bin_height")
    _spline.minimum_slope(min_slope)
    return sizes
