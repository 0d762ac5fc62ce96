"""The student of Parallel WaveNet: an inverse autoregressive flow over time."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _series_recipe


def parallel_wavenet(
    event_shape: Sequence[int],
    *,
    context_size: int | tuple[int, ...] = 0,
    num_layers: int = 4,
    hidden_channels: Sequence[int] = (32, 32, 32, 32, 32, 32),
    kernel_size: int = 2,
    dilations: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 5.0,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$y_i = (x_i - t_i(x_{<i})) \exp(-s_i(x_{<i}))$

    Parallel WaveNet: inverse autoregressive layers over the steps i of a series, with fast samples.

    Choose it where series have to be sampled fast. A sample costs one network evaluation per layer,
    for all steps at once; `experimental_sample_and_log_prob` gives its density in the same pass.
    The density of any other series is sequential: T steps per layer, each of one step of every
    convolution. All are exact.

    So it is not fitted to data, but distilled from a teacher with a parallel density, such as
    `tfpf.flows.wavenet`, by the reverse KL divergence:
    `tfpf.VariationalModel(student, teacher.log_prob)`. With a context, bind both to each batch of
    contexts by `tfpf.condition`.

    Given all earlier steps, the channels of one step are independent. Support: all of $R^{T C}$.
    The shapes of the weights depend only on T / frames, not on T, as in `tfpf.flows.wavenet`.

    Source: van den Oord et al. (2017), arXiv:1711.10433. Their base is logistic (pass it as
    `base`), and they add losses of power and contrast to the KL divergence.

    Args:
      event_shape: `(T, C)`.
      context_size: size of a context vector; `(frames, channels)` of a spectrogram, where frames
        divides T; or 0 for an unconditional flow.
      num_layers: number of autoregressive layers, all in the order of time; the paper has four.
      hidden_channels: equal widths, one for each gated convolution of each network.
      kernel_size: number of taps of a convolution.
      dilations: steps between the taps, one for each convolution; 1, 2, 4, ... by default.
      activation: activation function after the sum of all gated convolutions.
      max_log_scale: bound on $|s|$, or `None` for no bound (see `Affine`).
      base: any TFP distribution over `[T, C]`; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` over series that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or frames does not divide T.

    Example:
      >>> import tfp_flows as tfpf
      >>> student = tfpf.flows.parallel_wavenet((8, 1), num_layers=1, hidden_channels=(4, 4))
      >>> x, log_prob = student.experimental_sample_and_log_prob(3, seed=1)
      >>> print(x.shape, log_prob.shape)
      (3, 8, 1) (3,)

    See also: `tfpf.flows.iaf`, `tfpf.flows.waveglow`, `tfpf.layers.WaveNet`.
    """
    return _series_recipe.autoregressive_flow(
        event_shape,
        Affine,
        {"max_log_scale": max_log_scale},
        invert=True,
        num_layers=num_layers,
        hidden_channels=hidden_channels,
        kernel_size=kernel_size,
        dilations=dilations,
        activation=activation,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="parallel_wavenet",
    )
