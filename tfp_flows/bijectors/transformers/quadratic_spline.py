"""The quadratic spline transformer of Neural Importance Sampling."""

from typing import Any, Self

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors.transformers import _batch_last, _spline
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math.splines import _spline_bins
from tfp_flows.math.splines.quadratic_spline import (
    inverse_quadratic_spline,
    quadratic_heights,
    quadratic_spline,
)


class QuadraticSpline(_spline.Spline):
    r"""$y = y_k + w \theta (d_k (1 + \phi) + d_{k+1} \theta) / 2$

    A monotone quadratic spline, whose slope is piecewise linear.

    Bin k holds x, between the knots $x_k$ and $x_k + w$. Here $\theta = (x - x_k) / w$ and
    $\phi = 1 - \theta$. Through the bin the slope is a line from $d_k$ to $d_{k+1}$. The first
    derivative is continuous. Outside of the knots the function is linear: y = x (identity tails),
    or a line with the slope at the end (linear tails).

    It has `forward_min_event_ndims=0`. Both directions are closed forms of the same cost, and exact
    in derivatives of every order (except at the knots, where the second derivative jumps).
    $\log |dy/dx|$ is elementwise, in nats.

    Shapes: `x` is `[..., D]`, parameters are `[..., D, K]` (bins last). Batch shapes broadcast. A
    parameter of rank one is shared by all elements of `x`. Domain: all reals, onto all reals. As
    made by `new`, it maps the interval of the knots, for instance [0, 1], onto itself.

    `new` takes raw parameters of shape `[..., P]`: K for the widths, then the slopes. `P = 2 K - 1`
    with identity tails, `P = 2 K + 1` with linear tails or on the unit interval. At zero the
    bijector is the identity.

    Source: Mueller, McWilliams, Rousselle, Gross and Novak (2019), Neural Importance Sampling,
    arXiv:1808.03856 (there on [0, 1]).

    Args:
      bin_widths: positive `Tensor` `[..., K]`.
      knot_slopes: positive `Tensor`. `[..., K - 1]`: slopes at the interior knots, with identity
        tails; then the heights $w (d_k + d_{k+1}) / 2$ must have the same sum as the widths.
        `[..., K + 1]`: slopes at all knots, with linear tails.
      range_min: float `Tensor`, the position x and the value y of the first knot.
      validate_args: Python `bool`: checks signs and sums. XLA drops these assertions.
      name: Python `str`.

    Raises:
      ValueError: if the numbers of widths and slopes do not fit.

    Example:
      >>> import tfp_flows as tfpf
      >>> spline = tfpf.bijectors.QuadraticSpline([2.0], knot_slopes=[0.5, 1.5], range_min=0.0)
      >>> spline.forward([0.0, 1.0, 2.0, 3.0]).numpy().round(2)  # slopes 0.5, 1, 1.5 and a line
      array([0.  , 0.75, 2.  , 3.5 ], dtype=float32)

    See also: `tfpf.bijectors.RationalQuadraticSpline`, `tfpf.math.quadratic_spline`.
    """

    _increases = True

    def __init__(
        self,
        bin_widths: ArrayLike,
        knot_slopes: ArrayLike,
        range_min: ArrayLike = -1.0,
        validate_args: bool = False,
        name: str = "quadratic_spline",
    ) -> None:
        super().__init__(
            dict(locals()), bin_widths=bin_widths, knot_slopes=knot_slopes, range_min=range_min
        )

    _forward_kernel = staticmethod(quadratic_spline)
    _inverse_kernel = staticmethod(inverse_quadratic_spline)

    def _check_bins(self) -> None:
        widths, slopes = self._bin_widths, self._knot_slopes
        num_bins, num_slopes = (t.shape[-1] if t.shape.rank else None for t in (widths, slopes))
        if not num_bins or num_slopes not in (num_bins - 1, num_bins + 1):
            raise ValueError(
                "`bin_widths` must have a static last axis K of at least 1, and `knot_slopes` "
                "K - 1 (identity tails) or K + 1 (linear tails) numbers on its last axis. "
                f"Received: shapes {widths.shape} and {slopes.shape}"
            )

    @property
    def knot_slopes(self) -> tf.Tensor | tf.Variable:
        """Slopes at the interior knots `[..., K - 1]`, or at all of them `[..., K + 1]`."""
        return self._knot_slopes

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return _spline.properties(dtype, ["bin_widths"], ["knot_slopes"], ["range_min"])

    def _assertions(self, is_init: bool) -> list[Any]:
        widths, slopes = self._bin_widths, self._knot_slopes
        named = {"bin_widths": widths, "knot_slopes": slopes}
        assertions = _spline.positive_assertions(named, is_init)
        identity_tails = slopes.shape[-1] == widths.shape[-1] - 1
        if identity_tails and _spline.is_due(is_init, widths, slopes):
            first = [_batch_last.units_first(tf.convert_to_tensor(t)) for t in (widths, slopes)]
            assertions += _spline.equal_sums_assertions(
                first[0], quadratic_heights(*first), "`bin_widths` and the areas below them", -2
            )
        return assertions

    @staticmethod
    def _sizes(num_bins: int, tails: str, unit_interval: bool) -> tuple[int, ...]:
        _checks.integer_at_least(num_bins, 1, "num_bins")
        return num_bins, num_bins + (1 if _spline.learns_ends(tails, unit_interval) else -1)

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_bins: int = 8,
        bound: float = 5.0,
        tails: str = "identity",
        min_bin_width: float = 1e-3,
        min_slope: float = 1e-3,
        unit_interval: bool = False,
        validate_args: bool = False,
        name: str = "quadratic_spline",
    ) -> Self:
        r"""Makes the bijector on [-bound, bound], or on [0, 1], from raw parameters.

        The widths are $w = L (m + (1 - K m) \text{softmax}(r))$ for raw numbers r, the length L of
        the interval and the minimum m. The slopes are $d = n + (1 - n) c e^r$, n the least slope,
        with the c for which the heights add up to L.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_bins: Python `int` K, at least 1.
          bound: positive `float`. x and y outside of [-bound, bound] are in the tails.
          tails: `"identity"`, or `"linear"` with learned slopes.
          min_bin_width: the least width, as a fraction of the interval; below 1 / K.
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
            num_bins, bound, tails, min_bin_width, min_slope, unit_interval
        )
        params = tf.convert_to_tensor(params, name="params")
        raw_widths, raw_slopes = _batch_last.split(params, sizes)
        widths = length * _spline_bins.fractions(raw_widths, min_bin_width)
        slopes = _slopes(raw_slopes, widths, min_slope)
        widths, slopes = (_batch_last.restore(t, params) for t in (widths, slopes))
        return cls(widths, slopes, lower, validate_args, name)

    def _tensors_by_bin(self) -> tuple[tf.Tensor, ...]:
        return self._bin_widths, self._knot_slopes


def _slopes(raw: tf.Tensor, widths: tf.Tensor, minimum: float) -> tf.Tensor:
    """Slopes whose mean, weighted by the widths beside each knot, is one."""
    if raw.shape[-2] == 0:
        return raw
    weights = 0.5 * (widths[..., :-1, :] + widths[..., 1:, :])
    if raw.shape[-2] != widths.shape[-2] - 1:
        ends = 0.5 * widths[..., :1, :], 0.5 * widths[..., -1:, :]
        weights = tf.concat([ends[0], weights, ends[1]], axis=-2)
    u = tf.exp(raw - tf.stop_gradient(tf.reduce_max(raw, axis=-2, keepdims=True)))
    mean = tf.reduce_sum(weights * u, axis=-2, keepdims=True)
    mean /= tf.reduce_sum(weights, axis=-2, keepdims=True)
    return minimum + (1.0 - minimum) * u / mean


@_spline.checked_once
def _checked(
    num_bins: int,
    bound: float,
    tails: str,
    min_bin_width: float,
    min_slope: float,
    unit_interval: bool,
) -> tuple[Any, ...]:
    """Returns the numbers of raw parameters, and start and length of the interval."""
    sizes = QuadraticSpline._sizes(num_bins, tails, unit_interval)
    _spline.minimum_size(min_bin_width, num_bins, "min_bin_width")
    _spline.minimum_slope(min_slope)
    return sizes, *_spline.interval(bound, unit_interval)
