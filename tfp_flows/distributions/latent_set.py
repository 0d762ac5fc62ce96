"""A distribution of sets of points, which are independent given a latent of the set."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows._lost_in_keras import LostDistribution
from tfp_flows._tree import deep_copy
from tfp_flows.bijectors._networks import layer_variables
from tfp_flows.distributions._latent_points import LatentPoints, vector_size
from tfp_flows.distributions._latent_posterior import LatentPosterior
from tfp_flows.distributions._stateless_seed import stateless_seed
from tfp_flows.distributions.latent_noise import LatentNoise
from tfp_flows.math._philox import philox_split

tfd = tfp.distributions


class LatentSet(LostDistribution, tfd.Distribution):
    r"""$\log p(x) \ge E_q[\sum_m \log p(x_m | w) + \log p(w)] + H[q],\ q = q(w | x)$

    A distribution of sets of points, which are independent given a latent w of the set.

    x is a set of M points in D dimensions, an array `[M, D]`. The density is that of the array, and
    the same for every order of the points. w has size L. `points` is $p(x_m | w)$, any distribution
    with a context of size L; `prior` is p(w). The posterior is $q(w | x) = N(t(x), \exp(2 s(x)))$,
    with t and s from an encoder. A prior with a context, such as the class of the set, makes
    $p(x | c)$, and `tfpf.condition` binds that context; the latent is not such a context.

    `elbo(x)` is the bound on the right, in nats for a whole set. The entropy H of q is exact, and
    the expectation is a mean over draws of w. There is no `log_prob`, since the integral over w has
    no closed form. Draws are new in Keras's training mode, otherwise always the same, or from a
    `seed`. `sample` draws w from the prior, `reconstruct(x)` from the posterior, and then points.

    Shapes: x is `[..., M, D]`. With `num_points=None` M is any number, the event shape is
    `[None, D]`, and `sample(..., num_points=M)` says how many points to draw. The encoder maps
    `[N, M, D]` to two numbers for each coordinate of w, `[N, L, 2]`, or flat `[N, 2 L]` in that
    order: t, and a with $s = a / (1 + |a| / m)$, so that $|s| < m$. It must not depend on the order
    of points; `DeepSets` does not.

    Source: Yang et al. (2019), PointFlow, arXiv:1906.12320, equation 8; Kingma and Welling (2014),
    arXiv:1312.6114.

    Args:
      prior: a TFP distribution over vectors of size L.
      points: a TFP distribution over vectors of size D, with an unbound context of size L.
      encoder: a callable, preferably a built Keras layer.
      num_points: M, a Python `int` of at least one, or `None`.
      max_log_scale: m, a positive number.
      seed: Python `int`, for the draws of w.
      noise: the layer that draws, which copies share; by default it is made from the seed.
      validate_args: Python `bool`.
      allow_nan_stats: Python `bool`, as in TFP.
      name: Python `str`.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if an argument does not fit the others, or a number is out of range.

    Example:
      >>> import tensorflow as tf
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> prior = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), 2)
      >>> points = tfpf.flows.real_nvp(3, context_size=2, num_layers=1, hidden_units=(8,))
      >>> encoder = tfpf.layers.DeepSets(2 * 2, (8,), (8,))
      >>> encoder.build((None, None, 3))
      >>> sets = tfpf.distributions.LatentSet(prior, points, encoder)
      >>> print(sets.elbo(tf.zeros([4, 10, 3])).shape, sets.sample(5, num_points=7, seed=1).shape)
      (4,) (5, 7, 3)

    See also: `tfpf.flows.pointflow`, `tfpf.FlowModel`.
    """

    # The context of these parameters comes from this class, not from `tfpf.condition`.
    supplies_context_to = ("points",)

    __deepcopy__ = deep_copy

    def __init__(
        self,
        prior: tfd.Distribution,
        points: tfd.Distribution,
        encoder: Callable[..., tf.Tensor],
        num_points: int | None = None,
        max_log_scale: float = 5.0,
        seed: int | None = None,
        noise: keras.Layer | None = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "latent_set",
    ) -> None:
        parameters = dict(locals())
        self._latent_size = vector_size(prior, "prior")
        self._latent_points = LatentPoints(points, self._latent_size, prior.dtype)
        if num_points is not None:
            num_points = _checks.integer_at_least(num_points, 1, "num_points")
        self._num_points = num_points
        if noise is None:
            with tf.init_scope():
                noise = LatentNoise(seed, dtype=prior.dtype.name)
        # The layer holds the state of the seeds, which copies share.
        parameters.update(noise=noise)
        self._prior, self._points, self._encoder = prior, points, encoder
        self._posterior = LatentPosterior(
            encoder, self._latent_size, max_log_scale, noise, prior.dtype
        )
        self._layer_variables = layer_variables(encoder, noise)
        kinds = {prior.reparameterization_type, points.reparameterization_type}
        is_reparameterized = kinds == {tfd.FULLY_REPARAMETERIZED}
        super().__init__(
            dtype=prior.dtype,
            reparameterization_type=(
                tfd.FULLY_REPARAMETERIZED if is_reparameterized else tfd.NOT_REPARAMETERIZED
            ),
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )
        with tf.init_scope():  # finds a misfit of the encoder now
            self._posterior.moments(
                tf.zeros([2, num_points or 1, self._latent_points.size], prior.dtype)
            )

    @property
    def prior(self) -> tfd.Distribution:
        """The distribution of the latent, p(w)."""
        return self._prior

    @property
    def points(self) -> tfd.Distribution:
        """The distribution of one point, $p(x_m | w)$, to which w is the context."""
        return self._points

    @property
    def encoder(self) -> Callable[..., tf.Tensor]:
        """The callable that returns the numbers of the posterior."""
        return self._encoder

    @property
    def num_points(self) -> int | None:
        """The number of points, M, or `None` for any number."""
        return self._num_points

    @property
    def latent_size(self) -> int:
        """The size of the latent, L."""
        return self._latent_size

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: Any = None) -> dict[str, Any]:
        return {"prior": tfp.util.BatchedComponentProperties()}

    def elbo(self, x: ArrayLike, num_samples: int = 1, seed: Any = None) -> tf.Tensor:
        """A lower bound of log p(x) in nats, `[...]`, from draws of w.

        Args:
          x: float `Tensor` `[..., M, D]`.
          num_samples: number of draws for each set, whose bounds are averaged.
          seed: Python `int` or int32 `Tensor` `[2]`; if given, Keras's mode does not matter.

        Raises:
          ValueError: if `x` has another shape or dtype.
        """
        num_samples = _checks.integer_at_least(num_samples, 1, "num_samples")
        x = _checks.not_symbolic(x, "x")
        x = self._sets(x)
        loc, log_scale = self._posterior.moments(x)
        batch_shape = ps.broadcast_shape(ps.shape(x)[:-2], self.batch_shape_tensor())
        shape = ps.concat([[num_samples], batch_shape], axis=0)
        w = self._posterior.draw(loc, log_scale, shape, seed)
        joint = self._latent_points.log_prob(x, w) + self._prior.log_prob(w)
        constant = 0.5 * self._latent_size * (1.0 + np.log(2.0 * np.pi))
        entropy = tf.reduce_sum(log_scale, axis=-1) + tf.constant(constant, self.dtype)
        return tf.reduce_mean(joint, axis=0) + entropy

    def posterior(self, x: ArrayLike) -> tfd.MultivariateNormalDiag:
        """q(w | x), a normal distribution over vectors of size L with the batch shape of `x`."""
        loc, log_scale = self._posterior.moments(self._sets(x))
        return tfd.MultivariateNormalDiag(loc, tf.exp(log_scale), name="posterior")

    def points_given(self, latent: ArrayLike) -> tfd.Distribution:
        """The distribution of one point, $p(x_m | w)$, for latents `[..., L]`."""
        return self._latent_points.given(latent)

    def reconstruct(
        self, x: ArrayLike, num_points: int | None = None, seed: Any = None
    ) -> tf.Tensor:
        """Sets like `x`, `[..., num_points, D]`: w from the posterior, and points given it.

        Args:
          x: float `Tensor` `[..., M, D]`.
          num_points: number of points; by default as many as in `x`.
          seed: Python `int` or int32 `Tensor` `[2]`.
        """
        x = self._sets(x)
        if num_points is None:
            num_points = x.shape[-2] or tf.shape(x)[-2]
        else:
            num_points = _checks.integer_at_least(num_points, 1, "num_points")
        latent_seed, points_seed = philox_split(stateless_seed(seed), 2)
        loc, log_scale = self._posterior.moments(x)
        w = self._posterior.draw(loc, log_scale, ps.shape(x)[:-2], latent_seed)
        return self._latent_points.draw(w, num_points, points_seed)

    def _sample_n(self, n: tf.Tensor, seed: Any = None, num_points: int | None = None) -> tf.Tensor:
        if num_points is None:
            num_points = self._num_points
        if num_points is None:
            raise ValueError(
                f"`num_points` must be given to `sample`, since `{self.name}` was created for any "
                "number of points. Received: num_points=None"
            )
        num_points = _checks.integer_at_least(num_points, 1, "num_points")
        if self._num_points not in (None, num_points):
            raise ValueError(
                f"`num_points` must be {self._num_points}, as when `{self.name}` was created. "
                f"Received: num_points={num_points}"
            )
        latent_seed, points_seed = philox_split(stateless_seed(seed), 2)
        w = self._prior.sample(n, seed=latent_seed)
        return self._latent_points.draw(w, num_points, points_seed)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError(
            f"`{self.name}` has a lower bound of log p(x), `elbo(x)`, but no `log_prob`. "
            "Received: a call of `log_prob`"
        )

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._num_points, self._latent_points.size])

    def _event_shape_tensor(self) -> tf.Tensor:
        if self._num_points is None:
            raise ValueError(
                f"`num_points` must be given for `{self.name}` to have an event shape. "
                "Received: num_points=None"
            )
        return tf.constant([self._num_points, self._latent_points.size], tf.int32)

    def _sets(self, x: Any) -> tf.Tensor:
        return self._latent_points.checked_sets(x, self._num_points, self.dtype)
