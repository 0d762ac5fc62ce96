"""The radial bijector: it moves vectors towards a point, or away from it."""

from typing import Any, Self

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.residual._clip_raw_parameters import clip_raw_parameters
from tfp_flows.math._elementwise import exp_asinh
from tfp_flows.math.linalg._euclidean_norm import euclidean_norm


class Radial(FlowBijector):
    r"""$y = x + \beta (x - x_0) / (\alpha + r), \quad r = |x - x_0|$

    A radial flow: it contracts or expands space around a center.

    With $q = \alpha / (\alpha + r)$ and $p = 1 + \beta / \alpha$, which is positive, the log-det is
    $(D - 1) \log((1 - q) + q p) + \log((1 - q^2) + q^2 p)$, in nats. The second derivatives jump at
    the center $x_0$. The gradient of r counts as zero there.

    Raw parameters, `[..., P]` with P = D + 2: the center $x_0$, then a and c, with
    $\alpha = \exp(\text{asinh}(a))$ and $p = \exp(\text{asinh}(c))$. (The paper has
    $\beta = -\alpha + \text{softplus}(c)$.) The map is the identity if c = 0, and there its
    gradient with respect to c does not vanish. Raw numbers are clipped to $\pm 10^6$.

    Shapes: `x` is `[..., D]` and `params` is `[..., P]`. Their batch shapes broadcast. Domain: all
    reals, onto all reals.

    Cost: both directions are closed forms, O(D). In `inverse` the radius solves a quadratic
    equation.

    Source: Rezende and Mohamed (2015), Variational inference with normalizing flows,
    arXiv:1505.05770, sec. 4.1 and app. A.2.

    Args:
      params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
      validate_args: Python `bool`, passed to `tfb.Bijector`.
      name: Python `str`.

    Raises:
      ValueError: if the last axis of `params` does not have a static size of 3 or more.

    Example:
      >>> import tfp_flows as tfpf
      >>> center, a, c = [0.75, 2.25], [0.0], [0.75]
      >>> radial = tfpf.bijectors.Radial(center + a + c)
      >>> radial.forward([[0.75, 2.25], [1.75, 2.25]]).numpy()  # only the center does not move
      array([[0.75, 2.25],
             [2.25, 2.25]], dtype=float32)

    See also: `tfpf.flows.radial`, `tfpf.bijectors.Planar`, `tfpf.bijectors.Amortized`.
    """

    _increases = True

    def __init__(
        self, params: ArrayLike, validate_args: bool = False, name: str = "radial"
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(params=params)
            size = self._params.shape[-1] if self._params.shape.rank else None
            if size is None or size < 3:
                raise ValueError(
                    "`params` must have D + 2 numbers on its static last axis. "
                    f"Received: params.shape={tuple(self._params.shape)}"
                )
            super().__init__(
                event_size=size - 2,
                forward_min_event_ndims=1,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def params(self) -> tf.Tensor | tf.Variable:
        """The raw parameters, `[..., P]`."""
        return self._params

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {"params": _parameters.raw_numbers(cls.params_size)}

    @staticmethod
    def params_size(event_size: int, validate_args: bool = False, name: str | None = None) -> int:
        """Returns the number of raw parameters, D + 2. It takes the keywords of `new`."""
        del validate_args, name
        return _checks.integer_at_least(event_size, 1, "event_size") + 2

    @classmethod
    def new(
        cls, params: ArrayLike, event_size: int, validate_args: bool = False, name: str = "radial"
    ) -> Self:
        """Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`.
          event_size: D, the size of x.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if the last axis of `params` is not P.
        """
        if not isinstance(params, tf.Variable):
            params = tf.convert_to_tensor(params, name="params")
        _checks.last_axis(params, cls.params_size(event_size), "params")
        return cls(params, validate_args=validate_args, name=name)

    def _parts(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns `(x_0, alpha, p)`; the last two are `[..., 1]`."""
        params = clip_raw_parameters(self._params)
        positive = exp_asinh(params[..., -2:])
        return params[..., :-2], positive[..., :1], positive[..., 1:]

    def _stretch_and_log_det(
        self, r: tf.Tensor, alpha: tf.Tensor, p: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `1 + beta h(alpha, r)` and the log-det."""
        q = alpha / (alpha + r)
        rest = r / (alpha + r)
        stretch = rest + q * p
        # 1 - q^2 = (1 - q) (1 + q).
        radial = rest * (1.0 + q) + tf.square(q) * p
        log_det = (self._event_size - 1.0) * tf.math.log(stretch) + tf.math.log(radial)
        return stretch, log_det[..., 0]

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        center, alpha, p = self._parts()
        difference = x - center
        stretch, log_det = self._stretch_and_log_det(_length(difference), alpha, p)
        return center + stretch * difference, log_det

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        center, alpha, p = self._parts()
        difference = y - center
        r = _radius(_length(difference), alpha, p)
        stretch, log_det = self._stretch_and_log_det(r, alpha, p)
        return center + difference / stretch, -log_det


def _length(difference: tf.Tensor) -> tf.Tensor:
    """Returns |x - x_0|, clipped so that sums do not overflow.

    The map is the identity this far from the center.
    """
    return tf.minimum(euclidean_norm(difference), 0.25 * difference.dtype.max)


def _radius(s: tf.Tensor, alpha: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """Returns the r >= 0 with r (r + alpha p) = s (r + alpha), which is r^2 + m r - alpha s = 0."""
    m = alpha * p - s
    # The scale cancels in the result. Divided by this one, squares neither overflow nor vanish.
    scale = tf.stop_gradient(alpha * p + alpha + s)
    root = scale * tf.sqrt(tf.square(m / scale) + 4.0 * (alpha / scale) * (s / scale))
    # The solution has two forms. The one without cancellation depends on the sign of m.
    positive = m > 0.0
    divisor = tf.where(positive, m + root, tf.ones_like(m))
    return tf.where(positive, 2.0 * alpha * (s / divisor), 0.5 * root - 0.5 * m)
