"""Variational dequantisation: noise that a flow learns, given the image."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Affine, Coupling
from tfp_flows.distributions import Dequantized
from tfp_flows.flows import _image_recipe, _recipe
from tfp_flows.layers import ConvNet

tfb = tfp.bijectors


def variational_dequantization(
    flow: tfp.distributions.Distribution,
    num_values: int = 256,
    *,
    alpha: float = 0.05,
    num_layers: int = 4,
    hidden_channels: Sequence[int] | None = None,
    hidden_units: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float = 3.0,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Dequantized:
    """log P(x) >= E_q[log p(x + u) - log q(u | x)], u = sigmoid(g(e; x)): Flow++'s noise.

    g is a stack of affine couplings over checkerboards of the noise e, whose networks see the whole
    image x, too. It starts as uniform noise. Choose it where hundredths of a bit count: the
    bound is closer, and a training step costs `num_layers` networks more; samples cost nothing. As
    every `Dequantized` it is a distribution of whole numbers with an `elbo`.

    Source: Ho, Chen, Srinivas, Duan and Abbeel (2019), Flow++, arXiv:1902.00275, sec. 3.1.

    Args:
      flow: a distribution of images over all of R^D, such as `multiscale` returns.
      num_values: K, of the whole numbers from 0 to K - 1.
      alpha: of the logit (see `Dequantized`), or `None`.
      num_layers: couplings of the noise.
      hidden_channels: widths, all the same, one for each residual block of each network; (32, 32)
        by default.
      hidden_units: another name of `hidden_channels`.
      activation: of the networks.
      max_log_scale: bound on the logarithm of a scale (see `Affine.new`).
      seed: Python `int`, of the networks' weights and of the noise.
      dtype: that of the flow, float32 or float64.

    Returns:
      A `tfp_flows.distributions.Dequantized`.

    Raises:
      TypeError: if `flow` is no distribution.
      ValueError: if it is not of images, or for a size below its minimum.
    """
    dtype = _recipe.float_dtype(dtype)
    hidden_channels = _image_recipe.widths(hidden_channels, hidden_units, (32, 32))
    if not isinstance(flow, tfp.distributions.Distribution):
        raise TypeError(f"`flow` must be a TFP distribution. Received: flow={flow!r}")
    if flow.event_shape.rank != 3:
        raise ValueError(
            "`flow` must be a distribution of images [H, W, C]. "
            f"Received: flow.event_shape={flow.event_shape}"
        )
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    kwargs = {"max_log_scale": max_log_scale}
    height, width, channels = flow.event_shape
    layers = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        network = ConvNet(
            2 * channels * Affine.params_size(**kwargs),
            hidden_channels,
            activation=activation,
            seed=layer_seed,
            dtype=_recipe.network_policy(dtype),
        )
        _recipe.build(network, (height, width, 2 * channels), 0)
        mask = _image_recipe.given_and_board((height, width, channels), is_even=i % 2 == 0)
        layers.append(Coupling(network, Affine, kwargs, mask))
    return Dequantized(flow, num_values, alpha, tfb.Chain(layers), seed)
