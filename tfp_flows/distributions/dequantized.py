"""A distribution of whole numbers, such as the values of pixels, from a continuous one."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows._lost_in_keras import LostInKeras
from tfp_flows._tree import deep_copy
from tfp_flows.bijectors.flow_bijector import forward_and_log_det
from tfp_flows.distributions._dequantizing import Dequantizing, checked_distribution
from tfp_flows.distributions._described import described
from tfp_flows.math._elementwise import softplus

tfd = tfp.distributions
tfb = tfp.bijectors


class Dequantized(Dequantizing, LostInKeras, tfd.Distribution):
    r"""$\log P(x) = \log \int p(x + u) du \ge E_q[\log p(x + u) - \log q(u | x)]$

    A distribution of whole numbers, such as the values of pixels, from a continuous one.

    x is an event of D whole numbers from 0 to K - 1, and u is in $[0, 1]^D$. p is the density of
    $v = x + u$ for which $y = \mathrm{logit}(\alpha + (1 - 2 \alpha) v / K)$ has the given
    `distribution`, a flow over all of $R^D$. With `alpha=None` $y = v / K - 1/2$, as in Glow.
    RealNVP has $\alpha + (1 - \alpha) v / K$, whose logit is infinite at v = K; here both ends are
    treated alike.

    `elbo(x)` is the bound on the right, in nats, from one draw of u for each event. There is no
    `log_prob`, since the integral has no closed form.

    q is uniform, or learned with a `dequantizer` g. This g is any bijector of events whose last
    axis is twice as long, and keeps the first half as it is, as a coupling does whose part A
    contains it. It maps $[x / K - 1/2, e]$, with e logistic, to $[x / K - 1/2, e']$, and
    $u = \mathrm{sigmoid}(e')$. So the identity gives the uniform q. In Keras's training mode each
    call draws new noise. Otherwise the noise is always the same, so that `evaluate` is
    deterministic.

    `sample` draws y and rounds v down. The mass of `distribution` outside the range is lost to the
    bound; samples from there become 0 or K - 1.

    Shapes: x is `[..., *event_shape]`, with the event shape of `distribution`. Samples are uint8
    for K up to 256, otherwise int32; `elbo` takes any numeric dtype.

    Source: uniform noise, Theis, van den Oord and Bethge (2016), arXiv:1511.01844; the logit, Dinh,
    Sohl-Dickstein and Bengio (2017), RealNVP, arXiv:1605.08803, sec. 4.1; learned noise, Ho et al.
    (2019), Flow++, arXiv:1902.00275, sec. 3.1.

    Args:
      distribution: distribution of y, such as a flow that a recipe returns.
      num_values: K, at least two.
      alpha: a number in (0, 0.5), or `None`.
      dequantizer: g, a `tfb.Bijector`, or `None` for uniform noise.
      seed: Python `int`, for the noise.
      noise: the layer that draws it, which copies share; by default it is made from the seed.
      validate_args: Python `bool`. If true, a dequantizer that changes x is an error.
      allow_nan_stats: Python `bool`, as in TFP.
      name: Python `str`.

    Raises:
      TypeError: if `distribution` or `dequantizer` has another type, or `num_values` is not an
        integer.
      ValueError: if a number is out of range; in eager mode, if `elbo` gets values that are not
        whole numbers from 0 to K - 1. In a graph their bound is minus infinity.

    Example:
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> base = tfp.distributions.Sample(tfp.distributions.Uniform(-0.5, 0.5), 2)
      >>> pixels = tfpf.distributions.Dequantized(base, num_values=4, alpha=None)
      >>> pixels.elbo([[0, 3]]).numpy()  # -log(4 * 4): all pairs are equally likely
      array([-2.773], dtype=float32)
      >>> pixels.bits_per_dimension([[0, 3]]).numpy()
      array([2.], dtype=float32)

    See also: `tfpf.distributions.WholeColumns`, `tfpf.flows.variational_dequantization`.
    """

    __deepcopy__ = deep_copy

    def __init__(
        self,
        distribution: tfd.Distribution,
        num_values: int = 256,
        alpha: float = 0.05,
        dequantizer: tfb.Bijector | None = None,
        seed: int | None = None,
        noise: keras.Layer | None = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "dequantized",
    ) -> None:
        parameters = dict(locals())
        checked_distribution(distribution)
        if dequantizer is not None and not isinstance(dequantizer, tfb.Bijector):
            raise TypeError(
                f"`dequantizer` must be a TFP bijector. Received: dequantizer={dequantizer!r}"
            )
        if dequantizer is not None and distribution.event_shape.rank == 0:
            raise ValueError(
                "`dequantizer` must be None if events have no axes: it maps [x, e], joined along "
                f"the last axis. Received: dequantizer={dequantizer!r}"
            )
        self._num_values = _checks.integer_at_least(num_values, 2, "num_values")
        if alpha is not None and not 0 < _checks.positive_number(alpha, "alpha") < 0.5:
            raise ValueError(f"`alpha` must be in (0, 0.5), or None. Received: alpha={alpha}")
        parameters.update(noise=self._keep(distribution, seed, noise))
        self._dequantizer = dequantizer
        self._values = _values_bijector(num_values, alpha, distribution.dtype)
        super().__init__(
            dtype=tf.uint8 if num_values <= 256 else tf.int32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n{described(self)}"

    @property
    def distribution(self) -> tfd.Distribution:
        """The distribution of y."""
        return self._distribution

    @property
    def dequantizer(self) -> tfb.Bijector | None:
        """The bijector g, or `None`."""
        return self._dequantizer

    @property
    def num_values(self) -> int:
        """The number of values, K."""
        return self._num_values

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: Any = None) -> dict[str, Any]:
        return {
            "distribution": tfp.util.BatchedComponentProperties(),
            "dequantizer": tfp.util.BatchedComponentProperties(
                event_ndims=lambda self: self.event_shape.rank
            ),
        }

    def elbo(self, x: ArrayLike, num_samples: int = 1) -> tf.Tensor:
        """A lower bound of log P(x) in nats, `[...]`, from draws of u.

        Args:
          x: whole numbers `[..., *event_shape]`.
          num_samples: number of draws for each event, whose bounds are averaged.

        Raises:
          ValueError: if `x` has another shape; in eager mode, if values are not whole numbers from
            0 to K - 1.
        """
        num_samples = _checks.integer_at_least(num_samples, 1, "num_samples")
        x = _checks.not_symbolic(x, "x")
        x = tf.convert_to_tensor(x)
        rank = self.event_shape.rank
        _checks.event(x, self.event_shape, "x")
        if tf.executing_eagerly():
            self.check_values(x.numpy(), "x")
        x = tf.cast(x, self.density_dtype)
        axes = list(range(-rank, 0))
        is_value = (x >= 0.0) & (x <= self._num_values - 1.0) & (x == tf.floor(x))
        # Other values are clipped, so that they do not spoil the gradients of a batch.
        x = tf.clip_by_value(x, 0.0, self._num_values - 1.0)
        batch_shape = ps.shape(x)[: ps.rank(x) - rank]
        batch_shape = ps.broadcast_shape(batch_shape, self.batch_shape_tensor())
        shape = ps.concat([[num_samples], batch_shape, self.event_shape], axis=0)
        x = tf.broadcast_to(x, shape)
        u, log_q = self._draw(x, axes)
        v = x + u
        log_p = self._distribution.log_prob(self._values.inverse(v))
        log_p += self._values.inverse_log_det_jacobian(tf.identity(v), len(axes))
        bound = tf.reduce_mean(log_p - log_q, axis=0)
        return tf.where(tf.reduce_all(is_value, axis=axes), bound, -math.inf)

    def _with_noise(self, x: ArrayLike) -> tf.Tensor:
        """y of x + u, a point of `distribution`."""
        x = tf.cast(x, self.density_dtype)
        u, _ = self._draw(x, list(range(-self.event_shape.rank, 0)))
        return self._values.inverse(x + u)

    def bits_per_dimension(self, x: ArrayLike, num_samples: int = 1) -> tf.Tensor:
        """-elbo(x) / (D log 2), an upper bound of the bits that code one number, `[...]`."""
        nats = self.elbo(x, num_samples)
        return -nats / (self.event_shape.num_elements() * math.log(2.0))

    def check_values(self, x: np.ndarray, name: str) -> None:
        """Refuses an array whose values are not whole numbers from 0 to K - 1."""
        x = np.asarray(x)
        wrong = (x < 0) | (x > self._num_values - 1) | (x != np.floor(x))
        if wrong.any():
            raise ValueError(
                f"`{name}` must hold whole numbers from 0 to {self._num_values - 1} "
                f"(`num_values`). Received: {x[wrong][0]} among them"
            )

    def _draw(self, x: tf.Tensor, axes: list[int]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns u, and log q(u | x)."""
        u = self._noise(x)
        if self._dequantizer is None:
            return u, tf.zeros([], x.dtype)
        given = x / self._num_values - 0.5
        # log q(e), the logarithm of the derivative of the sigmoid.
        log_q = tf.math.log(u) + tf.math.log1p(-u)
        e = tf.math.log(u) - tf.math.log1p(-u)
        joined = tf.concat([given, e], axis=-1)
        out, log_det = forward_and_log_det(self._dequantizer, joined, len(axes))
        kept, e = tf.split(out, 2, axis=-1)
        if self.validate_args:
            message = "`dequantizer` must leave the first half of its last axis unchanged."
            same = tf.debugging.assert_equal(kept, given, message=message)
            with tf.control_dependencies([same]):
                e = tf.identity(e)
        log_slope = -softplus(e) - softplus(-e)
        log_q = tf.reduce_sum(log_q - log_slope, axis=axes) - log_det
        return tf.sigmoid(e), log_q

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError(
            f"`{self.name}` has a lower bound of log P(x), `elbo(x)`, but no `log_prob`. "
            "Received: a call of `log_prob`"
        )

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        v = self._values.forward(self._distribution.sample(n, seed=seed))
        return tf.cast(tf.clip_by_value(tf.floor(v), 0.0, self._num_values - 1.0), self.dtype)


def _values_bijector(num_values: int, alpha: float, dtype: tf.DType) -> tfb.Bijector:
    """The bijector from y to v."""
    if alpha is None:
        return tfb.Chain(
            [tfb.Scale(tf.constant(num_values, dtype)), tfb.Shift(tf.constant(0.5, dtype))]
        )
    beyond = num_values * alpha / (1.0 - 2.0 * alpha)
    return tfb.Sigmoid(tf.constant(-beyond, dtype), tf.constant(num_values + beyond, dtype))
