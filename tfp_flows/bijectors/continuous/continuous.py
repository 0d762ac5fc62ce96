"""The continuous bijector (FFJORD): the flow of a vector field over a time."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors._inference_mode import inference_mode
from tfp_flows.bijectors._networks import check_network, dtype_of, layer_variables
from tfp_flows.bijectors._skip_log_det import is_log_det_skipped
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.bijectors.continuous._ode_solver import OdeSolver
from tfp_flows.bijectors.continuous._probe_velocity import probe_velocity
from tfp_flows.bijectors.continuous.hutchinson_noise import HutchinsonNoise, checked_noise
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.math.ode.divergence import exact_divergence, hutchinson_divergence


class Continuous(TakesContext, FlowBijector):
    r"""$y = z(t_1), \quad dz/dt = f(t, z), \quad z(t_0) = x$

    A continuous flow (FFJORD): it moves points along a vector field f, from one time to another.

    $\log |\det dy/dx| = \int_{t_0}^{t_1} \text{tr}(df/dz) \, dt$ in nats, from the same solution. f
    is any callable `f(t, z)` or `f(t, z, context=c)`, preferably a built Keras layer such as
    `tfp_flows.layers.VectorField`. t is a scalar, z is `[N, D]`, c is `[N, C]`, and each row is
    computed on its own. Networks in f run in inference mode, since dropout would change f between
    evaluations. A field with a bounded slope gives a map onto all reals.

    An "exact" trace takes D derivatives of f at each evaluation. In training "hutchinson" estimates
    it without bias by one, with new noise in each step; otherwise the trace is exact as well.

    Cost: both directions solve the equation once. All rows share their steps. Without densities,
    samples of a `tfp_flows.distributions.Flow` leave the trace out. Errors: `rtol` and `atol` of
    "dormand_prince" hold for each step in each row. "rk4" is of fourth order in the size of its
    `num_steps` steps, and "euler" of first order. A row that is not finite, or not solved in
    `max_num_steps`, is NaN, or an error with `validate_args`.

    Gradients reach x, the context, the variables of f and all that f captures. "adjoint" solves an
    equation back in time, with constant memory, for first derivatives. They are NaN in a row that
    cannot be traced back (see `tfp_flows.math.adjoint`); few fixed steps often cannot. "direct"
    differentiates the steps, more than once too. Under XLA it keeps 2 `max_num_steps`: lower it.

    Source: Grathwohl et al. (2019), FFJORD, arXiv:1810.01367; Chen et al. (2018), arXiv:1806.07366.

    Args:
      field: f, a callable as above.
      event_size: D; by default `field.event_size`, else that of the first input.
      t0, t1: floats, the times of the base and of the data.
      solver: "dormand_prince" (adaptive), "rk4" or "euler" (fixed steps).
      num_steps: Python `int`, the number of fixed steps.
      rtol, atol: the relative and the absolute tolerance of adaptive steps.
      max_num_steps: Python `int`, the largest number of adaptive steps.
      trace: "exact" or "hutchinson".
      noise: "rademacher", "gaussian" or a `HutchinsonNoise`.
      gradient: "adjoint" or "direct".
      regularizer: `None`, or a `tfp_flows.layers.TransportRegularizer`.
      context: float `Tensor` `[..., C]`, bound (see `tfp_flows.condition`).
      context_size: C, or 0 if `field` takes no context; by default `field.context_size`.
      dtype: float dtype; that of a Keras layer by default.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if an argument is not callable, or has the wrong type.
      ValueError: if `field` is unbuilt or changes the shape of z, or a value is invalid.

    Example:
      >>> import tfp_flows as tfpf
      >>> decay = tfpf.bijectors.Continuous(lambda t, z: -z, solver="rk4")
      >>> decay.forward([1.0]).numpy()  # exp(-1)
      array([0.37], dtype=float32)

    See also: `tfpf.flows.ffjord`, `tfpf.layers.VectorField`, `tfpf.models.FlowMatching`.
    """

    _increases = True

    def __init__(
        self,
        field: Callable[..., tf.Tensor],
        event_size: int | None = None,
        t0: float = 0.0,
        t1: float = 1.0,
        solver: str = "dormand_prince",
        num_steps: int = 20,
        rtol: float = 1e-5,
        atol: float = 1e-5,
        max_num_steps: int = 1000,
        trace: str = "exact",
        noise: str | HutchinsonNoise = "rademacher",
        gradient: str = "adjoint",
        regularizer: Callable[..., Any] | None = None,
        context: ArrayLike | None = None,
        context_size: int | Sequence[int] | None = None,
        dtype: tf.DType | str | None = None,
        validate_args: bool = False,
        name: str = "continuous",
    ) -> None:
        parameters = dict(locals())
        check_network(field, "field(t, z) or field(t, z, context=c)", "field")
        event_size = getattr(field, "event_size", None) if event_size is None else event_size
        if event_size is not None:
            event_size = _checks.integer_at_least(event_size, 1, "event_size")
        context_size = getattr(field, "context_size", 0) if context_size is None else context_size
        dtype = dtype_of(field, dtype)
        self._bind_context(context, context_size, dtype, name)
        self._t0 = _checks.finite_number(t0, "t0")
        self._t1 = _checks.finite_number(t1, "t1")
        if self._t0 == self._t1:
            raise ValueError(f"`t0` and `t1` must differ. Received: t0={t0!r}, t1={t1!r}")
        self._solve = OdeSolver(solver, num_steps, rtol, atol, max_num_steps, gradient)
        self._trace = _checks.one_of(trace, ("exact", "hutchinson"), "trace")
        # A copy, or a bijector loaded from a file, continues with the same seeds.
        parameters["noise"] = noise = checked_noise(noise, trace)
        if regularizer is not None and not callable(regularizer):
            raise TypeError(
                f"`regularizer` must be callable. Received: regularizer={regularizer!r}"
            )
        self._field, self._noise, self._regularizer = field, noise, regularizer
        self._layer_variables = layer_variables(field, noise, regularizer)
        super().__init__(
            event_size=event_size,
            known_event=True,
            forward_min_event_ndims=1,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
        # TensorFlow would count the traces of a bare method over all copies together, and warn.
        graph = tf.function(functools.partial(self._integrate), autograph=False, jit_compile=False)
        self._kept_graph = self._no_dependency([graph])
        if context is None and event_size is not None:
            # Find a misfit now. A copy with a bound context has been probed already.
            probe_velocity(self.velocity, self._t0, event_size, self.context_shape, self.dtype)

    @property
    def field(self) -> Callable[..., tf.Tensor]:
        """The vector field f."""
        return self._field

    @property
    def event_size(self) -> int | None:
        """D, or `None` if it is not known."""
        return self._event_size

    @property
    def t0(self) -> float:
        """The time of the base."""
        return self._t0

    @property
    def t1(self) -> float:
        """The time of the data."""
        return self._t1

    def velocity(
        self, t: tf.Tensor, z: tf.Tensor, context: tf.Tensor | None = None, **kwargs: Any
    ) -> tf.Tensor:
        """Returns f(t, z), or f(t, z, context=c), and refuses an output of another shape than `z`.

        `t` is a scalar, or `[N, 1]` if the field takes it. A field that takes no context ignores
        `context`. Keywords such as `training` go to a field that is a Keras layer.
        """
        kwargs = kwargs if isinstance(self._field, keras.Layer) else {}
        if self._context_size:
            kwargs["context"] = context
        f = tf.convert_to_tensor(self._field(t, z, **kwargs))
        if f.shape.rank != 2 or not f.shape.is_compatible_with(z.shape):
            raise ValueError(
                f"`field` of `{self.name}` must return a velocity of the shape of z, "
                f"{tuple(z.shape)}. Received: shape {tuple(f.shape)}"
            )
        return tf.cast(f, z.dtype)

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        return self._flow(x, self._t0, self._t1, with_log_det=False)

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        return self._flow(y, self._t1, self._t0, with_log_det=False)

    def _remembered_forward(self, x: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return (self._forward(x), {}) if is_log_det_skipped() else super()._remembered_forward(x)

    def _remembered_inverse(self, y: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return (self._inverse(y), {}) if is_log_det_skipped() else super()._remembered_inverse(y)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._flow(x, self._t0, self._t1)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._flow(y, self._t1, self._t0)

    def _flow(self, x: tf.Tensor, start: float, stop: float, with_log_det: bool = True) -> Any:
        """Returns z(stop) for z(start) = x, and the integral of the trace."""
        rows, context, shape = self._rows(x)
        noise = self._noise(rows) if with_log_det and self._trace == "hutchinson" else None
        # In eager mode the loops would be traced in every call, so the graph is kept. But a kept
        # graph of a bare function would miss changes in the variables that it closes over.
        is_kept = tf.executing_eagerly() and isinstance(self._field, keras.Layer)
        integrate = self._kept_graph[0] if is_kept else self._integrate
        with inference_mode():
            z, integrals = integrate(rows, context, noise, start, stop, with_log_det)
        z = tf.reshape(z, shape)
        if self.validate_args:
            z = tf.debugging.assert_all_finite(z, f"`{self.name}` was not solved for some rows.")
        if not with_log_det:
            return z
        if self._regularizer is not None:
            sign = 1.0 if stop > start else -1.0  # positive, whichever way time goes
            self._regularizer(sign * integrals[:, 1], sign * integrals[:, 2])
        return z, tf.reshape(integrals[:, 0], shape[:-1])

    def _integrate(
        self,
        rows: tf.Tensor,
        context: tf.Tensor | None,
        noise: tf.Tensor | None,
        start: float,
        stop: float,
        with_log_det: bool,
    ) -> tuple[tf.Tensor, Any]:
        """Returns z(stop) `[N, D]`, and integrals `[N, K]` of the trace and regularized terms."""
        velocity = functools.partial(self.velocity, context=context, training=False)

        def slopes(t: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
            if not with_log_det:
                return velocity(t, z), None
            if noise is None:
                f, trace, square = exact_divergence(velocity, t, z)
            else:
                f, trace, square = hutchinson_divergence(velocity, t, z, noise)
            integrands = [trace]
            if self._regularizer is not None:
                integrands += [tf.reduce_sum(f**2, axis=-1), square]
            return f, tf.stack(integrands, axis=-1)

        return self._solve(slopes, rows, start, stop, () if noise is None else (noise,))

    def _rows(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None, Any]:
        """Returns `x` and the context as rows, `[N, D]` and `[N, C]`, and the shape of `x`."""
        x = self._broadcast_with_context(self._checked(x))
        shape = ps.shape(x)
        return tf.reshape(x, [-1, x.shape[-1]]), self._context_rows(shape[:-1]), shape
