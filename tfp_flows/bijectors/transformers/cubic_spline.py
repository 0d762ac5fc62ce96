"""The cubic spline transformer of cubic-spline flows."""

from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors.transformers import _batch_last, _cubic_bins, _spline
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math.splines import _spline_bins
from tfp_flows.math.splines.cubic_spline import cubic_spline, inverse_cubic_spline, steffen_slopes


class CubicSpline(_spline.Spline):
    r"""$y = y_k + h \theta (\theta^2 + (3 - b) \theta \phi + a \phi^2)$

    A monotone cubic spline, whose slopes at the interior knots follow from widths and heights.

    Bin k holds x, between the knots $(x_k, y_k)$ and $(x_k + w, y_k + h)$. Here
    $\theta = (x - x_k) / w$ and $\phi = 1 - \theta$, and a, b are the slopes at the two knots,
    divided by $h / w$. At interior knots they are those of Steffen's monotone interpolation. The
    first derivative is continuous. Outside of the knots the function is linear: y = x (identity
    tails), or a line with the slope at the end (linear tails).

    It has `forward_min_event_ndims=0`. Forward is a polynomial. The inverse is a closed form with
    two Newton steps; it costs about twice as much, and its first two derivatives are exact.
    Log-dets are in nats.

    Shapes: `x` is `[..., D]`, parameters are `[..., D, K]` (bins last). Batch shapes broadcast. A
    parameter of rank one is shared by all elements of `x`. Domain: all reals, onto all reals. As
    made by `new`, it maps the interval of the knots, for instance [0, 1], onto itself.

    `new` takes raw parameters of shape `[..., P]`: K for the widths and K for the heights, so
    `P = 2 K` with identity tails. With linear tails or on the unit interval 2 more give the slopes
    at the ends: `P = 2 K + 2`. At zero the bijector is the identity.

    Source: Durkan, Bekasov, Murray and Papamakarios (2019), arXiv:1906.02145; Steffen (1990), A
    simple method for monotonic interpolation in one dimension.

    Args:
      bin_widths: positive `Tensor` `[..., K]`.
      bin_heights: positive `Tensor` `[..., K]`. With identity tails they have the same sum as
        `bin_widths`, and the first and the last are at least a third of their widths; otherwise the
        spline is not monotone.
      end_slopes: positive `Tensor` `[..., 2]`, the slopes at the first and the last knot, for
        linear tails; below three times the slope of the chords there. `None` for identity tails.
      range_min: float `Tensor`, the position x and the value y of the first knot.
      validate_args: Python `bool`: checks signs and sums. XLA drops these assertions.
      name: Python `str`.

    Raises:
      ValueError: if the numbers of widths, heights and slopes do not fit.

    Example:
      >>> import tfp_flows as tfpf
      >>> spline = tfpf.bijectors.CubicSpline([1.0, 1.0], [0.5, 1.5], range_min=-1.0)
      >>> spline.forward([-1.0, 0.0, 1.0, 4.0]).numpy().round(2)  # knots at -1, 0 and 1, then y = x
      array([-1. , -0.5,  1. ,  4. ], dtype=float32)

    See also: `tfpf.bijectors.RationalQuadraticSpline`, `tfpf.math.cubic_spline`.
    """

    _increases = True

    def __init__(
        self,
        bin_widths: ArrayLike,
        bin_heights: ArrayLike,
        end_slopes: ArrayLike | None = None,
        range_min: ArrayLike = -1.0,
        validate_args: bool = False,
        name: str = "cubic_spline",
    ) -> None:
        super().__init__(
            dict(locals()),
            bin_widths=bin_widths,
            bin_heights=bin_heights,
            end_slopes=end_slopes,
            range_min=range_min,
        )

    _forward_kernel = staticmethod(cubic_spline)
    _inverse_kernel = staticmethod(inverse_cubic_spline)

    def _check_bins(self) -> None:
        _spline.same_bins(self._bin_widths, self._bin_heights)
        if self._end_slopes is not None:
            _checks.last_axis(self._end_slopes, 2, "end_slopes")

    @property
    def bin_heights(self) -> tf.Tensor | tf.Variable:
        """Heights of the bins, `[..., K]`."""
        return self._bin_heights

    @property
    def end_slopes(self) -> tf.Tensor | tf.Variable | None:
        """Slopes at the first and the last knot, `[..., 2]`, or `None` for identity tails."""
        return self._end_slopes

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return _spline.properties(
            dtype, ["bin_widths", "bin_heights"], ["end_slopes"], ["range_min"]
        )

    def _assertions(self, is_init: bool) -> list[Any]:
        widths, heights = self._bin_widths, self._bin_heights
        named = {"bin_widths": widths, "bin_heights": heights, "end_slopes": self._end_slopes}
        assertions = _spline.positive_assertions(named, is_init)
        if not _spline.is_due(is_init, *named.values()):
            return assertions
        ends = self._end_slopes
        if ends is None:
            ends = tf.ones([], self.dtype)
            assertions += _spline.equal_sums_assertions(
                widths, heights, "`bin_widths` and `bin_heights`"
            )
        first, last = heights[..., 0] / widths[..., 0], heights[..., -1] / widths[..., -1]
        assertions.append(
            tf.debugging.assert_greater(
                3.0 * tf.stack([first, last], axis=-1) - ends,
                tf.zeros([], self.dtype),
                message="`bin_heights / bin_widths` of the first and of the last bin must be "
                "above a third of the slope at the end.",
            )
        )
        return assertions

    @staticmethod
    def _sizes(num_bins: int, tails: str, unit_interval: bool) -> tuple[int, ...]:
        _checks.integer_at_least(num_bins, 1, "num_bins")
        return num_bins, num_bins, 2 if _spline.learns_ends(tails, unit_interval) else 0

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_bins: int = 8,
        bound: float = 5.0,
        tails: str = "identity",
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
        min_slope: float = 1e-3,
        unit_interval: bool = False,
        validate_args: bool = False,
        name: str = "cubic_spline",
    ) -> Self:
        r"""Makes the bijector on [-bound, bound], or on [0, 1], from raw parameters.

        The widths are $w = L (m + (1 - K m) \text{softmax}(r))$ for raw numbers r, the length L of
        the interval and the minimum m. The heights are made in the same way. Learned slopes at the
        ends are between n and 3 - n times that of the chord, n the least slope. With identity tails
        the first and the last bin are at least half as high as wide. So Steffen's condition, that
        no slope is above twice that of a chord beside it, also holds for the slope of the tails,
        one.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_bins: Python `int` K, at least 1.
          bound: positive `float`. x and y outside of [-bound, bound] are in the tails.
          tails: `"identity"`, or `"linear"` with learned slopes at the ends.
          min_bin_width: the least width, as a fraction of the interval; below 1 / K.
          min_bin_height: the least height, as a fraction of the interval; below 1 / (2 K). With
            identity tails the reserved halves of the first and last bin do not count in this
            interval.
          min_slope: the least slope at an end, relative to that of the chord; below 1.
          unit_interval: Python `bool`. If `True` the interval is [0, 1] and the slopes at its ends
            are learned; `bound` and `tails` do not matter.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, `tails` is unknown, or the last axis of
            `params` is not P.
        """
        sizes, lower, length = _checked(
            num_bins, bound, tails, min_bin_width, min_bin_height, min_slope, unit_interval
        )
        params = tf.convert_to_tensor(params, name="params")
        raw_widths, raw_heights, raw_ends = _batch_last.split(params, sizes)
        widths = length * _spline_bins.fractions(raw_widths, min_bin_width)
        ends = None
        if sizes[-1] == 0:
            heights = _cubic_bins.heights_with_identity_tails(
                raw_heights, widths, length, min_bin_height
            )
        else:
            heights = length * _spline_bins.fractions(raw_heights, min_bin_height)
            ends = _cubic_bins.end_slopes(raw_ends, widths, heights, min_slope)
            ends = _batch_last.restore(ends, params)
        widths, heights = (_batch_last.restore(t, params) for t in (widths, heights))
        return cls(widths, heights, ends, lower, validate_args, name)

    def _apply(
        self, kernel: Callable[..., tuple[tf.Tensor, tf.Tensor]], value: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        parameters = [self._bin_widths, self._bin_heights]
        if self._end_slopes is not None:
            parameters.append(self._end_slopes)

        def with_slopes(
            value: tf.Tensor, widths: tf.Tensor, heights: tf.Tensor, *rest: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            *ends, start = rest
            slopes = steffen_slopes(widths, heights)
            if ends:
                (ends,) = ends
                # `tf.concat` does not broadcast batch shapes.
                zero = tf.zeros_like(widths[..., :1, :] + heights[..., :1, :] + ends[..., :1, :])
                slopes = [ends[..., :1, :] + zero, slopes + zero, ends[..., 1:, :] + zero]
                slopes = tf.concat(slopes, axis=-2)
            return kernel(value, widths, heights, slopes, start, start)

        return _batch_last.apply(with_slopes, value, parameters, self._range_min)


@_spline.checked_once
def _checked(
    num_bins: int,
    bound: float,
    tails: str,
    min_bin_width: float,
    min_bin_height: float,
    min_slope: float,
    unit_interval: bool,
) -> tuple[Any, ...]:
    """Returns the numbers of raw parameters, and start and length of the interval."""
    sizes = CubicSpline._sizes(num_bins, tails, unit_interval)
    _spline.minimum_size(min_bin_width, num_bins, "min_bin_width")
    _spline.minimum_size(min_bin_height, num_bins, "min_bin_height", share=0.5)
    _spline.minimum_slope(min_slope)
    return sizes, *_spline.interval(bound, unit_interval)
