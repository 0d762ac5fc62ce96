"""A normal distribution whose parameters a network computes from a context."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike, DTypeLike

from tfp_flows import _checks
from tfp_flows._lost_in_keras import LostDistribution
from tfp_flows._tree import deep_copy
from tfp_flows.bijectors._networks import check_network, dtype_of, layer_variables
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.bijectors.transformers.affine import Affine
from tfp_flows.distributions._one_dimension import OneDimension
from tfp_flows.distributions.philox_bases import PhiloxMultivariateNormalDiag

tfd = tfp.distributions


class ConditionalNormal(TakesContext, OneDimension, LostDistribution, tfd.Distribution):
    r"""$p(u | c) = \prod_i N(u_i; t_i, \exp(2 s_i)),\ (t, s) = \mathrm{conditioner}(c)$

    A normal distribution whose mean and scale a network computes from a context.

    Use it as a base that follows the context: pass it as `base=` to a recipe with the same
    `context_size`, and `tfpf.condition` binds c in both. A sample or a density evaluates the
    network once; `experimental_sample_and_log_prob` evaluates it once for both.

    The conditioner maps contexts `[N, C]` to two numbers for each coordinate, `[N, D, 2]`, or flat
    `[N, 2 D]` in that order. The first is t; with the second, a, $s = a / (1 + |a| / m)$, so that
    $|s| < m$. Zeros, with which the networks of this package start, give the standard normal.

    Args:
      conditioner: a callable, preferably a built Keras layer.
      event_size: D, a Python `int` of at least one.
      context_size: C, a Python `int` of at least one.
      max_log_scale: m, a positive number.
      context: float `Tensor` `[..., C]`, the bound context (see `tfpf.condition`).
      dtype: float dtype; by default that of a Keras layer, otherwise float32.
      validate_args: Python `bool`.
      allow_nan_stats: Python `bool`, as in TFP.
      name: Python `str`.

    Raises:
      TypeError: if `conditioner` is not callable, or a size is not an integer.
      ValueError: if the conditioner is not built or returns another number of parameters, a size is
        below one, or `max_log_scale` is not positive.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> network = tfpf.layers.MLP(2 * 2)  # t and s of two coordinates
      >>> network.build((None, 3))
      >>> base = tfpf.distributions.ConditionalNormal(network, event_size=2, context_size=3)
      >>> tfpf.condition(base, tf.zeros([3])).mean().numpy()
      array([0., 0.], dtype=float32)

    See also: `tfpf.condition`, `tfpf.distributions.mixture_of_gaussians`.
    """

    __deepcopy__ = deep_copy

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        event_size: int,
        context_size: int,
        max_log_scale: float = 5.0,
        context: ArrayLike | None = None,
        dtype: DTypeLike | tf.DType | None = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "conditional_normal",
    ) -> None:
        parameters = dict(locals())
        check_network(conditioner, "conditioner(context)", "conditioner")
        self._conditioner = conditioner
        self._conditioner_variables = layer_variables(conditioner)
        self._event_size = _checks.integer_at_least(event_size, 1, "event_size")
        self._max_log_scale = _checks.positive_number(max_log_scale, "max_log_scale")
        dtype = dtype_of(conditioner, dtype) or tf.float32
        _checks.flat_context_size(context_size, 1)
        self._bind_context(context, context_size, dtype, name)
        if context is None:
            # Finds a misfit when the distribution is created; a bound copy was checked before.
            with tf.init_scope():
                self._raw(tf.zeros([2, self._context_size], dtype))
        super().__init__(
            dtype=dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: Any = None) -> dict[str, Any]:
        # TFP's distributions do not inherit this method: their metaclass would hide it.
        return super()._parameter_properties(dtype, num_classes)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._event_size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._event_size], tf.int32)

    def _raw(self, rows: tf.Tensor) -> tf.Tensor:
        """The output of the conditioner for contexts `[N, C]`, as `[N, D, 2]`."""
        h = self._conditioner(rows)
        shape = tf.TensorShape(getattr(h, "shape", None))
        flat, pairs = (2 * self._event_size,), (self._event_size, 2)
        if not any(shape.is_compatible_with([rows.shape[0], *last]) for last in (flat, pairs)):
            raise ValueError(
                f"`conditioner` must return 2 numbers for each of {self._event_size} coordinates: "
                f"[N, {self._event_size}, 2] or [N, {2 * self._event_size}]. "
                f"Received: shape {shape}"
            )
        return tf.reshape(h, [-1, self._event_size, 2])

    def _normal(self) -> tfd.Distribution:
        """The distribution for the bound context."""
        self._check_is_bound()
        rows = self._context_rows(self._context_batch_shape(), self._conditioner)
        h = tf.cast(self._raw(rows), self.dtype)
        shape = tf.concat([tf.shape(self._context)[:-1], [self._event_size, 2]], axis=0)
        affine = Affine.new(tf.reshape(h, shape), max_log_scale=self._max_log_scale)
        return PhiloxMultivariateNormalDiag(affine.shift, tf.exp(affine.log_scale))

    def _log_prob(self, u: tf.Tensor) -> tf.Tensor:
        return self._normal().log_prob(u)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        return self._normal().sample(n, seed=seed)

    def _sample_and_log_prob(
        self, sample_shape: tf.Tensor, seed: Any, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._normal().experimental_sample_and_log_prob(sample_shape, seed=seed, **kwargs)

    def _mean(self) -> tf.Tensor:
        return self._normal().mean()

    def _mode(self) -> tf.Tensor:
        return self._normal().mode()

    def _variance(self) -> tf.Tensor:
        return self._normal().variance()

    def _stddev(self) -> tf.Tensor:
        return self._normal().stddev()

    def _entropy(self) -> tf.Tensor:
        return self._normal().entropy()
