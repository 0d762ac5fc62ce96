"""The coupling bijector: one part of the vector is transformed given the other."""

import numpy as np
import tensorflow as tf

from tfp_flows import checks
from tfp_flows.bijectors.affine import Affine
from tfp_flows.bijectors.conditioned import Conditioned
from tfp_flows.bijectors.flow_bijector import forward_and_log_det, inverse_and_log_det


class Coupling(Conditioned):
    """y_A = x_A,  y_B = tau(x_B; h(y_A)), with any transformer tau.

    Both directions cost one evaluation of the conditioner. `log |det dy/dx|` is the sum over B
    of `log |d tau / dx|`, in nats. With `identity_transformer` the identity half A is
    transformed too, by learned parameters of its own: `y_A = tau_A(x_A; h_A)`.

    Shapes: `x` is `[..., D]` with D of at least two. Domain: that of the transformer.

    Source: Dinh, Krueger and Bengio (2015), NICE, arXiv:1410.8516; with splines, Durkan,
    Bekasov, Murray and Papamakarios (2019), arXiv:1906.04032.

    Args:
      conditioner: a built Keras layer, or any callable: `conditioner(x_A)`, or
        `conditioner(x_A, context=c)`, over `[N, |A|]` gives `[N, |B|, P]` or `[N, |B| * P]`.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      mask: which coordinates form A: a sequence of D booleans, `True` for A; or `"halves"`
        (the first half, rounded up; also `None`), `"alternate"` (even ones), `"random"` (a
        half drawn by `seed`). The words wait for the first input to learn D.
      invert_transformer: Python `bool`. With it `x_B = tau(y_B; h(y_A))`: a transformer whose
        inverse is a search then gives densities in closed form, and samples by the search.
      identity_transformer: a class as `transformer`, or `None`. Needs a `mask` of booleans.
      identity_transformer_kwargs: `dict` of its keywords.
      identity_params: `tf.Variable` `[|A|, P_A]`; made, with zeros, when it is `None`.
      seed: Python `int`, of the random mask.
      context: float `Tensor` `[..., C]`, bound to the conditioner (see `tfp_flows.condition`).
      context_size: C, or 0 when no context is taken.
      dtype: float dtype; that of the conditioner by default.
      validate_args: Python `bool`. With it a Jacobian shows, when the bijector is made, that the
        conditioner computes each row on its own (the mask has to be given as booleans).
      name: Python `str`.

    Raises:
      ValueError: if the mask has only one half, the conditioner is not built or does not fit.
      TypeError: if the conditioner is not callable or the transformer lacks a method.
    """

    def __init__(
        self,
        conditioner,
        transformer=Affine,
        transformer_kwargs=None,
        mask=None,
        invert_transformer=False,
        identity_transformer=None,
        identity_transformer_kwargs=None,
        identity_params=None,
        seed=None,
        context=None,
        context_size=0,
        dtype=None,
        validate_args=False,
        name="coupling",
    ):
        parameters = dict(locals())
        if mask is None:
            mask = "halves"
        if not isinstance(mask, str):
            mask = _checked_mask(mask)
        elif mask not in _MASKS:
            raise ValueError(
                f"`mask` must be a sequence of booleans or one of {', '.join(map(repr, _MASKS))}."
                f" Received: mask={mask!r}"
            )
        if identity_transformer is not None and isinstance(mask, str):
            raise ValueError(
                "`mask` must be a sequence of booleans when `identity_transformer` is given, "
                f"since its parameters need their number. Received: mask={mask!r}"
            )
        identity_transformer_kwargs = dict(identity_transformer_kwargs or {})
        if identity_transformer is not None and identity_params is None:
            size = identity_transformer.params_size(**identity_transformer_kwargs)
            variable_dtype = dtype or getattr(conditioner, "variable_dtype", "float32")
            with tf.init_scope():
                identity_params = tf.Variable(
                    tf.zeros([sum(mask), size], variable_dtype), name="identity_params"
                )
        parameters.update(mask=mask, identity_params=identity_params)
        self._mask = self._no_dependency(mask)
        self._identity_transformer = identity_transformer
        self._identity_transformer_kwargs = self._no_dependency(identity_transformer_kwargs)
        self._identity_params = identity_params
        self._seed = seed
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
            if identity_transformer is not None:
                with tf.init_scope():
                    self._identity()
            if not isinstance(mask, str):
                self._probe_conditioner(sum(mask), len(mask) - sum(mask))

    @property
    def mask(self):
        """A tuple of booleans, `True` for the identity half; or the word that was given."""
        return self._mask

    def _split(self, x):
        """Returns `(x_A, x_B, join)`, where `join(x_A, x_B)` puts the parts back in place."""
        mask = self._mask
        if isinstance(mask, str):
            mask = _checked_mask(_MASKS[mask](x.shape[-1], self._seed))
        checks.event_size(x, len(mask), self.name)
        size = sum(mask)
        if all(mask[:size]):
            # Slices are views; a gather is not, and XLA does not fuse it as well.
            return x[..., :size], x[..., size:], lambda a, b: tf.concat([a, b], axis=-1)
        if not any(mask[:-size]):
            return x[..., -size:], x[..., :-size], lambda a, b: tf.concat([b, a], axis=-1)
        order = np.argsort(np.logical_not(mask), kind="stable")
        in_a, in_b = order[:size], order[size:]
        back = np.argsort(order)

        def join(a, b):
            return tf.gather(tf.concat([a, b], axis=-1), back, axis=-1)

        return tf.gather(x, in_a, axis=-1), tf.gather(x, in_b, axis=-1), join

    def _identity(self):
        return self._identity_transformer.new(
            tf.convert_to_tensor(self._identity_params), **self._identity_transformer_kwargs
        )

    def _forward_and_log_det(self, x):
        x = self._broadcast_with_context(x)
        x_a, x_b, join = self._split(x)
        y_a, log_det = x_a, 0.0
        if self._identity_transformer is not None:
            y_a, log_det_a = forward_and_log_det(self._identity(), x_a)
            log_det = tf.reduce_sum(log_det_a, axis=-1)
        tau = self._transform(self._raw(y_a, x_b.shape[-1]))
        y_b, log_det_b = forward_and_log_det(tau, x_b)
        return join(y_a, y_b), log_det + tf.reduce_sum(log_det_b, axis=-1)

    def _inverse_and_log_det(self, y):
        y = self._broadcast_with_context(y)
        y_a, y_b, join = self._split(y)
        x_a, log_det = y_a, 0.0
        if self._identity_transformer is not None:
            x_a, log_det_a = inverse_and_log_det(self._identity(), y_a)
            log_det = tf.reduce_sum(log_det_a, axis=-1)
        tau = self._transform(self._raw(y_a, y_b.shape[-1]))
        x_b, log_det_b = inverse_and_log_det(tau, y_b)
        return join(x_a, x_b), log_det + tf.reduce_sum(log_det_b, axis=-1)


def _halves(size, seed):
    del seed
    return [i < size - size // 2 for i in range(size)]


def _alternate(size, seed):
    del seed
    return [i % 2 == 0 for i in range(size)]


def _random(size, seed):
    return np.random.default_rng(seed or 0).permutation(_halves(size, None))


_MASKS = {"halves": _halves, "alternate": _alternate, "random": _random}


def _checked_mask(mask):
    values = np.asarray(mask)
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise ValueError(f"`mask` must be a flat sequence of booleans. Received: mask={mask!r}")
    mask = tuple(bool(value) for value in values)
    if not 0 < sum(mask) < len(mask):
        raise ValueError(
            "`mask` must leave at least one coordinate on either side, so an event needs at "
            f"least two. Received: mask={mask!r}"
        )
    return mask
