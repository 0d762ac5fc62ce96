"""The base class of all bijectors here: value and log-det in one evaluation."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.bijectors import composition, invert
from tensorflow_probability.python.internal import dtype_util, tensor_util

from tfp_flows import _checks
from tfp_flows._lost_in_keras import LostInKeras
from tfp_flows._tree import deep_copy
from tfp_flows.bijectors._events import as_tensor, for_each_event, min_event_ndims
from tfp_flows.bijectors._increasing import SaysWhetherIncreasing
from tfp_flows.bijectors._pass_cache import PassCache
from tfp_flows.bijectors._watched import watched


class FlowBijector(SaysWhetherIncreasing, LostInKeras, tfb.Bijector):
    r"""$y = f(x), \quad \log |\det dy/dx|$

    The base class of all bijectors here, with value and log-det from one evaluation.

    A subclass implements `_forward_and_log_det(x)` and `_inverse_and_log_det(y)`, which return
    `(y, log |det dy/dx|)` and `(x, log |det dx/dy|)`. They get tensors of the bijector's dtype and
    declared event shape. The log-dets are those of events of `forward_min_event_ndims` dimensions:
    elementwise for 0, summed over the last axis for 1. TFP's four hooks are derived from the two. A
    density, or a sample with its density, evaluates each at most once (see `PassCache`).

    As in TFP, equal bijectors share a cache: `forward(x)` on the same tensor `x` returns the cached
    `y` while it is alive, even if variables have changed; `tf.identity(x)` forces a new evaluation.
    So in eager mode a bare `tfd.TransformedDistribution` gives its own sample the density of the
    time when it was drawn. Bijectors cannot prevent this: `tfb.Chain` has its own cache, and
    samplers need one to be fast. Use `tfp_flows.distributions.Flow`, which always evaluates anew.

    Args:
      event_size: the size of the last axis of x and y, or `None` for any.
      event_shape: the sizes of their last axes, `None` for any.
      known_event: Python `bool`. If `True`, the axes of an event must have static sizes.
      **kwargs: those of `tfb.Bijector`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> class Shift(tfpf.bijectors.FlowBijector):
      ...     def _forward_and_log_det(self, x): return x + 1.5, tf.zeros_like(x)
      ...     def _inverse_and_log_det(self, y): return y - 1.5, tf.zeros_like(y)
      >>> Shift(forward_min_event_ndims=0).inverse([3.0, 5.0]).numpy()
      array([1.5, 3.5], dtype=float32)
    """

    _cache = PassCache()
    _event_size: Any = None
    __deepcopy__ = deep_copy

    def __init__(
        self,
        *,
        event_size: int | None = None,
        event_shape: Sequence[int | None] | None = None,
        known_event: bool = False,
        **kwargs: Any,
    ) -> None:
        self._declared_size = event_size
        self._declared_shape = tf.TensorShape(event_shape) if event_shape else None
        self._declared_known = known_event
        if event_size is not None:
            self._event_size = event_size
        super().__init__(**kwargs)

    @abc.abstractmethod
    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(y, log |det dy/dx|)`."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(x, log |det dx/dy|)`."""

    def forward_and_log_det(
        self, x: ArrayLike, event_ndims: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(y, log |det dy/dx|)`: see `tfp_flows.bijectors.forward_and_log_det`."""
        return forward_and_log_det(self, x, event_ndims)

    def inverse_and_log_det(
        self, y: ArrayLike, event_ndims: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(x, log |det dx/dy|)`: see `tfp_flows.bijectors.inverse_and_log_det`."""
        return inverse_and_log_det(self, y, event_ndims)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        return {}

    def _keep(self, **tensors: Any) -> tf.DType:
        """Keeps parameters as `_name`, tensors of one float dtype or `None`; returns the dtype."""
        dtype = dtype_util.common_dtype(tensors.values(), dtype_hint=tf.float32)
        if not dtype.is_floating:
            raise TypeError(f"Parameters must be floating point. Received: dtype={dtype.name}")
        for name, value in tensors.items():
            if value is not None:  # a `tf.Variable` stays one, so that it gets a gradient
                value = tensor_util.convert_nonref_to_tensor(value, dtype=dtype, name=name)
            setattr(self, f"_{name}", value)
        return dtype

    def _checked(self, x: Any) -> tf.Tensor:
        """Returns `x` as a tensor of the dtype, and refuses an event of another shape."""
        x = as_tensor(x, self.dtype, self.name)
        shape, size, event, wanted = x.shape, self._declared_size, self._declared_shape, None
        if size is not None and (shape.rank == 0 or shape[-1] not in (None, size)):
            wanted = f"{size} dimensions"
        if event is not None and not _checks.has_event_shape(x, event):
            wanted = f"shape {tuple(event)}"
        if self._declared_known:
            ndims = self.forward_min_event_ndims
            if (shape.rank or 0) < ndims or not shape[shape.rank - ndims :].is_fully_defined():
                wanted = "one axis of known size" if ndims == 1 else f"{ndims} axes of known size"
        if wanted:
            kind = "images" if event is not None and len(event) == 3 else "events"
            raise ValueError(f"`{self.name}` acts on {kind} of {wanted}. Received: shape {shape}")
        return x

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        return self._forward_and_log_det(self._checked(x))[0]

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return self._forward_and_log_det(self._checked(x))[1]

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        return self._inverse_and_log_det(self._checked(y))[0]

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return self._inverse_and_log_det(self._checked(y))[1]

    def _remembered_forward(self, x: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        y, log_det = self._forward_and_log_det(self._checked(x))
        return y, {"ildj": -log_det}

    def _remembered_inverse(self, y: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        x, log_det = self._inverse_and_log_det(self._checked(y))
        return x, {"ildj": log_det}


def forward_and_log_det(
    bijector: tfb.Bijector, x: ArrayLike, event_ndims: Any = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `(y, log |det dy/dx|)` of any `tfb.Bijector`, in one evaluation of each part.

    Parts are those of `tfb.Chain`, `tfb.Blockwise`, `tfb.JointMap` and `tfb.Invert`, at any depth.
    One that is not a `FlowBijector` takes two calls. There is one log-det, in nats, for each event.

    Args:
      bijector: a `tfb.Bijector`.
      x: what converts to a `Tensor` of the bijector's dtype, `[..., *event]`.
      event_ndims: the number of trailing axes of `x` that make one event. The default and minimum
        is `bijector.forward_min_event_ndims`. For `tfb.JointMap` and the like, a structure.

    Raises:
      TypeError: if `event_ndims` is not an integer, or `x` is a tensor of another dtype.
      ValueError: if `event_ndims` is below the minimum, `x` has fewer axes, or a part refuses it.

    Example:
      >>> import tfp_flows as tfpf
      >>> affine = tfpf.bijectors.Affine(shift=1.0, log_scale=[0.5, 0.25])
      >>> y, log_det = tfpf.bijectors.forward_and_log_det(affine, [[0.0, 0.0]], event_ndims=1)
      >>> log_det.numpy()  # one number for each row
      array([0.75], dtype=float32)
    """
    return _checked_evaluation(bijector, x, event_ndims, True)


def inverse_and_log_det(
    bijector: tfb.Bijector, y: ArrayLike, event_ndims: Any = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `(x, log |det dx/dy|)` of any `tfb.Bijector`, in one evaluation of each part.

    It is like `forward_and_log_det`, in the other direction. The default of `event_ndims`, and the
    minimum, is `bijector.inverse_min_event_ndims`.

    Example:
      >>> import tfp_flows as tfpf
      >>> affine = tfpf.bijectors.Affine(shift=1.0, log_scale=[0.5, 0.25])
      >>> x, log_det = tfpf.bijectors.inverse_and_log_det(affine, [[1.0, 1.0]], event_ndims=1)
      >>> log_det.numpy()  # one number for each row
      array([-0.75], dtype=float32)
    """
    return _checked_evaluation(bijector, y, event_ndims, False)


def _checked_evaluation(
    bijector: tfb.Bijector, x: ArrayLike, event_ndims: Any, is_forward: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    if not isinstance(bijector, tfb.Bijector):
        raise TypeError(f"`bijector` must be a `tfb.Bijector`. Received: bijector={bijector!r}")
    minimum, ndims_after = min_event_ndims(bijector, is_forward)
    event_ndims = minimum if event_ndims is None else event_ndims
    if tf.nest.is_nested(minimum) or tf.nest.is_nested(ndims_after):
        return _evaluated(bijector, x, event_ndims, is_forward)
    if type(event_ndims) is not int or event_ndims < minimum:
        event_ndims = _checks.integer_at_least(event_ndims, minimum, "event_ndims")
    dtype = bijector.dtype
    if dtype is None:  # for example a chain, whose parts may still have one
        dtype = bijector.inverse_dtype() if is_forward else bijector.forward_dtype()
    x = as_tensor(x, dtype, bijector.name)
    if (x.shape.rank or event_ndims) < event_ndims:
        raise ValueError(
            f"`event_ndims` must be at most the number of axes, {x.shape.rank}. "
            f"Received: event_ndims={event_ndims}"
        )
    y, log_det = _evaluated(bijector, x, event_ndims, is_forward)
    return y, for_each_event(log_det, y, ndims_after + event_ndims - minimum)


@watched
def _evaluated(
    bijector: tfb.Bijector, x: Any, event_ndims: Any, is_forward: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    if isinstance(bijector, invert._Invert):
        return _evaluated(bijector.bijector, x, event_ndims, not is_forward)
    if isinstance(bijector, composition.Composition):
        log_dets = []

        def step(part: tfb.Bijector, x: Any, event_ndims: Any) -> tuple[Any, Any]:
            y, log_det = _evaluated(part, x, event_ndims, is_forward)
            log_dets.append(log_det)
            ndims = part.forward_event_ndims if is_forward else part.inverse_event_ndims
            return y, ndims(event_ndims)

        walk = bijector._call_walk_forward if is_forward else bijector._call_walk_inverse
        return walk(step, x, event_ndims)[0], sum(log_dets)
    # TFP runs the assertions of `validate_args` in its public methods only.
    if isinstance(bijector, FlowBijector) and not bijector.validate_args:
        x = bijector._checked(x)
        run = bijector._forward_and_log_det if is_forward else bijector._inverse_and_log_det
        y, log_det = run(x)
        minimum, ndims_after = min_event_ndims(bijector, is_forward)
        if event_ndims != minimum:
            further = list(range(minimum - event_ndims, 0))
            log_det = tf.reduce_sum(for_each_event(log_det, y, ndims_after), axis=further)
        return y, log_det
    if is_forward:
        y, log_det = bijector.forward(x), bijector.forward_log_det_jacobian(x, event_ndims)
    else:
        y, log_det = bijector.inverse(x), bijector.inverse_log_det_jacobian(x, event_ndims)
    # A part without a dtype returns a float32 zero.

    return y, tf.cast(log_det, tf.nest.flatten(y)[0].dtype)
