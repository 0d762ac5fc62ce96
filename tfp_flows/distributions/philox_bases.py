"""Distributions of TFP that draw by the generator Philox."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions import mixture_same_family
from tensorflow_probability.python.internal import auto_composite_tensor
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows._tree import deep_copy, rebuild
from tfp_flows.distributions._one_dimension import HasQuantile
from tfp_flows.math._philox import philox_normal, philox_split, philox_uniform

tfd = tfp.distributions


def drawn_by_philox(distribution: tfd.Distribution) -> tfd.Distribution:
    """The same distribution with fast samples under XLA, which equal those in eager mode.

    TFP draws from TensorFlow's default generator. Under XLA on a CPU a normal sample takes some 14
    times as long as by Philox (float32), and a seed gives other numbers than in eager mode. These
    distributions of TFP become subclasses that differ only in how they draw: `tfd.Normal`,
    `tfd.Uniform`, `tfd.Laplace`, `tfd.Logistic`, `tfd.Categorical`, `tfd.MixtureSameFamily`,
    `tfd.MultivariateNormalDiag`, `tfd.MultivariateNormalTriL` and
    `tfd.MultivariateNormalLinearOperator`, also inside `tfd.Sample`, `tfd.Independent`,
    `tfd.TransformedDistribution` or anything else that keeps its parts in `parameters`. Variables
    are shared. All others stay as they are: `tfd.StudentT`, the user's subclasses, dtypes narrower
    than float32. `tfd.Mixture` and joint distributions split seeds in TFP's own way, whose result
    differs under XLA. `Flow`, and so every recipe, calls this function for its base.

    Args:
      distribution: a TFP distribution.

    Returns:
      A distribution of the same class or a subclass; the same object if nothing is replaced.

    Raises:
      TypeError: if `distribution` is not a TFP distribution.

    Example:
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> tfd = tfp.distributions
      >>> base = tfpf.distributions.drawn_by_philox(tfd.Sample(tfd.Normal(0.0, 1.0), 2))
      >>> type(base.distribution).__name__
      'PhiloxNormal'
    """
    if not isinstance(distribution, tfd.Distribution):
        raise TypeError(
            f"`distribution` must be a TFP distribution. Received: distribution={distribution!r}"
        )
    return rebuild(distribution, twin=_twin)


def _twin(node: Any) -> type:
    cls = type(node)
    if cls not in _TWINS or node.dtype in (tf.float16, tf.bfloat16):
        return cls
    return _TWINS[cls]


class _LocationScale:
    """$x = loc + scale z$, for z from a standard distribution."""

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        loc, scale = tf.convert_to_tensor(self.loc), tf.convert_to_tensor(self.scale)
        shape = ps.concat([[n], self._batch_shape_tensor(loc=loc, scale=scale)], axis=0)
        return loc + scale * self._standard(shape, tfp.random.sanitize_seed(seed))


class PhiloxNormal(_LocationScale, tfd.Normal):
    """A `tfd.Normal` that draws by Philox.

    Example:
      >>> import tfp_flows as tfpf
      >>> print(tfpf.distributions.PhiloxNormal(0.0, 1.0).sample(2, seed=[1, 2]).numpy().round(2))
      [ 0.42 -1.07]
    """

    def _standard(self, shape: tf.Tensor, seed: Any) -> tf.Tensor:
        return philox_normal(shape, seed, self.dtype)


class PhiloxLogistic(_LocationScale, tfd.Logistic):
    """A `tfd.Logistic` that draws by Philox.

    Example:
      >>> import tfp_flows as tfpf
      >>> print(tfpf.distributions.PhiloxLogistic(0.0, 1.0).sample(2, seed=[1, 2]).numpy().round(2))
      [ 1.69 -1.44]
    """

    def _standard(self, shape: tf.Tensor, seed: Any) -> tf.Tensor:
        u = philox_uniform(shape, seed, self.dtype)
        return tf.math.log(u) - tf.math.log1p(-u)


class PhiloxLaplace(_LocationScale, tfd.Laplace):
    """A `tfd.Laplace` that draws by Philox.

    Example:
      >>> import tfp_flows as tfpf
      >>> print(tfpf.distributions.PhiloxLaplace(0.0, 1.0).sample(2, seed=[1, 2]).numpy().round(2))
      [ 1.17 -0.96]
    """

    def _standard(self, shape: tf.Tensor, seed: Any) -> tf.Tensor:
        v = philox_uniform(shape, seed, self.dtype) - 0.5
        return -tf.sign(v) * tf.math.log1p(-2.0 * tf.abs(v))


class PhiloxUniform(tfd.Uniform):
    """A `tfd.Uniform` that draws by Philox.

    Example:
      >>> import tfp_flows as tfpf
      >>> print(tfpf.distributions.PhiloxUniform(0.0, 1.0).sample(2, seed=[1, 2]).numpy().round(2))
      [0.84 0.19]
    """

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        low, high = tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        shape = ps.concat([[n], self._batch_shape_tensor(low=low, high=high)], axis=0)
        u = philox_uniform(shape, tfp.random.sanitize_seed(seed), self.dtype)
        return low + (high - low) * u


class PhiloxCategorical(tfd.Categorical):
    """A `tfd.Categorical` that draws by Philox: the number of cumulative probabilities below u.

    Example:
      >>> import tfp_flows as tfpf
      >>> tfpf.distributions.PhiloxCategorical(probs=[0.2, 0.3, 0.5]).sample(4, seed=[1, 2]).numpy()
      array([2, 0, 2, 0], dtype=int32)
    """

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        probs = self.probs_parameter()
        # In a narrower dtype u could be rounded to one.
        probs = probs if probs.dtype == tf.float64 else tf.cast(probs, tf.float32)
        sums = tf.cumsum(probs, axis=-1)
        # So the last category with a probability ends at exactly one, and u is below.
        sums /= sums[..., -1:]
        shape = ps.concat([[n], ps.shape(probs)[:-1], [1]], axis=0)
        u = philox_uniform(shape, tfp.random.sanitize_seed(seed), probs.dtype)
        return tf.reduce_sum(tf.cast(sums <= u, self.dtype), axis=-1)


class _PhiloxMixtureSameFamily(HasQuantile, mixture_same_family._MixtureSameFamily):
    __deepcopy__ = deep_copy

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        of_components, of_mixture = philox_split(tfp.random.sanitize_seed(seed), 2)
        mixture, components = self._get_distributions_with_broadcast_batch_shape()
        x = components.sample(n, seed=of_components)  # [n, ..., K, *event]
        k = mixture.sample(n, seed=of_mixture)  # [n, ...]
        event_ndims = ps.size(components.event_shape_tensor())
        chosen = tf.one_hot(k, ps.shape(x)[-1 - event_ndims], True, False, dtype=tf.bool)
        shape = ps.concat([ps.shape(chosen), ps.ones([event_ndims], tf.int32)], axis=0)
        x = tf.where(tf.reshape(chosen, shape), x, tf.zeros_like(x))
        x = tf.reduce_sum(x, axis=-1 - event_ndims)
        if self._reparameterize:
            x = self._reparameterize_sample(x, event_shape=components.event_shape_tensor())
        return x


class PhiloxMixtureSameFamily(_PhiloxMixtureSameFamily, tfd.MixtureSameFamily):
    """A `tfd.MixtureSameFamily` that draws by Philox if its weights and components do.

    Example:
      >>> import tfp_flows as tfpf
      >>> P = tfpf.distributions
      >>> weights, parts = P.PhiloxCategorical(probs=[0.5, 0.5]), P.PhiloxNormal([-5.0, 5.0], 1.0)
      >>> print(P.PhiloxMixtureSameFamily(weights, parts).sample(2, seed=[1, 2]).numpy().round(2))
      [ 3.97 -4.25]
    """

    def __new__(
        cls,
        mixture_distribution: tfd.Distribution | None = None,
        components_distribution: tfd.Distribution | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """As in TFP, a mixture is a composite tensor only if its parts are."""
        parts = (mixture_distribution, components_distribution)
        if all(auto_composite_tensor.is_composite_tensor(part) for part in parts):
            return super().__new__(cls, *parts)
        return _PhiloxMixtureSameFamily(*parts, *args, **kwargs)


class _OverStandardNormal:
    """$x = loc + scale z$, for a vector z of standard normals."""

    def _maybe_broadcast_distribution_batch_shape(self) -> tfd.Distribution:
        # `tfd.TransformedDistribution` asks this method for the distribution of z.
        return drawn_by_philox(super()._maybe_broadcast_distribution_batch_shape())


class PhiloxMultivariateNormalDiag(_OverStandardNormal, tfd.MultivariateNormalDiag):
    """A `tfd.MultivariateNormalDiag` that draws by Philox.

    Example:
      >>> import tfp_flows as tfpf
      >>> normal = tfpf.distributions.PhiloxMultivariateNormalDiag([0.0, 10.0], [1.0, 1.0])
      >>> print(normal.sample(seed=[1, 2]).numpy().round(2))
      [0.42 8.93]
    """


class PhiloxMultivariateNormalTriL(_OverStandardNormal, tfd.MultivariateNormalTriL):
    """A `tfd.MultivariateNormalTriL` that draws by Philox.

    Example:
      >>> import tfp_flows as tfpf
      >>> tril = [[1.0, 0.0], [2.0, 1.0]]
      >>> normal = tfpf.distributions.PhiloxMultivariateNormalTriL([0.0, 10.0], tril)
      >>> print(normal.sample(seed=[1, 2]).numpy().round(2))
      [0.42 9.77]
    """


class PhiloxMultivariateNormalLinearOperator(
    _OverStandardNormal, tfd.MultivariateNormalLinearOperator
):
    """A `tfd.MultivariateNormalLinearOperator` that draws by Philox.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> scale = tf.linalg.LinearOperatorIdentity(2)
      >>> normal = tfpf.distributions.PhiloxMultivariateNormalLinearOperator([0.0, 10.0], scale)
      >>> print(normal.sample(seed=[1, 2]).numpy().round(2))
      [0.42 8.93]
    """


_TWINS = {
    tfd.Normal: PhiloxNormal,
    tfd.Logistic: PhiloxLogistic,
    tfd.Laplace: PhiloxLaplace,
    tfd.Uniform: PhiloxUniform,
    tfd.Categorical: PhiloxCategorical,
    tfd.MixtureSameFamily: PhiloxMixtureSameFamily,
    mixture_same_family._MixtureSameFamily: PhiloxMixtureSameFamily,
    tfd.MultivariateNormalDiag: PhiloxMultivariateNormalDiag,
    tfd.MultivariateNormalTriL: PhiloxMultivariateNormalTriL,
    tfd.MultivariateNormalLinearOperator: PhiloxMultivariateNormalLinearOperator,
}
