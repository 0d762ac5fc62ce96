"""WaveNet with continuous outputs: autoregression over time by causal convolutions."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe, _series_recipe


def wavenet(
    event_shape: Sequence[int],
    *,
    transformer: type[tfp.bijectors.Bijector] = Affine,
    transformer_kwargs: dict[str, Any] | None = None,
    context_size: int | tuple[int, ...] = 0,
    num_layers: int = 1,
    hidden_channels: Sequence[int] = (32, 32, 32, 32, 32, 32),
    kernel_size: int = 2,
    dilations: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] = "relu",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y_t = tau(x_t; h_t(y_<t)), h_t of dilated causal convolutions, layer upon layer: WaveNet.

    One affine layer over a normal base is WaveNet with normal outputs: p(y_t | y_<t) is a normal.
    Choose it for densities of audio, and as the teacher of `parallel_wavenet`. The density costs
    one network evaluation a layer; a sample takes T steps a layer, one after the other, of one step
    of each convolution; both are exact. Given all steps before, the channels of one step are
    independent. Support: that of the transformer, by default all of R^(T x C).

    Weights do not depend on T if T / frames is the same: those of a flow of short series can be
    assigned to one of long series.

    Source: van den Oord et al. (2016), arXiv:1609.03499, whose outputs are of 256 classes; with
    normal outputs Ping, Peng and Chen (2019), ClariNet, arXiv:1807.07281.

    Args:
      event_shape: `(T, C)`.
      transformer: a class with `params_size` and `new`, of `tfp_flows.bijectors` or your own.
      transformer_kwargs: `dict` of its keywords; for `Affine`, `max_log_scale=5` by default.
      context_size: C of a vector, `(frames, channels)` of a spectrogram, whose frames divide T, or
        0 for an unconditional flow.
      num_layers: autoregressive layers, all in the order of time.
      hidden_channels: widths, all the same, one for each gated convolution of each network.
      kernel_size: taps of a convolution.
      dilations: steps between the taps, one for each convolution; 1, 2, 4, ... by default.
      activation: of the sum of all gated convolutions.
      base: any TFP distribution over `[T, C]`; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution of series, as close to its base at the start as the transformer at zero is to
      the identity.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or frames that do not divide T.
    """
    return _series_recipe.autoregressive_flow(
        event_shape,
        transformer,
        _recipe.with_bounded_scale(transformer, transformer_kwargs),
        num_layers=num_layers,
        hidden_channels=hidden_channels,
        kernel_size=kernel_size,
        dilations=dilations,
        activation=activation,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="wavenet",
    )
