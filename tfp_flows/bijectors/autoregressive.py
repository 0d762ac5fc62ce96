"""The autoregressive bijector: each coordinate is transformed given those before it."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import checks
from tfp_flows.bijectors.affine import Affine
from tfp_flows.bijectors.conditioned import Conditioned
from tfp_flows.bijectors.flow_bijector import forward_and_log_det, inverse_and_log_det
from tfp_flows.bijectors.inference_mode import inference_mode
from tfp_flows.math.jacobi import jacobi


class Autoregressive(Conditioned):
    """y_i = tau(x_i; h_i(y_<i)), with any transformer tau.

    `inverse` (data to base, the density) is parallel: one evaluation of the conditioner. `forward`
    (sampling) is sequential: coordinate by coordinate. A conditioner with a method `generate` does
    it at about the cost of one evaluation: `tfp_flows.layers.MADE`, two to three of them for D =
    63, with gradients as well, and `Recurrent`. Any other callable is evaluated D times. With
    `solver="jacobi"` all coordinates are computed at once, again and again until nothing changes:
    after D evaluations at most, and after far fewer where coordinates depend on few others or
    weakly. It is meant for machines on which an evaluation for all coordinates takes as long as for
    one; on a CPU the other is faster. It has first derivatives only.
    `tfb.Invert` swaps the two directions and turns MAF into IAF. `log |det dy/dx|` is the sum of
    `log |d tau / dx_i|`, in nats.

    Shapes: `x` is `[..., D]`. Domain: that of the transformer.

    Source: Papamakarios, Pavlakou and Murray (2017), MAF, arXiv:1705.07057; Kingma et al.
    (2016), IAF, arXiv:1606.04934; Jacobi's iteration: Song, Meng, Liao and Ermon (2021),
    arXiv:2002.03629.

    Args:
      conditioner: a built Keras layer, or any callable: `conditioner(y)`, or
        `conditioner(y, context=c)`, over `[N, D]` gives `[N, D, P]` or `[N, D * P]`, where the
        numbers for coordinate i depend only on those before it in `order`
        (see `tfp_flows.layers.MADE`).
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      order: a permutation of `range(D)`: `order[k]` is the coordinate that comes k-th. By
        default that of the conditioner if it has an attribute `order`, else the natural one.
      invert_transformer: Python `bool`. With it `x_i = tau(y_i; h_i(y_<i))`: a transformer whose
        inverse is a search then gives densities in closed form, and samples by the search.
      solver: of `forward`, "sequential" or "jacobi" (see `tfp_flows.math.jacobi`).
      context: float `Tensor` `[..., C]`, bound to the conditioner (see `tfp_flows.condition`).
      context_size: C, or 0 when no context is taken.
      dtype: float dtype; that of the conditioner by default.
      validate_args: Python `bool`. With it a Jacobian shows, when the bijector is made, that the
        conditioner keeps the order and computes each row on its own (D has to be known: by
        `order` or by the conditioner's).
      name: Python `str`.

    Raises:
      ValueError: if `order` is no permutation or not that of the conditioner, `solver` is
        unknown, or the conditioner is not built, does not fit, or (with `validate_args`) looks at
        what it must not.
      TypeError: if the conditioner is not callable or the transformer lacks a method.
    """

    def __init__(
        self,
        conditioner,
        transformer=Affine,
        transformer_kwargs=None,
        order=None,
        invert_transformer=False,
        solver="sequential",
        context=None,
        context_size=0,
        dtype=None,
        validate_args=False,
        name="autoregressive",
    ):
        parameters = dict(locals())
        own_order = getattr(conditioner, "order", None)
        if order is None:
            order = own_order
        if order is not None:
            order = checks.permutation(order, np.size(order), "order")
            if own_order is not None and tuple(own_order) != order:
                raise ValueError(
                    f"`order` must be that of the conditioner, {tuple(own_order)}. "
                    f"Received: order={order}"
                )
        parameters.update(order=order)
        self._order = self._no_dependency(order)
        self._solver = checks.one_of(solver, ("sequential", "jacobi"), "solver")
        with tf.name_scope(name):
            super().__init__(
                conditioner,
                transformer,
                transformer_kwargs,
                invert_transformer,
                context,
                context_size,
                dtype,
                validate_args,
                parameters,
                name,
            )
            if order is not None:
                position = np.argsort(order)
                before = position[np.newaxis, :] < position[:, np.newaxis]
                self._probe_conditioner(len(order), len(order), allowed=before)

    @property
    def order(self):
        """A permutation of `range(D)`, or `None` for the natural order of any D."""
        return self._order

    @property
    def solver(self):
        """How `forward` is computed."""
        return self._solver

    def _order_of(self, x):
        order = self._order or tuple(range(x.shape[-1]))
        checks.event_size(x, len(order), self.name)
        return order

    def _inverse_and_log_det(self, y):
        y = self._broadcast_with_context(y)
        tau = self._transform(self._raw(y, len(self._order_of(y))))
        x, log_det = inverse_and_log_det(tau, y)
        return x, tf.reduce_sum(log_det, axis=-1)

    def _transform_one(self, h_i, x_i):
        return forward_and_log_det(self._transform(h_i), x_i)

    def _forward_and_log_det(self, x):
        x = self._broadcast_with_context(x)
        order = self._order_of(x)
        size = len(order)
        if self._solver == "jacobi":
            return self._all_at_once(x, order)
        if hasattr(self._conditioner, "generate"):
            inputs, kwargs = self._rows(x)
            y, log_det = self._conditioner.generate(self._transform_one, inputs, **kwargs)
            return tf.reshape(y, ps.shape(x)), tf.reshape(log_det, ps.shape(x)[:-1])
        kwargs = self._in_inference()
        coordinates = tf.constant(order, tf.int32)

        def step(k, y, log_det):
            i = coordinates[k]
            h_i = tf.gather(self._raw(y, size, **kwargs), i, axis=-2)[..., tf.newaxis, :]
            y_i, log_det_i = self._transform_one(h_i, tf.gather(x, i, axis=-1)[..., tf.newaxis])
            # `where`, not a product: an infinite y_i must not make 0 * inf elsewhere.
            return k + 1, tf.where(tf.range(size) == i, y_i, y), log_det + log_det_i[..., 0]

        with inference_mode():
            _, y, log_det = tf.while_loop(
                lambda k, *_: k < size,
                step,
                (0, tf.zeros_like(x), tf.zeros_like(x[..., 0])),
                maximum_iterations=size,
            )
        return y, log_det

    def _all_at_once(self, x, order):
        kwargs = self._in_inference()

        def function(y):
            with inference_mode():
                tau = self._transform(self._raw(y, len(order), **kwargs))
            return forward_and_log_det(tau, x)

        y, log_det, _ = jacobi(function, x, np.argsort(order))
        return y, tf.reduce_sum(log_det, axis=-1)

    def _in_inference(self):
        # Dropout would draw another mask in each step, and no y would solve the equation.
        return {"training": False} if isinstance(self._conditioner, keras.Layer) else {}
