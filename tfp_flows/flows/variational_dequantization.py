"""Variational dequantization: noise that a flow learns, given the image."""

from collections.abc import Callable, Sequence
from typing import Any

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
    r"""$\log P(x) \ge E_q[\log p(x + u) - \log q(u | x)],\ u = \mathrm{sigmoid}(g(e; x))$

    A distribution of images of whole numbers with learned noise, the dequantization of Flow++.

    g is a stack of affine couplings over checkerboards of the logistic noise e; their networks also
    see the whole image x. The noise starts as uniform.

    Choose it where hundredths of a bit matter: the bound is tighter than with uniform noise. A
    training step costs `num_layers` more network evaluations, a sample costs nothing more. As every
    `Dequantized` it is a distribution of whole numbers with an `elbo`.

    Source: Ho, Chen, Srinivas, Duan and Abbeel (2019), Flow++, arXiv:1902.00275, sec. 3.1.

    Args:
      flow: a distribution of images over all of $R^D$, such as `tfpf.flows.multiscale` returns.
      num_values: K; the whole numbers are 0 to K - 1.
      alpha: parameter of the logit (see `Dequantized`), or `None`.
      num_layers: number of couplings of the noise.
      hidden_channels: equal widths, one for each residual block of each network; (32, 32) by
        default.
      hidden_units: another name for `hidden_channels`.
      activation: activation function of the networks, a Keras name or a callable.
      max_log_scale: bound on the logarithm of a scale (see `Affine`).
      seed: Python `int` that fixes the initial weights of the networks and the noise.
      dtype: dtype of the flow, float32 or float64.

    Returns:
      A `tfpf.distributions.Dequantized`.

    Raises:
      TypeError: if `flow` is not a distribution.
      ValueError: if its events are not images, or a size is below its minimum.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.multiscale((4, 4, 1), num_scales=1, num_layers=1, hidden_channels=(4,))
      >>> images = tfpf.flows.variational_dequantization(flow, num_layers=1, hidden_channels=(4,))
      >>> print(images.elbo(tf.zeros([3, 4, 4, 1])).shape)
      (3,)

    See also: `tfpf.flows.flow_plus_plus`.
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
    kwargs: dict[str, Any] = {"max_log_scale": max_log_scale}
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
