"""A distribution of numbers together with angles: numbers given the angles, with their period."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows._lost_in_keras import LostDistribution
from tfp_flows._tree import deep_copy
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.conditioning import condition
from tfp_flows.conditioning import context_size as size_of_context
from tfp_flows.distributions._latent_points import vector_size
from tfp_flows.distributions._stateless_seed import stateless_seed
from tfp_flows.math._philox import philox_split

tfd = tfp.distributions


class WithAngles(TakesContext, LostDistribution, tfd.Distribution):
    r"""$\log p([x, a]) = \log p(a) + \log p(x | \cos a, \sin a)$

    A distribution of numbers x together with angles a.

    An event is a vector of D numbers followed by M angles in radians. `angles` is p(a), a flow of
    angles such as `tfpf.flows.circular_spline` returns, or any distribution over vectors of size M.
    `numbers` is p(x | .), any distribution over vectors of size D with a context of size 2 M, the M
    cosines before the sines. So the density has no jump where an angle passes $\pi$. This form is
    general: every density on the product of the line and the circle has it.

    With a context c of size C, `numbers` takes $[\cos a, \sin a, c]$, of size 2 M + C, and `angles`
    takes c or nothing. `tfpf.condition` binds c. Densities, in nats, and samples are those of the
    two parts, and as exact.

    Source: the product of lines and circles, Rezende et al. (2020), arXiv:2002.02428, sec. 2.2.

    Args:
      numbers: a TFP distribution over vectors of size D, with an unbound context.
      angles: a TFP distribution over vectors of size M.
      context_size: C, or 0.
      context: float `Tensor` `[..., C]`, the bound context (see `tfpf.condition`).
      validate_args: Python `bool`.
      allow_nan_stats: Python `bool`, as in TFP.
      name: Python `str`.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if a part is not over vectors, takes a context of another size or has a batch
        shape, or if the dtypes differ.

    Example:
      >>> import tfp_flows as tfpf
      >>> angles = tfpf.flows.circular_spline(1, num_layers=1, hidden_units=(8,))
      >>> numbers = tfpf.flows.real_nvp(2, context_size=2, num_layers=1, hidden_units=(8,))
      >>> cylinder = tfpf.distributions.WithAngles(numbers, angles)
      >>> cylinder.log_prob([[0.0, 0.0, 3.1]]).numpy()  # -2 log(2 pi)
      array([-3.676], dtype=float32)

    See also: `tfpf.table_flow`, which builds it.
    """

    # The context of these parameters comes from this class, not from `tfpf.condition`.
    supplies_context_to = ("numbers",)

    __deepcopy__ = deep_copy

    def __init__(
        self,
        numbers: tfd.Distribution,
        angles: tfd.Distribution,
        context_size: int = 0,
        context: ArrayLike | None = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "with_angles",
    ) -> None:
        parameters = dict(locals())
        self._num_numbers = vector_size(numbers, "numbers")
        self._num_angles = vector_size(angles, "angles")
        if numbers.dtype != angles.dtype:
            raise ValueError(
                f"`angles` must have the dtype {numbers.dtype.name} of `numbers`. "
                f"Received: angles.dtype={angles.dtype.name}"
            )
        _checks.integer_at_least(context_size, 0, "context_size")
        self._bind_context(context, context_size, numbers.dtype, name)
        taken, wanted = size_of_context(numbers), 2 * self._num_angles + context_size
        if taken != wanted or numbers.batch_shape.rank != 0:
            raise ValueError(
                f"`numbers` must take a context of size {wanted} (the cosine and the sine of each "
                "angle, then `context_size` numbers), have no bound context, and no batch shape. "
                f"Received: numbers with context_size={taken}, batch_shape={numbers.batch_shape}"
            )
        if size_of_context(angles) not in (0, context_size):
            raise ValueError(
                f"`angles` must take a context of size {context_size} (`context_size`), or none. "
                f"Received: angles with context_size={size_of_context(angles)}"
            )
        self._numbers, self._angles = numbers, angles
        kinds = {numbers.reparameterization_type, angles.reparameterization_type}
        is_reparameterized = kinds == {tfd.FULLY_REPARAMETERIZED}
        super().__init__(
            dtype=numbers.dtype,
            reparameterization_type=(
                tfd.FULLY_REPARAMETERIZED if is_reparameterized else tfd.NOT_REPARAMETERIZED
            ),
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @property
    def numbers(self) -> tfd.Distribution:
        """The distribution of the numbers, p(x | cos a, sin a), whose context is the angles."""
        return self._numbers

    @property
    def angles(self) -> tfd.Distribution:
        """The distribution of the angles, p(a)."""
        return self._angles

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType, num_classes: int | None = None
    ) -> dict[str, Any]:
        return {
            **super()._parameter_properties(dtype, num_classes),
            "angles": tfp.util.BatchedComponentProperties(),
        }

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._num_numbers + self._num_angles])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._num_numbers + self._num_angles], tf.int32)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        x = self._broadcast_with_context(tf.convert_to_tensor(x, self.dtype))
        _checks.event(x, self.event_shape, "value")
        x, angles = self._split(x)
        return self._angles.log_prob(angles) + self._given(angles).log_prob(x)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        angle_seed, seed = philox_split(stateless_seed(seed), 2)
        angles = self._angles.sample(self._draws(n), seed=angle_seed)
        return tf.concat([self._given(angles).sample(seed=seed), angles], axis=-1)

    def _sample_and_log_prob(
        self, sample_shape: Any, seed: Any, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        angle_seed, seed = philox_split(stateless_seed(seed), 2)
        shape = self._draws(sample_shape)
        angles, log_p = self._angles.experimental_sample_and_log_prob(shape, seed=angle_seed)
        x, log_p_of_x = self._given(angles).experimental_sample_and_log_prob(seed=seed)
        return tf.concat([x, angles], axis=-1), log_p + log_p_of_x

    def _draws(self, sample_shape: Any) -> Any:
        """The sample shape of the angles: each context has its own, also if they take none."""
        self._check_is_bound()
        if self._context is None or size_of_context(self._angles):
            return sample_shape
        if tf.is_tensor(sample_shape):
            sample_shape = tf.reshape(sample_shape, [-1])
        else:
            sample_shape = np.reshape(np.asarray(sample_shape, np.int32), [-1])
        return ps.concat([sample_shape, self._context_batch_shape()], axis=0)

    def _split(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The numbers and the angles of an event."""
        numbers, angles = tf.split(x, [self._num_numbers, self._num_angles], axis=-1)
        return numbers, angles

    def _given(self, angles: tf.Tensor) -> tfd.Distribution:
        """p(x | cos a, sin a, c) for angles that already have the shape of the context."""
        return condition(self._numbers, self._features(angles))

    def _features(self, angles: tf.Tensor) -> tf.Tensor:
        """The context of the numbers, [cos a, sin a, c]."""
        features = [tf.cos(angles), tf.sin(angles)]
        if self._context is not None:
            shape = ps.concat([ps.shape(angles)[:-1], self.context_shape], axis=0)
            features.append(tf.broadcast_to(self._context, shape))
        return tf.concat(features, axis=-1)
