"""The base of coupling and autoregressive bijectors: a conditioner, a transformer, a context."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors._moved_weights import moved
from tfp_flows.bijectors._networks import (
    check_network_inputs,
    dtype_of,
    layer_variables,
    network_with_context,
)
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.bijectors.conditioned._transformer import check_class, check_shape
from tfp_flows.bijectors.flow_bijector import (
    FlowBijector,
    forward_and_log_det,
    inverse_and_log_det,
)
from tfp_flows.math._elementwise import clip_network_input


class ConditionerBijector(TakesContext, FlowBijector):
    r"""$y_i = \tau(x_i; h_i)$, where h are the outputs of a conditioner.

    The conditioner is any callable, `conditioner(x)` or `conditioner(x, context=c)`, over `[N, D]`
    (and `[N, C]`). It returns P raw numbers for each coordinate: `[N, D, P]`, or flat `[N, D * P]`
    in that order. The transformer is a class with `params_size(**kwargs)`, which returns P, and
    `new(params, **kwargs)`, which makes an elementwise bijector.

    With `event_ndims=3` the events are images: rows are `[N, H, W, C]`, and D is the number of
    channels, C, of each pixel. With `event_ndims=2` they are time series, `[N, T, C]`, and D is the
    number of channels of each step.

    Inputs of the conditioner are clipped to the square root of the dtype's largest number, so that
    no product in a network overflows (see `clip_network_input`).
    """

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        transformer: type[tfb.Bijector],
        transformer_kwargs: Mapping[str, Any] | None,
        *,
        context: ArrayLike | None,
        context_size: int | Sequence[int],
        dtype: tf.DType | str | None,
        invert_transformer: bool = False,
        raw_scale: float = 1.0,
        event_ndims: int = 1,
        **kwargs: Any,
    ) -> None:
        check_network_inputs(conditioner, "conditioner", bool(context_size))
        check_class(transformer, "transformer")
        self._conditioner = conditioner
        self._conditioner_call = network_with_context(conditioner) if context_size else conditioner
        self._event_ndims = event_ndims
        self._conditioner_variables = layer_variables(conditioner)
        self._transformer = transformer
        self._transformer_kwargs = self._no_dependency(dict(transformer_kwargs or {}))
        self._invert_transformer = invert_transformer
        self._raw_scale = _checks.positive_number(raw_scale, "raw_scale")
        try:
            self._params_size = transformer.params_size(**self._transformer_kwargs)
        except TypeError as error:
            raise TypeError(
                f"`transformer_kwargs` must be keywords of `{transformer.__name__}`: {error}. "
                f"Received: transformer_kwargs={transformer_kwargs!r}"
            ) from error
        dtype = dtype_of(conditioner, dtype)
        if context is None:
            # Check the keywords now. Those of a copy with a bound context have been checked.
            with tf.init_scope():
                self._tau(tf.zeros([1, self._params_size], dtype or tf.float32))
        self._bind_context(context, context_size, dtype, kwargs["name"])
        super().__init__(forward_min_event_ndims=event_ndims, dtype=dtype, **kwargs)

    @property
    def conditioner(self) -> Callable[..., tf.Tensor]:
        """The callable that maps inputs (and context) to raw parameters."""
        return self._conditioner

    @property
    def transformer(self) -> type[tfb.Bijector]:
        """The class of the elementwise bijector."""
        return self._transformer

    @property
    def transformer_kwargs(self) -> dict[str, Any]:
        """The keywords of the transformer's `params_size` and `new`."""
        return dict(self._transformer_kwargs)

    @property
    def invert_transformer(self) -> bool:
        """Whether tau is the inverse of what the transformer calls `forward`."""
        return self._invert_transformer

    @property
    def raw_scale(self) -> float:
        """The factor on the outputs of the conditioner before the transformer gets them."""
        return self._raw_scale

    def _probe_conditioner(
        self, num_inputs: int, num_outputs: int, allowed: np.ndarray | None = None
    ) -> None:
        """Runs the conditioner once, to find a misfit when the bijector is made.

        With `validate_args`, in eager mode, this also checks its Jacobian. Each row must be
        computed on its own, and h_i may depend on input j only if `allowed[i, j]`. A bijector with
        a bound context is a copy of one that has been probed already.
        """
        if self._context is not None:
            return
        dtype = self.dtype or tf.float32
        rows = np.random.default_rng(0).normal(size=[2, num_inputs])

        def raw(inputs: tf.Tensor) -> tf.Tensor:
            kwargs = {}
            if self._context_size:
                kwargs["context"] = tf.zeros([2, *self.context_shape], dtype)
            h = self._conditioner_call(inputs, **kwargs)
            self._check_raw_shape(h, num_outputs)
            return tf.reshape(h, [2, num_outputs, self._params_size])

        if not (self.validate_args and tf.executing_eagerly()):
            with tf.init_scope():
                raw(tf.constant(rows, dtype))
            return
        # There is no init_scope here, since no tape records in it. The weights are moved, since a
        # last layer of zeros would hide the dependence on the inputs.
        inputs = tf.constant(rows, dtype)
        with moved(self._conditioner_variables), tf.GradientTape() as tape:
            tape.watch(inputs)
            h = raw(inputs)
        jacobian = tape.jacobian(h, inputs, unconnected_gradients="zero")
        depends = np.any(jacobian.numpy() != 0, axis=2)  # [row, i, row, j]
        if depends[0, :, 1].any() or depends[1, :, 0].any():
            raise ValueError(
                "`conditioner` must compute each row on its own. Received: a conditioner of "
                f"`{self.name}` whose numbers for one row depend on another"
            )
        forbidden = depends[0, :, 0] & ~(np.True_ if allowed is None else allowed)
        if forbidden.any():
            i, j = np.argwhere(forbidden)[0]
            raise ValueError(
                "`conditioner` must be autoregressive: the numbers for a coordinate may depend "
                "only on those before it in `order`. Received: a conditioner of "
                f"`{self.name}` whose numbers for coordinate {i} depend on coordinate {j}"
            )

    def _check_raw_shape(
        self, outputs: Any, num_outputs: int, image_shape: Sequence[int] = ()
    ) -> None:
        shape = tf.TensorShape(getattr(outputs, "shape", None))
        flat, pairs = [num_outputs * self._params_size], [num_outputs, self._params_size]
        fits = any(shape.is_compatible_with([None, *image_shape, *last]) for last in (flat, pairs))
        if not fits:
            pixels = "".join(f"{size}, " for size in image_shape)
            raise ValueError(
                f"`conditioner` of `{self.name}` must give {self._params_size} numbers "
                f"(`{self._transformer.__name__}.params_size`) for each of {num_outputs} "
                f"coordinates: [N, {pixels}{num_outputs}, {self._params_size}] or "
                f"[N, {pixels}{num_outputs * self._params_size}]. Received: shape {shape}"
            )

    def _rows(self, x: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor | None]]:
        """Returns `x` as `[N, D]`, and the keyword `context`, `[N, C]`, if a context is taken.

        Networks get `[N, D]`, or `[N, H, W, C]` for images, whatever the rank of `x` is. Keras's
        `Dense` refuses vectors, and a functional model refuses any rank but its own.
        """
        shape, event_ndims = ps.shape(x), self._event_ndims
        inputs = tf.reshape(x, ps.concat([[-1], shape[-event_ndims:]], axis=0))
        if not self._context_size:
            return inputs, {}
        return inputs, {"context": self._context_rows(shape[:-event_ndims], self._conditioner)}

    def _with_context(self, x: tf.Tensor) -> tf.Tensor:
        """Broadcasts `x` with the batch shape of the bound context."""
        return self._broadcast_with_context(x, self._event_ndims) if self._context_size else x

    def _raw(self, x: tf.Tensor, num_outputs: int, **kwargs: Any) -> tf.Tensor:
        """Returns h, `[..., D, P]`, where `num_outputs` is D and `x` has the full batch shape.

        For images h is `[..., H, W, D, P]`.
        """
        inputs, context = self._rows(x)
        h = self._conditioner_call(
            clip_network_input(inputs, self._conditioner), **context, **kwargs
        )
        self._check_raw_shape(h, num_outputs, x.shape[-self._event_ndims : -1])
        h = tf.cast(h, x.dtype)
        shape = ps.concat([ps.shape(x)[:-1], [num_outputs, self._params_size]], axis=0)
        return tf.reshape(h, shape)

    def _tau(self, h: tf.Tensor) -> tfb.Bijector:
        if self._raw_scale != 1.0:
            h = self._raw_scale * h
        return self._transformer.new(h, **self._transformer_kwargs)

    def _transformed(
        self, x: tf.Tensor, h: tf.Tensor, is_forward: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns tau(x; h), or its inverse, and the log-det of each element."""
        is_inverse = is_forward == bool(self._invert_transformer)
        evaluate = inverse_and_log_det if is_inverse else forward_and_log_det
        y, log_det = evaluate(self._tau(h), x, 0)
        check_shape(self._transformer, h, x.shape, y)
        return y, log_det
