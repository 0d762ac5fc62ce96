"""The coupling bijector: one part of an event is transformed given the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb

from tfp_flows.bijectors.conditioned._conditioner_bijector import ConditionerBijector
from tfp_flows.bijectors.conditioned._coupling_mask import AxisMask, PixelMask, checked_mask, parts
from tfp_flows.bijectors.conditioned._transformer import check_class, check_shape
from tfp_flows.bijectors.flow_bijector import forward_and_log_det, inverse_and_log_det
from tfp_flows.bijectors.transformers.affine import Affine


class Coupling(ConditionerBijector):
    r"""$y_A = x_A, \quad y_B = \tau(x_B; h(y_A))$

    A coupling bijector: one part of an event stays, and the other is transformed given it.

    $\tau$ is any transformer. $\log |\det dy/dx|$ is the sum over B of $\log |d\tau/dx|$, in nats.
    With `identity_transformer` the part A is transformed too, by learned parameters of its own:
    $y_A = \tau_A(x_A; h_A)$.

    Shapes: `x` is `[..., D]` with D of at least two, an image `[..., H, W, C]`, or a time series
    `[..., T, C]`, as the mask says. `forward_min_event_ndims` is 1, 3 or 2. Domain: that of the
    transformer.

    Cost: one evaluation of the conditioner in each direction.

    A mask of an image selects channels or pixels. For channels, `[1, 1, C]`, the conditioner maps
    those of A, `[N, H, W, |A|]`, to `[N, H, W, |B| * P]`. For pixels, `[H, W, C]` or `[H, W, 1]`,
    such as a checkerboard, the conditioner maps the whole image, with zeros in B, to
    `[N, H, W, C * P]`. Only the numbers for B count. Masks of time series work in the same way:
    `[1, C]`, and `[T, C]` or `[T, 1]`.

    Source: Dinh, Krueger and Bengio (2015), NICE, arXiv:1410.8516; for images, Dinh, Sohl-Dickstein
    and Bengio (2017), RealNVP, arXiv:1605.08803, sec. 3.4; with splines, Durkan, Bekasov, Murray
    and Papamakarios (2019), arXiv:1906.04032.

    Args:
      conditioner: a built Keras layer, or any callable: `conditioner(x_A)`, or
        `conditioner(x_A, context=c)` (a functional model: `conditioner([x_A, c])`). Over `[N, |A|]`
        it returns `[N, |B|, P]` or `[N, |B| * P]`. For images see above, with C and P on two axes
        or on one.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      mask: which coordinates form A. For vectors: D booleans, `True` for A; or `"halves"` (the
        first half, rounded up; the default), `"alternate"` (those with an even index) or `"random"`
        (a half drawn with `seed`). For images and time series: an array of booleans `[H, W, C]` or
        `[T, C]`, where an axis of size 1 is repeated. For images also `"channels"` (the first half,
        rounded up), `"checkerboard"` (pixels with i + j even) or `"checkerboard_odd"`. A word is
        applied to the size of each input.
      invert_transformer: Python `bool`. If `True`, `x_B = tau(y_B; h(y_A))`. If the inverse of the
        transformer is a search, densities are then in closed form, and only samples need the
        search.
      identity_transformer: a class like `transformer`, or `None`. It needs a `mask` of booleans of
        the last axis.
      identity_transformer_kwargs: `dict` of its keywords.
      identity_params: `tf.Variable` `[|A|, P_A]`. If `None`, a variable of zeros is made.
      seed: Python `int`, the seed for the random mask.
      context: float `Tensor` `[..., C]`, bound to the conditioner (see `tfp_flows.condition`).
      context_size: C, or 0 if no context is taken; a tuple for contexts of several axes.
      dtype: float dtype; the default is that of the conditioner.
      raw_scale: positive `float`, a factor s on the raw numbers. The first step of Adam at a rate r
        moves all outputs of a network by about r n together, for n hidden units of size one.
        Recipes take s near $1 / \sqrt{n}$ if a transformer is sensitive to that, and give their
        networks `output_bias_scale=1 / s`, since a bias is one number and not a sum of n.
      validate_args: Python `bool`. If `True`, a Jacobian checks, when the bijector is made, that
        the conditioner computes each row on its own. This needs vectors and a mask of booleans.
      name: Python `str`.

    Raises:
      ValueError: if one part of the mask is empty, or the conditioner is not built or does not fit.
      TypeError: if the conditioner is not callable or the transformer lacks a method.

    Example:
      >>> import tfp_flows as tfpf
      >>> def conditioner(x_a):  # a location and a log-scale for one coordinate, given two
      ...     return x_a
      >>> coupling = tfpf.bijectors.Coupling(conditioner, tfpf.bijectors.Affine)
      >>> y, log_det = coupling.forward_and_log_det([0.5, 0.0, 2.0])
      >>> y.numpy()
      array([0.5, 0. , 2.5], dtype=float32)

    See also: `tfpf.flows.real_nvp`, `tfpf.flows.neural_spline`, `tfpf.bijectors.Autoregressive`.
    """

    def __init__(
        self,
        conditioner: Callable[..., tf.Tensor],
        transformer: type[tfb.Bijector] = Affine,
        transformer_kwargs: Mapping[str, Any] | None = None,
        mask: ArrayLike | None = None,
        invert_transformer: bool = False,
        identity_transformer: type[tfb.Bijector] | None = None,
        identity_transformer_kwargs: Mapping[str, Any] | None = None,
        identity_params: ArrayLike | None = None,
        seed: int | None = None,
        context: ArrayLike | None = None,
        context_size: int | Sequence[int] = 0,
        dtype: tf.DType | str | None = None,
        raw_scale: float = 1.0,
        validate_args: bool = False,
        name: str = "coupling",
    ) -> None:
        parameters = dict(locals())
        mask, event_ndims = checked_mask(mask)
        flat: Any = None if isinstance(mask, str) else parts(mask, None, None, name)
        if identity_transformer is not None and not isinstance(flat, AxisMask):
            raise ValueError(
                "`mask` must be booleans of the last axis when `identity_transformer` is given, "
                f"since they set the number of its parameters. Received: mask={mask!r}"
            )
        if identity_transformer is not None:
            check_class(identity_transformer, "identity_transformer")
        identity_transformer_kwargs = dict(identity_transformer_kwargs or {})
        if identity_transformer is not None and identity_params is None:
            shape = [flat.num_a, identity_transformer.params_size(**identity_transformer_kwargs)]
            start_dtype = dtype or getattr(conditioner, "variable_dtype", "float32")
            with tf.init_scope():
                identity_params = tf.Variable(tf.zeros(shape, start_dtype), name="identity_params")
        parameters.update(mask=mask, identity_params=identity_params)
        self._mask = self._no_dependency(mask)
        self._identity_transformer: Any = identity_transformer
        self._identity_transformer_kwargs = self._no_dependency(identity_transformer_kwargs)
        self._identity_params = identity_params
        self._seed, self._flat = seed, flat
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
                event_size=flat.size if isinstance(flat, AxisMask) else None,
                # The size of an image may be unknown, unless a word needs it to make the mask.
                known_event=isinstance(mask, str) or event_ndims == 1,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )
            if identity_transformer is not None:
                with tf.init_scope():
                    self._check_identity(flat.num_a)
            # The size of an image is not known yet.
            if flat is not None and event_ndims == 1:
                self._probe_conditioner(flat.num_a, len(mask) - flat.num_a)

    @property
    def mask(self) -> str | tuple[Any, ...]:
        """The mask as tuples of booleans, `True` for the part A, or as the word that was given."""
        return self._mask

    def _parts(self, x: tf.Tensor) -> AxisMask | PixelMask:
        if x.shape.rank is None or x.shape.rank < self._event_ndims:
            raise ValueError(
                f"`{self.name}` acts on events of {self._event_ndims} axes, like its mask. "
                f"Received: a tensor of shape {x.shape}"
            )
        return self._flat or parts(self._mask, x.shape, self._seed, self.name)

    def _identity(self) -> tfb.Bijector:
        return self._identity_transformer.new(
            tf.convert_to_tensor(self._identity_params), **self._identity_transformer_kwargs
        )

    def _check_identity(self, num_a: int) -> None:
        tau = self._identity()
        if self._context is None:  # a copy with a bound context has been checked already
            # One event tells: in batches numbers `[|A|, 1]` broadcast to the shape of A.
            x = tf.zeros([num_a], tau.dtype or self.dtype)
            y, _ = forward_and_log_det(tau, x, 0)
            check_shape(self._identity_transformer, self._identity_params, x.shape, y)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._map(x, is_forward=True)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._map(y, is_forward=False)

    def _map(self, x: tf.Tensor, is_forward: bool) -> tuple[tf.Tensor, tf.Tensor]:
        x = self._with_context(x)
        parts = self._parts(x)
        a, b = parts.split(x)
        mapped_a, log_det = a, 0.0
        if self._identity_transformer is not None:
            evaluate = forward_and_log_det if is_forward else inverse_and_log_det
            mapped_a, log_det_a = evaluate(self._identity(), a, 0)
            log_det = self._sum(log_det_a)
        y_a = mapped_a if is_forward else a
        # Zeros where nothing is transformed, since a tau that is not a map would spoil gradients.
        h = parts.of_b(self._raw(y_a, b.shape[-1]), trailing_axes=1)
        mapped_b, log_det_b = self._transformed(b, h, is_forward)
        return parts.join(mapped_a, mapped_b), log_det + self._sum(parts.of_b(log_det_b))

    def _sum(self, log_det: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(log_det, axis=list(range(-self._event_ndims, 0)))
