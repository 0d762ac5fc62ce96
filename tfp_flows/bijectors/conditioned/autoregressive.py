"""The autoregressive bijector: each coordinate is transformed given the coordinates before it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors._increasing import is_increasing
from tfp_flows.bijectors._inference_mode import inference_mode
from tfp_flows.bijectors.conditioned._conditioner_bijector import ConditionerBijector
from tfp_flows.bijectors.transformers.affine import Affine
from tfp_flows.math.solvers.jacobi import jacobi


class Autoregressive(ConditionerBijector):
    r"""$y_i = \tau(x_i; h_i(y_{<i}))$

    An autoregressive bijector: each coordinate is transformed given the ones before it.

    $\tau$ is any transformer. $\log |\det dy/dx| = \sum_i \log |d\tau/dx_i|$ in nats. With
    `event_ndims=2` the events are time series, $y_t = \tau(x_t; h_t(y_{<t}))$. Each channel of a
    step is transformed alone, given all channels of the steps before.

    Shapes: `x` is `[..., D]`, or `[..., T, C]`. Domain: that of the transformer.

    Cost: `inverse` (data to base, the density) is parallel, with one evaluation of the conditioner.
    `forward` (sampling) is sequential, with D evaluations. A conditioner with a method `generate`
    needs less. `tfp_flows.layers.MADE` samples at the cost of two to three evaluations for D = 63,
    with gradients as well; `Recurrent` takes about one. A causal `tfp_flows.layers.WaveNet` takes T
    steps. `tfb.Invert` swaps the two directions, and turns MAF into IAF.

    With `solver="jacobi"`, `forward` computes all coordinates at once, repeatedly until nothing
    changes. This takes at most D evaluations, and far fewer if coordinates depend on few
    others, or weakly. It pays on hardware where an evaluation for all coordinates is as fast as for
    one; on a CPU "sequential" is faster. It has first derivatives only.

    Source: Papamakarios, Pavlakou and Murray (2017), MAF, arXiv:1705.07057; Kingma et al. (2016),
    IAF, arXiv:1606.04934; for time series, van den Oord et al. (2017), Parallel WaveNet,
    arXiv:1711.10433; for Jacobi's iteration, Song, Meng, Liao and Ermon (2021), arXiv:2002.03629.

    Args:
      conditioner: a built Keras layer, or any callable: `conditioner(y)`, or
        `conditioner(y, context=c)` (a functional model: `conditioner([y, c])`). Over `[N, D]` it
        returns `[N, D, P]` or `[N, D * P]`. The numbers for coordinate i may depend only on the
        coordinates before it in `order` (see `tfp_flows.layers.MADE`). For time series, over
        `[N, T, C]`, it returns `[N, T, C, P]` or `[N, T, C * P]`.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      order: a permutation of `range(D)`: `order[k]` is the coordinate that comes k-th. By default
        `conditioner.order` if there is one, else the natural order.
      invert_transformer: Python `bool`. If `True`, `x_i = tau(y_i; h_i(y_<i))`. If the inverse of
        the transformer is a search, densities are then in closed form, and only samples need the
        search.
      solver: of `forward`, "sequential" or "jacobi" (see `tfp_flows.math.jacobi`).
      context: float `Tensor` `[..., C]`, bound to the conditioner (see `tfp_flows.condition`).
      context_size: C, or 0 if no context is taken; a tuple for contexts of several axes.
      dtype: float dtype; the default is that of the conditioner.
      event_ndims: 1 for vectors, 2 for time series, in the order of time.
      raw_scale: positive `float`, a factor s on the raw numbers. The first step of Adam at a rate r
        moves all outputs of a network by about r n together, for n hidden units of size one.
        Recipes take s near $1 / \sqrt{n}$ if a transformer is sensitive to that, and give their
        networks `output_bias_scale=1 / s`, since a bias is one number and not a sum of n.
      validate_args: Python `bool`. If `True`, a Jacobian checks, when the bijector is made, that
        the conditioner keeps the order and computes each row on its own. This needs vectors of
        known D, by `order` or by that of the conditioner.
      name: Python `str`.

    Raises:
      ValueError: if `order` is not a permutation or not that of the conditioner, `solver` is
        unknown, either is given for time series, or the conditioner is not built, does not fit, or
        (with `validate_args`) depends on what it must not see.
      TypeError: if the conditioner is not callable or the transformer lacks a method.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> made = tfpf.layers.MADE(3, tfpf.bijectors.Affine.params_size(), hidden_units=(8,))
      >>> made.build([None, 3])
      >>> autoregressive = tfpf.bijectors.Autoregressive(made, tfpf.bijectors.Affine)
      >>> x, log_det = autoregressive.inverse_and_log_det(tf.ones([5, 3]))
      >>> x.shape, log_det.shape
      (TensorShape([5, 3]), TensorShape([5]))

    See also: `tfpf.flows.maf`, `tfpf.flows.iaf`, `tfpf.bijectors.Coupling`.
    """

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        transformer: type[tfb.Bijector] = Affine,
        transformer_kwargs: Mapping[str, Any] | None = None,
        order: ArrayLike | None = None,
        invert_transformer: bool = False,
        solver: str = "sequential",
        context: ArrayLike | None = None,
        context_size: int | Sequence[int] = 0,
        dtype: tf.DType | str | None = None,
        event_ndims: int = 1,
        raw_scale: float = 1.0,
        validate_args: bool = False,
        name: str = "autoregressive",
    ) -> None:
        parameters = dict(locals())
        _checks.one_of(event_ndims, (1, 2), "event_ndims")
        own_order = getattr(conditioner, "order", None)
        if order is None:
            order = own_order
        if order is not None and event_ndims == 2:
            raise ValueError(
                "`order` must be `None` for time series, which are in the order of time. "
                f"Received: order={order}"
            )
        if solver == "jacobi" and event_ndims == 2:
            raise ValueError(
                f"`solver` must be 'sequential' for time series. Received: solver={solver!r}"
            )
        if order is not None:
            order = _checks.permutation(order, np.size(order), "order")
            if own_order is not None and tuple(own_order) != order:
                raise ValueError(
                    f"`order` must be that of the conditioner, {tuple(own_order)}. "
                    f"Received: order={order}"
                )
        parameters.update(order=order)
        self._order = self._no_dependency(order)
        self._solver = _checks.one_of(solver, ("sequential", "jacobi"), "solver")
        with tf.name_scope(name):
            super().__init__(
                conditioner,
                transformer,
                transformer_kwargs,
                invert_transformer=invert_transformer,
                raw_scale=raw_scale,
                context=context,
                context_size=context_size,
                event_ndims=event_ndims,
                event_size=None if order is None else len(order),
                known_event=True,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )
            if order is not None:
                position = np.argsort(order)
                before = position[np.newaxis, :] < position[:, np.newaxis]
                self._probe_conditioner(len(order), len(order), allowed=before)

    @property
    def order(self) -> tuple[int, ...] | None:
        """A permutation of `range(D)`, or `None` for the natural order of any D."""
        return self._order

    @property
    def solver(self) -> str:
        """How `forward` is computed, "sequential" or "jacobi"."""
        return self._solver

    def _order_of(self, x: tf.Tensor) -> tuple[int, ...]:
        return tuple(range(x.shape[-self._event_ndims])) if self._order is None else self._order

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        y = self._with_context(y)
        x, log_det = self._transformed(y, self._raw(y, y.shape[-1]), is_forward=False)
        return x, tf.reduce_sum(log_det, axis=list(range(-self._event_ndims, 0)))

    def _is_increasing(self) -> bool | tf.Tensor:
        if getattr(self._transformer, "_increases", None) is not None:  # needs no network
            return self._transformer._increases
        # The raw numbers of the first coordinate depend on no coordinate.
        x = self._with_context(tf.zeros([1] * self._event_ndims, self.dtype or tf.float32))
        return is_increasing(self._tau(self._raw(x, 1)), self._event_ndims)

    def _transform_one(self, h_i: tf.Tensor, x_i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._transformed(x_i, h_i, is_forward=True)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = self._with_context(x)
        order = self._order_of(x)
        if self._solver == "jacobi":
            return self._all_at_once(x, order)
        if hasattr(self._conditioner, "generate"):
            inputs, context = self._rows(x)
            y, log_det = self._conditioner.generate(self._transform_one, inputs, **context)
            batch_shape = ps.shape(x)[: -self._event_ndims]
            return tf.reshape(y, ps.shape(x)), tf.reshape(log_det, batch_shape)
        kwargs = self._in_inference()
        size, axis = len(order), -self._event_ndims
        coordinates = tf.constant(order, tf.int32)
        is_at = tf.reshape(tf.range(size), [size] + [1] * (self._event_ndims - 1))

        def step(
            k: tf.Tensor, y: tf.Tensor, log_det: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            i = coordinates[k]
            # The slice of one coordinate, or of the channels of one step.
            here = i[tf.newaxis]
            h_i = tf.gather(self._raw(y, y.shape[-1], **kwargs), here, axis=axis - 1)
            y_i, log_det_i = self._transform_one(h_i, tf.gather(x, here, axis=axis))
            # With a product instead of `where`, an infinite y_i would make 0 * inf elsewhere.
            y = tf.where(is_at == i, y_i, y)
            return k + 1, y, log_det + tf.reduce_sum(log_det_i, axis=list(range(axis, 0)))

        with inference_mode():
            _, y, log_det = tf.while_loop(
                lambda k, *_: k < size,
                step,
                (0, tf.zeros_like(x), tf.zeros_like(x[(..., *[0] * self._event_ndims)])),
                maximum_iterations=size,
            )
        return y, log_det

    def _all_at_once(self, x: tf.Tensor, order: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        kwargs = self._in_inference()

        def function(y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with inference_mode():
                h = self._raw(y, len(order), **kwargs)
            return self._transformed(x, h, is_forward=True)

        y, log_det, _ = jacobi(function, x, np.argsort(order))
        return y, tf.reduce_sum(log_det, axis=-1)

    def _in_inference(self) -> dict[str, bool]:
        # Dropout would draw a new mask in each step, and no y would solve the equation.
        return {"training": False} if isinstance(self._conditioner, keras.Layer) else {}
