"""A mixture of Gaussians as the base of a flow."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.philox_bases import PhiloxCategorical, PhiloxMixtureSameFamily

tfd = tfp.distributions
tfb = tfp.bijectors


def mixture_of_gaussians(
    event_size: int,
    num_components: int = 10,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> tfd.Distribution:
    r"""$p(u) = \sum_k w_k N(u; m_k, \mathrm{diag}(\exp(2 s_k)))$

    A mixture of Gaussians as the base of a flow, with trainable w (as logits), m and s.

    Use it for data with several modes: being continuous, a flow over one Gaussian leaves bridges
    between them. Any recipe takes it as `base=`. MAF MoG of the paper has mixtures in the
    conditionals of an autoregressive base; here components are diagonal, and the layers above
    rotate them.

    It starts with mean zero and variance one in every coordinate. Weights are equal, and centers
    are drawn at random, so that components learn different things; a single component is the
    standard normal. Densities cost O(K D) per point and are exact, as are samples. Samples are not
    reparameterized, so it cannot be the base in a `VariationalModel`.

    Source: Papamakarios, Pavlakou and Murray (2017), MAF, arXiv:1705.07057, sec. 4 (MAF MoG).

    Args:
      event_size: D, the size of a point.
      num_components: K, the number of normals.
      seed: Python `int` that fixes the initial centers.
      dtype: float dtype.

    Returns:
      A `tfd.MixtureSameFamily` over vectors of size D. It can be saved.

    Raises:
      TypeError: if a size is not an integer.
      ValueError: if a size is below one.

    Example:
      >>> import tfp_flows as tfpf
      >>> base = tfpf.distributions.mixture_of_gaussians(2, num_components=3, seed=1)
      >>> print(abs(base.mean().numpy()).round(3), base.variance().numpy().round(3))
      [0. 0.] [1. 1.]

    See also: `tfpf.flows.maf`, `tfpf.distributions.ConditionalNormal`.
    """
    event_size = _checks.integer_at_least(event_size, 1, "event_size")
    num_components = _checks.integer_at_least(num_components, 1, "num_components")
    dtype = tf.as_dtype(dtype)
    shape = [num_components, event_size]
    centres, variance = np.zeros(shape), 1.0
    if num_components > 1:
        # Half of the variance is between the components, half within them.
        centres = np.random.default_rng(seed).normal(size=shape)
        centres -= centres.mean(axis=0)
        centres *= np.sqrt(0.5) / centres.std(axis=0)
        variance = 0.5
    log_scale = np.full(shape, 0.5 * np.log(variance))
    logits = tf.Variable(np.zeros([num_components]), dtype=dtype, name="logits")
    centres = tf.Variable(centres, dtype=dtype, name="centres")
    log_scale = tf.Variable(log_scale, dtype=dtype, name="log_scale")
    # `tfb.Scale` keeps a scale positive by its logarithm, and can be saved; a
    # `tfp.util.TransformedVariable` holds a function, and cannot.
    standard = tfd.Sample(tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype)), event_size)
    components = Flow(standard, tfb.Chain([tfb.Shift(centres), tfb.Scale(log_scale=log_scale)]))
    return PhiloxMixtureSameFamily(
        PhiloxCategorical(logits=logits), components, name="mixture_of_gaussians"
    )
