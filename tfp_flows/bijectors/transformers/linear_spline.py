"""The linear spline transformer of Neural Importance Sampling."""

import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.transformers import _batch_last, _spline_parameters
from tfp_flows.math.splines import _spline_bins
from tfp_flows.math.splines.linear_spline import inverse_linear_spline, linear_spline


class LinearSpline(FlowBijector):
    """y = y_k + h theta, elementwise.

    Bin k holds x, between the knots (x_k, y_k) and (x_k + w, y_k + h); theta = (x - x_k) / w.
    Monotone and continuous; its slope h / w jumps at the knots, so that densities are
    histograms. Outside of the knots y = x. Gradients do not see jumps of log |dy/dx| that
    parameters move, so let x, whose knots are fixed, be the data: `invert_transformer=True` of a
    coupling that is trained by its density.

    A transformer: `forward_min_event_ndims=0`. Both directions are closed forms of the same
    cost, the cheapest of the splines; `log |dy/dx|` is elementwise, in nats.

    Shapes: `x` is `[..., D]`, parameters `[..., D, K]` (bins last), batch shapes broadcast;
    parameters of rank one serve every element of `x`. Domain: all reals, onto all reals; the
    interval of the knots, for instance [0, 1], onto itself.

    Raw parameters of `new`, of shape `[..., P]`: K for the heights, `P = K`; with
    `learn_widths=True` K for the widths before them, `P = 2 K`. The identity at zero.

    Source: Mueller, McWilliams, Rousselle, Gross and Novak (2019), Neural Importance Sampling,
    arXiv:1808.03856 (there with equal widths on [0, 1]).

    Args:
      bin_widths: positive `Tensor` `[..., K]`.
      bin_heights: positive `Tensor` `[..., K]` of the same sum.
      range_min: scalar, the position x and the value y of the first knot.
      validate_args: Python `bool`: checks signs and sums. Under XLA assertions are dropped.
      name: Python `str`.

    Raises:
      ValueError: if the numbers of widths and heights differ.
    """

    def __init__(
        self, bin_widths, bin_heights, range_min=-1.0, validate_args=False, name="linear_spline"
    ):
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(bin_widths=bin_widths, bin_heights=bin_heights, range_min=range_min)
            _spline_parameters.same_bins(self._bin_widths, self._bin_heights)
            super().__init__(
                forward_min_event_ndims=0,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def bin_widths(self):
        """Widths of the bins, `[..., K]`."""
        return self._bin_widths

    @property
    def bin_heights(self):
        """Heights of the bins, `[..., K]`."""
        return self._bin_heights

    @property
    def range_min(self):
        """Position and value of the first knot."""
        return self._range_min

    @classmethod
    def _is_increasing(cls):
        return True

    @classmethod
    def _parameter_properties(cls, dtype):
        return _spline_parameters.properties(
            dtype, sizes=["bin_widths", "bin_heights"], scalars=["range_min"]
        )

    def _parameter_control_dependencies(self, is_init):
        if not self.validate_args:
            return []
        widths, heights = self._bin_widths, self._bin_heights
        named = {"bin_widths": widths, "bin_heights": heights}
        assertions = _spline_parameters.positive_assertions(named, is_init)
        if _spline_parameters.is_due(is_init, widths, heights):
            assertions += _spline_parameters.equal_sums_assertions(
                widths, heights, "`bin_widths` and `bin_heights`"
            )
        return assertions

    @staticmethod
    def params_size(
        num_bins=8,
        bound=5.0,
        unit_interval=False,
        learn_widths=False,
        min_bin_width=1e-3,
        min_bin_height=1e-3,
        validate_args=False,
        name=None,
    ):
        """Number of raw parameters per coordinate: K, or 2 K with `learn_widths`.

        Takes the keywords of `new`; only `num_bins` and `learn_widths` matter.
        """
        del bound, unit_interval, min_bin_width, min_bin_height, validate_args, name
        return _checks.integer_at_least(num_bins, 1, "num_bins") * (2 if learn_widths else 1)

    @classmethod
    def new(
        cls,
        params,
        num_bins=8,
        bound=5.0,
        unit_interval=False,
        learn_widths=False,
        min_bin_width=1e-3,
        min_bin_height=1e-3,
        validate_args=False,
        name="linear_spline",
    ):
        """Makes the bijector on [-bound, bound], or on [0, 1], from raw parameters.

        h = L (m + (1 - K m) softmax(raw)), L the length of the interval, m the minimum;
        w = L / K, or likewise.

        Args:
          params: float `Tensor` `[..., P]`; any finite numbers.
          num_bins: Python `int` K, at least 1.
          bound: positive `float`. y = x outside of [-bound, bound].
          unit_interval: Python `bool`. `True`: the interval is [0, 1], whatever `bound`.
          learn_widths: Python `bool`. `False`: bins of equal widths.
          min_bin_width: the least width, as a fraction of the interval; below 1 / K.
          min_bin_height: the least height, likewise.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if a number is out of its range, or the last axis of `params` is not P.
        """
        size = cls.params_size(num_bins, learn_widths=learn_widths)
        lower, length = _spline_parameters.interval(bound, unit_interval)
        _spline_parameters.minimum_size(min_bin_width, num_bins, "min_bin_width")
        _spline_parameters.minimum_size(min_bin_height, num_bins, "min_bin_height")
        params = tf.convert_to_tensor(params, name="params")
        raw = _batch_last.split(params, [num_bins] * (size // num_bins))
        heights = length * _spline_bins.fractions(raw[-1], min_bin_height)
        heights = _batch_last.restore(heights, params)
        if learn_widths:
            widths = length * _spline_bins.fractions(raw[0], min_bin_width)
            widths = _batch_last.restore(widths, params)
        else:
            widths = tf.fill([num_bins], tf.constant(length / num_bins, heights.dtype))
        return cls(widths, heights, lower, validate_args, name)

    def _apply(self, kernel, value):
        parameters = (self._bin_widths, self._bin_heights)
        return _batch_last.apply(kernel, value, parameters, self._range_min, self._range_min)

    def _forward_and_log_det(self, x):
        return self._apply(linear_spline, x)

    def _inverse_and_log_det(self, y):
        return self._apply(inverse_linear_spline, y)
