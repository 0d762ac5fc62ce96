"""The residual bijector: the identity plus a contraction."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors._networks import (
    check_network_inputs,
    dtype_of,
    layer_variables,
    network_with_context,
    row_shapes,
)
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.residual._residual_log_det import ResidualLogDet
from tfp_flows.math.solvers.fixed_point import fixed_point


class Residual(TakesContext, FlowBijector):
    r"""$y = x + g(x), \quad |g(a) - g(b)| \le k |a - b|, \quad k < 1$

    A residual flow: the identity plus a contraction g.

    $\log |\det dy/dx| = \log \det(I + J)$ with J = dg/dx, in nats, is computed

    - in training as `log_det` says. Keras's call context decides about training, as for dropout.
      "exact" takes D gradients of g. "power_series" stops after n terms, with a bias of up to
      $D k^{n+1} / ((n + 1)(1 - k))$. "russian_roulette" is unbiased, and always computes its first
      n terms. The last two draw new signs for the traces in each call. They have first derivatives
      only, whose memory does not grow with the number of terms (see
      `tfp_flows.math.power_series_log_det`).
    - in inference, as in a plain `flow.log_prob`, exactly if D is at most `max_exact_size`, or if
      `log_det` is "exact". Otherwise it is a power series with a bias of at most `tolerance` nats
      for each dimension. Its signs are fixed, so it is deterministic. The standard error for one
      point is at most $\sqrt{2 / n} \, |\log(I + J)|_F$ with n = `num_samples`.

    `forward` and `inverse` give opposite log-dets only if these are exact.

    Shapes: `x` is `[..., D]`, or `[..., H, W, channels]` with `event_ndims=3`. Domain: all reals,
    onto all reals.

    Cost: `forward` evaluates g once, besides the log-det. `inverse` iterates
    $x \leftarrow y - g(x)$, with gradients by the implicit function theorem. It takes about 15 /
    log(1 / k) evaluations of g in float32 and 36 / log(1 / k) in float64. It stops after at most
    twice as many, with NaN. For fast densities use `tfb.Invert(Residual(...))`, as the papers do.

    Source: Behrmann et al. (2019), Invertible residual networks, arXiv:1811.00995; Chen et al.
    (2019), Residual flows for invertible generative modeling, arXiv:1906.02735.

    Args:
      network: g, a built Keras layer or any callable, `network(x)` or `network(x, context=c)` (a
        functional model: `network([x, c])`). It maps `[N, D]`, or images, to the same shape, each
        row on its own. See `tfp_flows.layers.LipschitzMLP` and `LipschitzConvNet`. If it has a
        method `prepared()` that returns such a callable, this is called once for all evaluations of
        a pass.
      log_det: "exact", "power_series" or "russian_roulette".
      coefficient: k, a bound that must hold for g. The default is `network.coefficient`. It sets
        the numbers of terms and iterations.
      num_terms: n, by default 8 for the power series and 2 for the roulette.
      survival: the probability that the roulette goes on to each further term. The default is the
        larger of $k^{1.5}$ and 0.5, with a finite variance for every g. Chen et al. take 0.5.
      num_samples: how many draws of signs are averaged; each costs as much as a row.
      tolerance: of the bias in inference, in nats for each dimension.
      max_exact_size: the largest D for which inference replaces a series by the exact log-det.
      event_ndims: 1 for vectors, 3 for images.
      context: float `Tensor` `[..., C]`, bound to the network (see `tfp_flows.condition`).
      context_size: C, or 0 if no context is taken.
      seed: Python `int`, the seed for the draws in training.
      estimator: the layer that computes log-dets, made from the arguments above; copies share it.
      dtype: float dtype; the default is that of the network.
      validate_args: Python `bool`. If `True`, an inverse that does not converge is an error.
        Otherwise it is NaN. Whether g is a contraction is not checked.
      name: Python `str`.

    Raises:
      TypeError: if `network` is not callable, or an argument has the wrong type.
      ValueError: if `network` is not built or changes the shape of x, an argument is out of range,
        or the log-det is a series and the coefficient is not known.

    Example:
      >>> import tfp_flows as tfpf
      >>> residual = tfpf.bijectors.Residual(lambda x: 0.5 * x, coefficient=0.5)
      >>> y, log_det = residual.forward_and_log_det([1.5, 2.5])
      >>> y.numpy()
      array([2.25, 3.75], dtype=float32)
      >>> float(log_det)  # 2 log(1.5)
      0.81

    See also: `tfpf.flows.iresnet`, `tfpf.flows.residual`, `tfpf.layers.LipschitzMLP`.
    """

    _increases = True

    def __init__(
        self,
        network: Callable[..., tf.Tensor],
        log_det: str = "exact",
        coefficient: float | None = None,
        num_terms: int | None = None,
        survival: float | None = None,
        num_samples: int = 1,
        tolerance: float = 1e-3,
        max_exact_size: int = 64,
        event_ndims: int = 1,
        context: ArrayLike | None = None,
        context_size: int | Sequence[int] = 0,
        seed: int | None = None,
        estimator: ResidualLogDet | None = None,
        dtype: tf.DType | str | None = None,
        validate_args: bool = False,
        name: str = "residual",
    ) -> None:
        parameters = dict(locals())
        check_network_inputs(network, "network", bool(context_size))
        shapes = row_shapes(network)
        if shapes is not None and shapes[0] != shapes[1]:
            raise ValueError(
                f"`network` must give the shape of x, {shapes[0]}, for each row. "
                f"Received: a network that gives {shapes[1]}"
            )
        coefficient = getattr(network, "coefficient", None) if coefficient is None else coefficient
        self._event_ndims = _checks.one_of(event_ndims, (1, 3), "event_ndims")
        dtype = dtype_of(network, dtype)
        self._bind_context(context, context_size, dtype, name)
        with tf.name_scope(name), tf.init_scope():
            if estimator is None:
                estimator = ResidualLogDet(
                    log_det,
                    coefficient,
                    num_terms,
                    survival,
                    num_samples,
                    tolerance,
                    max_exact_size,
                    seed,
                    name=f"{name}_log_det",
                )
        # The layer holds the state of the seeds, which copies share.
        parameters.update(estimator=estimator)
        self._network, self._estimator = network, estimator
        self._layer_variables = layer_variables(network, estimator)
        super().__init__(
            event_shape=shapes and shapes[0],
            known_event=True,
            forward_min_event_ndims=event_ndims,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def network(self) -> Callable[..., tf.Tensor]:
        """The network g."""
        return self._network

    @property
    def coefficient(self) -> float | None:
        """The bound k on the Lipschitz constant of g, or `None` if it is not known."""
        return self._estimator.coefficient

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows, bound, shape = self._rows(x)
        g, log_det = self._estimator(rows, bound=bound)
        return tf.reshape(rows + g, shape), tf.reshape(log_det, shape[: -self._event_ndims])

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows, bound, shape = self._rows(y)
        g = bound(1)
        # Further out g is constant (see `_rows`), and the iteration would overflow.
        near = tf.clip_by_value(rows, 0.5 * rows.dtype.min, 0.5 * rows.dtype.max)
        solution = fixed_point(
            lambda z: near - g(z), near, max_iterations=self._max_iterations(rows.dtype)
        )
        x, found = solution.point, solution.converged
        if self.validate_args:
            x = tf.debugging.assert_all_finite(
                x, f"`{self.name}` found no x for some y: the network is no contraction there."
            )
        # A NaN would spoil the gradients of the network, which all rows share.
        safe = tf.where(found[:, tf.newaxis], x, tf.zeros_like(x))
        _, log_det = self._estimator(safe, bound=bound)
        log_det = tf.where(found, log_det, tf.constant(np.nan, log_det.dtype))
        x += rows - near
        return tf.reshape(x, shape), tf.reshape(-log_det, shape[: -self._event_ndims])

    def _max_iterations(self, dtype: tf.DType) -> int:
        if self.coefficient is None:
            return 1000
        # Enough for a start whose error is a million times the size of x.
        digits = math.log(1e6) - math.log(ml_dtypes.finfo(dtype.as_numpy_dtype).eps)
        return math.ceil(digits / -math.log(self.coefficient))

    def _rows(
        self, x: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[int], Callable[[tf.Tensor], tf.Tensor]], Any]:
        """Returns `x` as `[N, D]`, a function from m to g of m copies of the rows, and a shape."""
        event_ndims = self._event_ndims
        event_shape = x.shape[-event_ndims:]
        x = self._broadcast_with_context(x, event_ndims)
        shape = ps.shape(x)
        context = self._context_rows(shape[:-event_ndims], self._network)
        network = self._network.prepared() if hasattr(self._network, "prepared") else self._network
        size = event_shape.num_elements()
        if context is not None:
            network = network_with_context(network)

        def bound(copies: int) -> Callable[[tf.Tensor], tf.Tensor]:
            kwargs = {}
            if context is not None:
                multiples = [copies] + [1] * (context.shape.rank - 1)
                kwargs["context"] = tf.tile(context, multiples)

            def function(rows: tf.Tensor) -> tf.Tensor:
                # Clipping x keeps g a contraction, and keeps its sums finite.
                limit = 2.0**-12 * rows.dtype.max
                rows = tf.clip_by_value(rows, -limit, limit)
                g = network(tf.reshape(rows, [-1, *event_shape]), **kwargs)
                if not g.shape[1:].is_compatible_with(event_shape):
                    raise ValueError(
                        f"`network` of `{self.name}` must give the shape of x, {event_shape}, "
                        f"for each row. Received: a tensor of shape {g.shape}"
                    )
                return tf.cast(tf.reshape(g, [-1, size]), rows.dtype)

            return function

        return tf.reshape(x, [-1, size]), bound, shape
