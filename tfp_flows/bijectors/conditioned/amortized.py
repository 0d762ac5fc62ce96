"""A bijector whose raw parameters a network computes from the context alone."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors._increasing import is_increasing
from tfp_flows.bijectors.conditioned._conditioner_bijector import ConditionerBijector
from tfp_flows.bijectors.conditioned._transformer import check_shape
from tfp_flows.bijectors.flow_bijector import forward_and_log_det, inverse_and_log_det
from tfp_flows.math._elementwise import clip_network_input


class Amortized(ConditionerBijector):
    """$y = f(x; h(c))$

    An amortized bijector: a network computes all raw parameters h of a bijector f from a context c.

    This is the role of the inference network in a variational autoencoder. f is a bijector of whole
    vectors (`Planar`, `Radial` or `Sylvester`) with P raw numbers. Or it is a transformer, with P
    numbers for each of D coordinates. `tfp_flows.condition` binds c. Domain and log-det, in nats,
    are those of f.

    Shapes: `x` is `[..., D]` and c is `[..., C]`. Their batch shapes broadcast.

    Cost: that of f, and one evaluation of the network for each context, however many samples share
    it.

    Source: Rezende and Mohamed (2015), arXiv:1505.05770, sec. 4.2; van den Berg et al. (2018),
    arXiv:1803.05649, sec. 3.2.

    Args:
      conditioner: a built Keras layer, or any callable, over `[N, C]`. It returns `[N, P]`, or
        `[N, D, P]` or `[N, D * P]` for a transformer.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords, such as `event_size`.
      params: `tf.Variable` or `Tensor` that is added to the outputs of the conditioner, with a last
        axis of P (or D * P), or `None`. If the network starts with zeros, h starts here.
      context: the bound context `[..., C]`, or `None`.
      context_size: C, at least one.
      dtype: float dtype; the default is that of the conditioner.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      ValueError: if the conditioner is not built or does not fit, or `context_size` is below one.
      TypeError: if the conditioner is not callable or the transformer lacks a method.

    Example:
      >>> import tfp_flows as tfpf
      >>> network = tfpf.layers.MLP(tfpf.bijectors.Planar.params_size(2), hidden_units=(8,))
      >>> network.build([None, 3])
      >>> amortized = tfpf.bijectors.Amortized(
      ...     network, tfpf.bijectors.Planar, {"event_size": 2}, context_size=3
      ... )
      >>> bound = tfpf.condition(amortized, [[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]])
      >>> bound.forward([0.5, 1.5]).shape  # one y for each of the two contexts
      TensorShape([2, 2])

    See also: `tfpf.condition`, `tfpf.flows.planar`, `tfpf.bijectors.Coupling`.
    """

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        transformer: type[tfb.Bijector],
        transformer_kwargs: Mapping[str, Any] | None = None,
        params: ArrayLike | None = None,
        context: ArrayLike | None = None,
        context_size: int = 1,
        dtype: tf.DType | str | None = None,
        validate_args: bool = False,
        name: str = "amortized",
    ) -> None:
        parameters = dict(locals())
        _checks.flat_context_size(context_size, 1)
        with tf.name_scope(name):
            super().__init__(
                conditioner=conditioner,
                transformer=transformer,
                transformer_kwargs=transformer_kwargs,
                context=context,
                context_size=context_size,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )
            dtype = self.dtype or tf.float32
            self._params = None if params is None else _checks.as_tensor(params, dtype, "params")
            with tf.init_scope():
                start = self._tau(tf.zeros([self._params_size], dtype))
                self._is_elementwise = start.forward_min_event_ndims == 0
                # A copy with a bound context has been checked already.
                if context is None and not self._is_elementwise:
                    self._check_raw_shape(conditioner(tf.zeros([2, context_size], dtype)), 1)
            if self._params is not None and not self._is_elementwise:
                _checks.last_axis(self._params, self._params_size, "params")

    @property
    def params(self) -> tf.Tensor | tf.Variable | None:
        """What is added to the outputs of the conditioner, or `None`."""
        return self._params

    def _numbers(self, x: tf.Tensor) -> tf.Tensor:
        """Returns h(c) for events of the size of x: `[..., P]`, or `[..., D, P]`."""
        self._check_is_bound()
        batch_shape = ps.shape(self._context)[:-1]
        num_outputs = x.shape[-1] if self._is_elementwise else 1
        context = clip_network_input(self._context, self._conditioner)
        h = self._conditioner(tf.reshape(context, [-1, self._context_size]))
        self._check_raw_shape(h, num_outputs)
        size = num_outputs * self._params_size
        h = tf.reshape(tf.cast(h, x.dtype), ps.concat([batch_shape, [size]], axis=0))
        if self._params is not None:
            _checks.last_axis(self._params, size, "params")
            h += self._params
        if self._is_elementwise:
            shape = ps.concat([ps.shape(h)[:-1], [num_outputs, self._params_size]], axis=0)
            h = tf.reshape(h, shape)
        return h

    def _is_increasing(self) -> bool | tf.Tensor:
        h = self._numbers(tf.zeros([1], self.dtype or tf.float32))
        return is_increasing(self._tau(h), 1)

    def _map(
        self, value_and_log_det: Callable[..., tuple[tf.Tensor, tf.Tensor]], x: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        h = self._numbers(x)
        y, log_det = value_and_log_det(self._tau(h), x, event_ndims=1 - self._is_elementwise)
        of_h = h.shape[:-1] if self._is_elementwise else h.shape[:-1] + x.shape[-1:]
        check_shape(self._transformer, h, tf.broadcast_static_shape(x.shape, of_h), y)
        return y, tf.reduce_sum(log_det, axis=-1) if self._is_elementwise else log_det

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._map(forward_and_log_det, x)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._map(inverse_and_log_det, y)
