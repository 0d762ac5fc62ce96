"""The planar bijector: it moves vectors along one direction."""

from typing import Any, Self

import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.bijectors import _parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.residual._clip_raw_parameters import clip_raw_parameters
from tfp_flows.math._elementwise import exp_asinh, tanh_and_slope
from tfp_flows.math.linalg._euclidean_norm import euclidean_norm
from tfp_flows.math.solvers.find_root import find_root

NEGATIVE_SLOPE = 0.2


class Planar(FlowBijector):
    r"""$y = x + u \, h(w^\top x + b)$

    A planar flow: it moves x along u, by an amount that depends on the projection of x on w.

    h is tanh or leaky ReLU. With $z = w^\top x + b$ and $p = 1 + w^\top u$, which is positive, the
    matrix determinant lemma gives $\log |\det dy/dx| = \log(1 + h'(z) w^\top u)$ in nats. It is
    computed as $\log((1 - h'(z)) + h'(z) \, p)$.

    Raw parameters, `[..., P]` with P = 2 D + 1: v and u of D numbers each, then b. The weights are
    $w = v + w_0$, with the fixed unit vector $w_0 = (1, \ldots, 1) / \sqrt{D}$. A multiple of w is
    added to u so that $p = \exp(\text{asinh}(w^\top u))$ with the raw u. So any raw numbers give an
    invertible map. (The paper has $p = \text{softplus}(w^\top u)$, which is not one at zero.) The
    map is the identity if u = 0, and there its gradient with respect to u does not vanish. Raw
    numbers are clipped to $\pm 10^6$.

    Shapes: `x` is `[..., D]` and `params` is `[..., P]`. Their batch shapes broadcast. Domain: all
    reals, onto all reals.

    Cost: `forward` is a closed form, O(D). `inverse` is a search for one number for each vector, by
    Newton's steps within a bracket (`tfp_flows.math.find_root`), at about 10 times the cost. With
    leaky ReLU `inverse` is a closed form as well.

    Source: Rezende and Mohamed (2015), Variational inference with normalizing flows,
    arXiv:1505.05770, sec. 4.1 and app. A.1.

    Args:
      params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
      nonlinearity: `"tanh"`, or `"leaky_relu"` with the slope 0.2 below zero.
      validate_args: Python `bool`. If `True`, a y for which the search fails is an error. Otherwise
        its x is NaN.
      name: Python `str`.

    Raises:
      ValueError: if `nonlinearity` is unknown, or if the last axis of `params` does not have a
        static, odd size of 3 or more.

    Example:
      >>> import tfp_flows as tfpf
      >>> v, u, b = [0.5, -0.5], [1.0, 2.0], [0.0]
      >>> planar = tfpf.bijectors.Planar(v + u + b)
      >>> y, log_det = planar.forward_and_log_det([0.5, 1.5])
      >>> y.numpy().round(2)
      array([1.75, 3.04], dtype=float32)
      >>> float(log_det)
      0.79

    See also: `tfpf.flows.planar`, `tfpf.bijectors.Sylvester`, `tfpf.bijectors.Amortized`.
    """

    _increases = True

    def __init__(
        self,
        params: ArrayLike,
        nonlinearity: str = "tanh",
        validate_args: bool = False,
        name: str = "planar",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            dtype = self._keep(params=params)
            self._nonlinearity = _checks.one_of(nonlinearity, tuple(_RESPONSE), "nonlinearity")
            size = self._params.shape[-1] if self._params.shape.rank else None
            if size is None or size < 3 or size % 2 == 0:
                raise ValueError(
                    "`params` must have 2 D + 1 numbers on its static last axis. "
                    f"Received: params.shape={tuple(self._params.shape)}"
                )
            super().__init__(
                event_size=(size - 1) // 2,
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

    @property
    def nonlinearity(self) -> str:
        """The name of the nonlinearity h."""
        return self._nonlinearity

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {"params": _parameters.raw_numbers(cls.params_size)}

    @staticmethod
    def params_size(
        event_size: int,
        nonlinearity: str = "tanh",
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """Returns the number of raw parameters, 2 D + 1. It takes the keywords of `new`."""
        del nonlinearity, validate_args, name
        return 2 * _checks.integer_at_least(event_size, 1, "event_size") + 1

    @classmethod
    def new(
        cls,
        params: ArrayLike,
        event_size: int,
        nonlinearity: str = "tanh",
        validate_args: bool = False,
        name: str = "planar",
    ) -> Self:
        """Makes the bijector from raw parameters.

        Args:
          params: float `Tensor` or `tf.Variable` `[..., P]`.
          event_size: D, the size of x.
          nonlinearity: as in the constructor.
          validate_args: Python `bool`.
          name: Python `str`.

        Raises:
          ValueError: if the last axis of `params` is not P.
        """
        if not isinstance(params, tf.Variable):
            params = tf.convert_to_tensor(params, name="params")
        _checks.last_axis(params, cls.params_size(event_size), "params")
        return cls(params, nonlinearity, validate_args=validate_args, name=name)

    def _parts(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns `(w, u, b, p)`; b and p are `[..., 1]`."""
        params = clip_raw_parameters(self._params)
        size = self._event_size
        w = params[..., :size] + tf.constant(size**-0.5, params.dtype)
        u = params[..., size : 2 * size]
        b = params[..., -1:]
        norm = euclidean_norm(w)
        direction = w / tf.where(norm > 0.0, norm, tf.ones_like(norm))
        along = tf.reduce_sum(u * direction, axis=-1, keepdims=True)
        a = norm * along
        # p - 1 - a = a^2 / (1 + sqrt(1 + a^2)), divided by |w|^2 and multiplied by w.
        excess = tf.square(along) * norm / (1.0 + tf.sqrt(1.0 + tf.square(a)))
        return w, u + excess * direction, b, exp_asinh(a)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        w, u, b, p = self._parts()
        z = _along(w, x) + b
        h, slope, rest = _RESPONSE[self._nonlinearity](z)
        return x + u * h, tf.math.log(rest + slope * p)[..., 0]

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Solves the projection of the equation on w: z + (p - 1) h(z) = w . y + b."""
        w, u, b, p = self._parts()
        target = _along(w, y) + b
        if self._nonlinearity == "leaky_relu":
            z = target / tf.where(target < 0.0, 1.0 + NEGATIVE_SLOPE * (p - 1.0), p)
        else:
            z = self._root(target, p)
        h, slope, rest = _RESPONSE[self._nonlinearity](z)
        return y - u * h, -tf.math.log(rest + slope * p)[..., 0]

    def _root(self, target: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
        def value_and_slope(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            h, slope, rest = _tanh(z)
            return z + (p - 1.0) * h, rest + slope * p

        radius = tf.abs(p - 1.0)
        result = find_root(value_and_slope, target, lower=target - radius, upper=target + radius)
        if not self.validate_args:
            return result.root
        message = f"`{self.name}` found no x for some y."
        converged = tf.debugging.assert_equal(
            result.converged, tf.ones_like(result.converged), message=message
        )
        with tf.control_dependencies([converged]):
            return tf.identity(result.root)


def _along(w: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns w . x, clipped to half the largest number of the dtype, without adding infinities."""
    largest = x.dtype.max
    # The sum may be finite even if its terms overflow.
    size = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True))
    scale = tf.maximum(size / largest**0.5, 1.0)
    product = scale * tf.reduce_sum(w * (x / scale), axis=-1, keepdims=True)
    return tf.clip_by_value(product, -0.5 * largest, 0.5 * largest)


def _tanh(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns `(h, h', 1 - h')`."""
    h, slope = tanh_and_slope(z)
    return h, slope, tf.square(h)


def _leaky_relu(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns `(h, h', 1 - h')`."""
    one, zero = tf.ones_like(z), tf.zeros_like(z)
    below = z < 0.0
    slope = tf.where(below, NEGATIVE_SLOPE * one, one)
    return slope * z, slope, tf.where(below, (1.0 - NEGATIVE_SLOPE) * one, zero)


_RESPONSE = {"tanh": _tanh, "leaky_relu": _leaky_relu}
