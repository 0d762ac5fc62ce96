"""The rational-quadratic spline transformer of neural spline flows."""

import math
from typing import Any, Self

import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors.transformers import _batch_last, _spline
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math._elementwise import softplus
from tfp_flows.math.splines import _spline_bins
from tfp_flows.math.splines.rational_quadratic_spline import (
    inverse_rational_quadratic_spline,
    rational_quadratic_spline,
)


class RationalQuadraticSpline(_spline.Spline):
    r"""$y = y_k + h \theta (\theta + a \phi) / (1 + (a + b - 2) \theta \phi)$

    A monotone rational-quadratic spline, the transformer of neural spline flows.

    Bin k holds x, between the knots $(x_k, y_k)$ and $(x_k + w, y_k + h)$. Here
    $\theta = (x - x_k) / w$ and $\phi = 1 - \theta$, and a, b are the slopes at the two knots,
    divided by $h / w$. The first derivative is continuous. Outside of the knots the function is
    linear: y = x (identity tails), or a line with the slope at the end (linear tails).

    It has `forward_min_event_ndims=0`. Both directions are closed forms of the same cost, and exact
    in derivatives of every order (except at the knots, where the second derivative jumps).
    $\log |dy/dx|$ is elementwise, in nats.

    Shapes: `x` is `[..., D]`, parameters are `[..., D, K]` (bins last). Batch shapes broadcast. A
    parameter of rank one is shared by all elements of `x`. Domain: all reals, onto all reals.

    The arguments are those of `tfb.RationalQuadraticSpline`. `new` takes raw parameters of shape
    `[..., P]`: K for the widths, K for the heights, then the slopes. `P = 3 K - 1` with identity
    tails, `P = 3 K + 1` with linear tails or on the unit interval. At zero the bijector is the
    identity.

    Source: Gregory and Delbourgo (1982), Piecewise rational quadratic interpolation to monotonic
    data; Durkan, Bekasov, Murray and Papamakarios (2019), arXiv:1906.04032.

    Args:
      bin_widths: positive `Tensor` `[..., K]`.
      bin_heights: positive `Tensor` `[..., K]`; with identity tails they have the same sum as
        `bin_widths`.
      knot_slopes: positive `Tensor`. `[..., K - 1]`, or a scalar or `[..., 1]` for all of them:
        slopes at the interior knots, with identity tails. `[..., K + 1]`: slopes at all knots, with
        linear tails.
      range_min: float `Tensor`, the position x and the value y of the first knot.
      validate_args: Python `bool`: checks signs and sums. XLA drops these assertions.
      name: Python `str`.

    Raises:
      ValueError: if the numbers of widths, heights and slopes do not fit.

    Example:
      >>> import tfp_flows as tfpf
      >>> spline = tfpf.bijectors.RationalQuadraticSpline(
      ...     bin_widths=[1.0, 1.0], bin_heights=[0.5, 1.5], knot_slopes=[1.0], range_min=-1.0
      ... )
      >>> spline.forward([-1.0, 0.0, 1.0, 4.0]).numpy().round(2)  # knots at -1, 0 and 1, then y = x
      array([-1. , -0.5,  1. ,  4. ], dtype=float32)

    See also: `tfpf.flows.neural_spline`, `tfpf.math.rational_quadratic_spline`.
    """

    _increases = True

    def __init__(
        self,
        bin_widths: ArrayLike,
        bin_heights: ArrayLike,
        knot_slopes: ArrayLike,
        range_min: ArrayLike = -1.0,
        validate_args: bool = False,
        name: str = "rational_quadratic_spline",
    ) -> None:
        super().__init__(
            dict(locals()),
            bin_widths=bin_widths,
            bin_heights=bin_heights,
            knot_slopes=knot_slopes,
            range_min=range_min,
        )

    _forward_kernel = staticmethod(rational_quadratic_spline)
    _inverse_kernel = staticmethod(inverse_rational_quadratic_spline)

    def _check_bins(self) -> None:
        num_bins = _spline.same_bins(self._bin_widths, self._bin_heights)
        slopes = self._knot_slopes
        if slopes.shape.rank != 0 and slopes.shape[-1] not in (1, num_bins - 1, num_bins + 1):
            raise ValueError(
                f"`knot_slopes` must have {num_bins - 1} (identity tails) or {num_bins + 1} "
                f"(linear tails) numbers on its last axis for {num_bins} bins. "
                f"Received: knot_slopes.shape={slopes.shape}"
            )

    @property
    def bin_heights(self) -> tf.Tensor | tf.Variable:
        """Heights of the bins, `[..., K]`."""
        return self._bin_heights

    @property
    def knot_slopes(self) -> tf.Tensor | tf.Variable:
        """Slopes at the interior knots `[..., K - 1]`, or at all of them `[..., K + 1]`."""
        return self._knot_slopes

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return _spline.properties(
            dtype, ["bin_widths", "bin_heights"], ["knot_slopes"], ["range_min"]
        )

    def _assertions(self, is_init: bool) -> list[Any]:
        widths, heights = self._bin_widths, self._bin_heights
        named = {"bin_widths": widths, "bin_heights": heights, "knot_slopes": self._knot_slopes}
        assertions = _spline.positive_assertions(named, is_init)
        identity_tails = self._slopes_per_knot().shape[-1] != widths.shape[-1] + 1
        if identity_tails and _spline.is_due(is_init, widths, heights):
            assertions += _spline.equal_sums_assertions(
                widths, heights, "`bin_widths` and `bin_heights`"
            )
        return assertions

    @staticmethod
    def _sizes(num_bins: int, tails: str, unit_interval: bool) -> tuple[int, ...]:
        _checks.integer_at_least(num_bins, 1, "num_bins")
        return 2 * num_bins, num_bins + (1 if _spline.learns_ends(tails, unit_interval) else -1)

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
        name: str = "rational_quadratic_spline",
    ) -> Self:
        r"""Makes the bijector on [-bound, bound], or on [0, 1], from raw parameters.

        The widths are $w = L (m + (1 - K m) \text{softmax}(r))$ for raw numbers r, the length L of
        the interval and the minimum m. The heights are made in the same way. The slopes are
        $d = m + \text{softplus}(r + c)$, with the c for which d = 1 at r = 0.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any numbers up to 1e-3 of the largest
            of the dtype.
          num_bins: Python `int` K, at least 1.
          bound: positive `float`. x and y outside of [-bound, bound] are in the tails.
          tails: `"identity"`, or `"linear"` with learned slopes.
          min_bin_width: the least width, as a fraction of the interval; below 1 / K.
          min_bin_height: the least height, as a fraction of the interval; below 1 / K.
          min_slope: the least slope at a knot, below 1.
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
        raw_sizes, raw_slopes = _batch_last.split(params, sizes)
        # One softmax for both: XLA compiles and runs it faster than two.
        shape = ps.shape(raw_sizes)
        shape = ps.concat([shape[:-2], [2, num_bins], shape[-1:]], axis=0)
        minimum = tf.constant([[[min_bin_width]], [[min_bin_height]]], params.dtype)
        sizes = length * _spline_bins.fractions(tf.reshape(raw_sizes, shape), minimum)
        shift = math.log(math.expm1(1.0 - min_slope))
        positive = (*tf.unstack(sizes, axis=-3), min_slope + softplus(raw_slopes + shift))
        widths, heights, slopes = (_batch_last.restore(t, params) for t in positive)
        return cls(widths, heights, slopes, lower, validate_args, name)

    def _slopes_per_knot(self) -> tf.Tensor:
        """The slopes with K - 1 or K + 1 numbers on the last axis; a single one is repeated."""
        slopes = tf.convert_to_tensor(self._knot_slopes)
        interior = self._bin_widths.shape[-1] - 1
        if slopes.shape.rank == 0:
            slopes = slopes[tf.newaxis]
        if slopes.shape[-1] == 1 and interior != 1:
            # Not `tf.repeat`: under XLA it fails in a differentiated while body.
            slopes = slopes * tf.ones([interior], slopes.dtype)
        return slopes

    def _tensors_by_bin(self) -> tuple[tf.Tensor, ...]:
        return self._bin_widths, self._bin_heights, self._slopes_per_knot()


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
    sizes = RationalQuadraticSpline._sizes(num_bins, tails, unit_interval)
    _spline.minimum_size(min_bin_width, num_bins, "min_bin_width")
    _spline.minimum_size(min_bin_height, num_bins, "min_bin_height")
    _spline.minimum_slope(min_slope)
    return sizes, *_spline.interval(bound, unit_interval)
