"""The linear spline transformer of Neural Importance Sampling."""

from typing import Any, Self

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors.transformers import _batch_last, _spline
from tfp_flows.bijectors.transformers._raw_parameter import follows_variables
from tfp_flows.math.splines import _spline_bins
from tfp_flows.math.splines.linear_spline import inverse_linear_spline, linear_spline


class LinearSpline(_spline.Spline):
    r"""$y = y_k + h \theta, \quad \theta = (x - x_k) / w$

    A monotone, piecewise linear spline, whose densities are histograms.

    Bin k holds x, between the knots $(x_k, y_k)$ and $(x_k + w, y_k + h)$. The function is
    continuous, and its slope $h / w$ jumps at the knots. Outside of the knots y = x.

    Where parameters move a jump of $\log |dy/dx|$, gradients do not see it. So let x, whose knots
    are fixed, be the data: in a coupling that is trained by its density set
    `invert_transformer=True`.

    It has `forward_min_event_ndims=0`. Both directions are closed forms of the same cost, the
    lowest of all splines. $\log |dy/dx|$ is elementwise, in nats.

    Shapes: `x` is `[..., D]`, parameters are `[..., D, K]` (bins last). Batch shapes broadcast. A
    parameter of rank one is shared by all elements of `x`. Domain: all reals, onto all reals. The
    interval of the knots, for instance [0, 1], is mapped onto itself.

    `new` takes raw parameters of shape `[..., P]`: K for the heights, `P = K`. With
    `learn_widths=True` K for the widths come before them, `P = 2 K`. At zero the bijector is the
    identity.

    Source: Mueller, McWilliams, Rousselle, Gross and Novak (2019), Neural Importance Sampling,
    arXiv:1808.03856 (there with equal widths on [0, 1]).

    Args:
      bin_widths: positive `Tensor` `[..., K]`.
      bin_heights: positive `Tensor` `[..., K]` with the same sum.
      range_min: float `Tensor`, the position x and the value y of the first knot.
      validate_args: Python `bool`: checks signs and sums. XLA drops these assertions.
      name: Python `str`.

    Raises:
      ValueError: if the numbers of widths and heights differ.

    Example:
      >>> import tfp_flows as tfpf
      >>> spline = tfpf.bijectors.LinearSpline([1.0, 1.0], [0.5, 1.5], range_min=0.0)
      >>> spline.forward([0.5, 1.0, 1.5, 3.0]).numpy().round(2)  # slope 0.5, then 1.5, then y = x
      array([0.25, 0.5 , 1.25, 3.  ], dtype=float32)

    See also: `tfpf.bijectors.QuadraticSpline`, `tfpf.math.linear_spline`.
    """

    _increases = True

    def __init__(
        self,
        bin_widths: ArrayLike,
        bin_heights: ArrayLike,
        range_min: ArrayLike = -1.0,
        validate_args: bool = False,
        name: str = "linear_spline",
    ) -> None:
        super().__init__(
            dict(locals()), bin_widths=bin_widths, bin_heights=bin_heights, range_min=range_min
        )

    _forward_kernel = staticmethod(linear_spline)
    _inverse_kernel = staticmethod(inverse_linear_spline)

    def _check_bins(self) -> None:
        _spline.same_bins(self._bin_widths, self._bin_heights)

    @property
    def bin_heights(self) -> tf.Tensor | tf.Variable:
        """Heights of the bins, `[..., K]`."""
        return self._bin_heights

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return _spline.properties(dtype, sizes=["bin_widths", "bin_heights"], scalars=["range_min"])

    def _assertions(self, is_init: bool) -> list[Any]:
        widths, heights = self._bin_widths, self._bin_heights
        named = {"bin_widths": widths, "bin_heights": heights}
        assertions = _spline.positive_assertions(named, is_init)
        if _spline.is_due(is_init, widths, heights):
            assertions += _spline.equal_sums_assertions(
                widths, heights, "`bin_widths` and `bin_heights`"
            )
        return assertions

    @staticmethod
    def _sizes(num_bins: int, learn_widths: bool) -> tuple[int, ...]:
        _checks.integer_at_least(num_bins, 1, "num_bins")
        return (num_bins,) * (2 if learn_widths else 1)

    @classmethod
    @follows_variables
    def new(
        cls,
        params: ArrayLike,
        num_bins: int = 8,
        bound: float = 5.0,
        unit_interval: bool = False,
        learn_widths: bool = False,
        min_bin_width: float = 1e-3,
        min_bin_height: float = 1e-3,
        validate_args: bool = False,
        name: str = "linear_spline",
    ) -> Self:
        r"""Makes the bijector on [-bound, bound], or on [0, 1], from raw parameters.

        The heights are $h = L (m + (1 - K m) \text{softmax}(r))$ for raw numbers r, the length L of
        the interval and the minimum m. The widths are $w = L / K$, or are made in the same way.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
          num_bins: Python `int` K, at least 1.
          bound: positive `float`. y = x outside of [-bound, bound].
          unit_interval: Python `bool`. If `True` the interval is [0, 1], and `bound` does not
            matter.
          learn_widths: Python `bool`. `False`: bins of equal widths.
          min_bin_width: the least width, as a fraction of the interval; below 1 / K.
          min_bin_height: the least height, as a fraction of the interval; below 1 / K.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, or the last axis of `params` is not P.
        """
        sizes, lower, length = _checked(
            num_bins, bound, unit_interval, learn_widths, min_bin_width, min_bin_height
        )
        params = tf.convert_to_tensor(params, name="params")
        raw = _batch_last.split(params, sizes)
        heights = length * _spline_bins.fractions(raw[-1], min_bin_height)
        heights = _batch_last.restore(heights, params)
        if learn_widths:
            widths = length * _spline_bins.fractions(raw[0], min_bin_width)
            widths = _batch_last.restore(widths, params)
        else:
            widths = tf.fill([num_bins], tf.constant(length / num_bins, heights.dtype))
        return cls(widths, heights, lower, validate_args, name)


@_spline.checked_once
def _checked(
    num_bins: int,
    bound: float,
    unit_interval: bool,
    learn_widths: bool,
    min_bin_width: float,
    min_bin_height: float,
) -> tuple[Any, ...]:
    """Returns the numbers of raw parameters, and start and length of the interval."""
    sizes = LinearSpline._sizes(num_bins, learn_widths)
    _spline.minimum_size(min_bin_width, num_bins, "min_bin_width")
    _spline.minimum_size(min_bin_height, num_bins, "min_bin_height")
    return sizes, *_spline.interval(bound, unit_interval)
