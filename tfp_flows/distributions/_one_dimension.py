"""CDFs and quantiles of distributions over one number, whatever the shape of the event."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions import (
    batch_broadcast,
    independent,
    mixture,
    mixture_same_family,
    mvn_linear_operator,
    sample,
    transformed_distribution,
)
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows.bijectors._increasing import is_increasing
from tfp_flows.bijectors._skip_log_det import skip_log_det
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.math.solvers.find_root import find_root

tfd = tfp.distributions


class HasQuantile:
    """A distribution with a `quantile` if an event is one number: p `[...]` to x `[..., 1]`."""

    def _quantile(self, p: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        if kwargs:
            return super()._quantile(p, **kwargs)
        self._check_is_one_number("quantile")
        x = quantile(self, p)
        shape = ps.broadcast_shape(ps.shape(x), self.batch_shape_tensor())
        return _with_axes(tf.broadcast_to(x, shape), self)

    def _check_is_one_number(self, name: str) -> None:
        shape = self.event_shape
        if not isinstance(shape, tf.TensorShape) or shape.num_elements() != 1:
            raise NotImplementedError(
                f"`{name}` of `{self.name}` is implemented only for events of one number. "
                f"Received: event_shape={shape}"
            )


class OneDimension(HasQuantile):
    """A distribution with `cdf`, `survival_function`, their logarithms and `quantile`.

    They are those of its single number: for x `[..., 1]` the `cdf` is `[...]`. For more dimensions
    they are not implemented.
    """

    def _cdf(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._tail("cdf", x, kwargs)

    def _log_cdf(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._tail("log_cdf", x, kwargs, is_log=True)

    def _survival_function(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._tail("survival_function", x, kwargs, is_upper=True)

    def _log_survival_function(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._tail("log_survival_function", x, kwargs, is_upper=True, is_log=True)

    def _tail(self, name: str, x: tf.Tensor, kwargs: dict[str, Any], **which: bool) -> tf.Tensor:
        if kwargs:
            return getattr(super(), f"_{name}")(x, **kwargs)
        self._check_is_one_number(name)
        # A copy: a bijector may remember `x` itself.
        x = tf.identity(x)
        x = tf.reshape(x, ps.shape(x)[: ps.rank(x) - self.event_shape.rank])
        p = tail(self, x, **which)
        return tf.broadcast_to(p, ps.broadcast_shape(ps.shape(p), self.batch_shape_tensor()))


def tail(
    distribution: tfd.Distribution,
    x: tf.Tensor,
    is_upper: Any = False,
    is_log: bool = False,
) -> tf.Tensor:
    r"""$P[X \le x]$, or $P[X > x]$ with `is_upper`, or the logarithm of either.

    TFP has no `cdf` for `tfd.Sample`, nor for normal distributions over vectors of size one.

    Args:
      distribution: a TFP distribution whose events are one number each.
      x: `Tensor` `[...]`, without the axes of an event.
      is_upper: a bool, or a `Tensor` of them that broadcasts.
      is_log: Python `bool`.

    Raises:
      NotImplementedError: if the distribution, or one of its parts, has no `cdf`.
    """
    distribution = _unwrapped(distribution)
    if isinstance(distribution, transformed_distribution._TransformedDistribution):
        base, bijector = distribution.distribution, distribution.bijector
        ndims = base.event_shape.rank
        falls = ps.logical_not(is_increasing(bijector, ndims))
        with skip_log_det():
            u = bijector.inverse(_with_axes(x, distribution))
        u = tf.reshape(u, ps.shape(u)[: ps.rank(u) - ndims])
        return tail(base, u, ps.not_equal(is_upper, falls), is_log)
    if _is_mixture(distribution):
        log_weights, parts = _mixture(distribution, x, is_upper)
        tails = [tail(part, at, upper, is_log) for part, at, upper in parts]
        tails = tf.stack(tails, axis=-1) if len(tails) > 1 else tails[0]
        if is_log:
            return tf.reduce_logsumexp(log_weights + tails, axis=-1)
        return tf.reduce_sum(tf.exp(log_weights) * tails, axis=-1)
    _check_is_scalar(distribution)
    lower, upper = distribution.cdf, distribution.survival_function
    if is_log:
        lower, upper = distribution.log_cdf, distribution.log_survival_function
    return ps.smart_where(is_upper, lambda: upper(x), lambda: lower(x))


def quantile(distribution: tfd.Distribution, p: tf.Tensor) -> tf.Tensor:
    r"""x `[...]` with $P[X \le x] = p$; for a mixture it is found by a search."""
    distribution = _unwrapped(distribution)
    if isinstance(distribution, transformed_distribution._TransformedDistribution):
        base, bijector = distribution.distribution, distribution.bijector
        increases = is_increasing(bijector, base.event_shape.rank)
        u = quantile(base, ps.smart_where(increases, lambda: p, lambda: 1.0 - p))
        with skip_log_det():
            x = bijector.forward(_with_axes(u, base))
        return tf.reshape(x, ps.shape(x)[: ps.rank(x) - distribution.event_shape.rank])
    if not _is_mixture(distribution):
        _check_is_scalar(distribution)
        return distribution.quantile(p)

    def log_odds_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper = (tail(distribution, x, is_upper, is_log=True) for is_upper in (False, True))
        log_slope = distribution.log_prob(_with_axes(x, distribution)) - lower - upper
        return lower - upper, tf.exp(log_slope)

    # The search is for log-odds: probabilities are flat in both tails, log-odds in neither.
    target = tf.math.log(p) - tf.math.log1p(-p)
    shape = ps.broadcast_shape(ps.shape(p), distribution.batch_shape_tensor())
    return find_root(log_odds_and_slope, tf.broadcast_to(target, shape)).root


def _unwrapped(distribution: tfd.Distribution) -> tfd.Distribution:
    """A scalar distribution, a transformed distribution or a mixture of the same number."""
    if isinstance(distribution, mvn_linear_operator.MultivariateNormalLinearOperator):
        return tfd.Normal(distribution.mean()[..., 0], distribution.stddev()[..., 0])
    if isinstance(distribution, sample._Sample):
        return _unwrapped(distribution.distribution)
    if isinstance(distribution, independent._Independent):
        inner = distribution.distribution
        ndims = distribution.event_shape.rank - inner.event_shape.rank
        return _unwrapped(inner[(..., *[0] * ndims)])
    if isinstance(distribution, batch_broadcast._BatchBroadcast):
        return _unwrapped(distribution.distribution)
    if isinstance(distribution, TakesContext):  # a `ConditionalNormal`
        return _unwrapped(distribution._normal())
    return distribution


def _is_mixture(distribution: tfd.Distribution) -> bool:
    kinds = mixture._Mixture | mixture_same_family._MixtureSameFamily
    return isinstance(distribution, kinds)


def _mixture(
    distribution: tfd.Distribution, x: tf.Tensor, is_upper: Any
) -> tuple[tf.Tensor, list[tuple[Any, ...]]]:
    """Logarithms of weights `[..., K]`, and for each component `(component, x, is_upper)`.

    The components of a family are one distribution, with K on the last axis of its batch.
    """
    if isinstance(distribution, mixture._Mixture):
        weights = tf.math.log_softmax(distribution.cat.logits_parameter())
        return weights, [(part, x, is_upper) for part in distribution.components]
    weights = tf.math.log_softmax(distribution.mixture_distribution.logits_parameter())
    if np.ndim(is_upper):
        is_upper = is_upper[..., np.newaxis]
    return weights, [(distribution.components_distribution, x[..., tf.newaxis], is_upper)]


def _with_axes(x: tf.Tensor, distribution: tfd.Distribution) -> tf.Tensor:
    return x[(..., *[tf.newaxis] * distribution.event_shape.rank)]


def _check_is_scalar(distribution: tfd.Distribution) -> None:
    if distribution.event_shape.rank != 0:
        raise NotImplementedError(
            "`cdf` and `quantile` of a distribution over vectors of size one are those of its one "
            f"number, but this class does not provide them. Received: {distribution!r}"
        )
