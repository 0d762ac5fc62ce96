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
    r"""$y_t = \tau(x_t; h_t(y_{<t}))$

    WaveNet: autoregressive layers over time, whose parameters come from causal convolutions.

    One affine layer over a normal base is WaveNet with normal outputs: $p(y_t | y_{<t})$ is a
    normal distribution.

    Choose it for densities of audio, and as the teacher of `tfpf.flows.parallel_wavenet`. A density
    costs one network evaluation per layer. A sample takes T sequential steps per layer, each of one
    step of every convolution. Both are exact. Given all earlier steps, the channels of one step are
    independent. Support: that of the transformer, by default all of $R^{T C}$.

    The shapes of the weights depend only on T / frames, not on T. So the weights of a flow of short
    series can be assigned to one of long series.

    Source: van den Oord et al. (2016), arXiv:1609.03499, with outputs of 256 classes; with normal
    outputs, Ping, Peng and Chen (2019), ClariNet, arXiv:1807.07281.

    Args:
      event_shape: `(T, C)`.
      transformer: $\tau$, a class with `params_size` and `new`, from `tfpf.bijectors` or your own.
      transformer_kwargs: `dict` of its keywords; for `Affine`, `max_log_scale=5` by default.
      context_size: size of a context vector; `(frames, channels)` of a spectrogram, where frames
        divides T; or 0 for an unconditional flow.
      num_layers: number of autoregressive layers, all in the order of time.
      hidden_channels: equal widths, one for each gated convolution of each network.
      kernel_size: number of taps of a convolution.
      dilations: steps between the taps, one for each convolution; 1, 2, 4, ... by default.
      activation: activation function after the sum of all gated convolutions.
      base: any TFP distribution over `[T, C]`; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` over series that is as close to its base at the start as the
      transformer with zeros for parameters is to the identity.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or frames does not divide T.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> teacher = tfpf.flows.wavenet((8, 1), hidden_channels=(4, 4))
      >>> teacher.log_prob(tf.zeros([1, 8, 1])).numpy()  # 8 standard normals at the start
      array([-7.35], dtype=float32)

    See also: `tfpf.flows.waveglow`, `tfpf.layers.WaveNet`, `tfpf.bijectors.Autoregressive`.
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
