"""Parallel WaveNet's student: an inverse autoregressive flow over time."""

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
    """y_i = (x_i - t_i(x_<i)) exp(-s_i(x_<i)), i a step of time, in layers: Parallel WaveNet.

    Choose it where series have to be sampled fast. A sample, and its own density by
    `experimental_sample_and_log_prob`, cost one network evaluation a layer, for all steps at once.
    The density of a series from elsewhere is sequential: T steps a layer, one after the other, of
    one step of each convolution. All are exact. So it is not fitted to data, but distilled from a
    teacher whose density is parallel, such as `wavenet`, by the reverse KL of its own samples:

    ```python
    student = tfp_flows.flows.parallel_wavenet((T, 1))
    model = tfp_flows.VariationalModel(student, teacher.log_prob)
    ```

    With a context both are bound to it by `tfp_flows.condition`, for each batch of contexts anew.
    Given all steps before, the channels of one step are independent. Support: all of R^(T x C).

    Weights do not depend on T if T / frames is the same, as those of `wavenet`.

    Source: van den Oord et al. (2017), arXiv:1711.10433, whose base is logistic (give it as
    `base`), and who add losses of power and contrast to the KL.

    Args:
      event_shape: `(T, C)`.
      context_size: C of a vector, `(frames, channels)` of a spectrogram, whose frames divide T, or
        0 for an unconditional flow.
      num_layers: autoregressive layers, all in the order of time; the paper has four.
      hidden_channels: widths, all the same, one for each gated convolution of each network.
      kernel_size: taps of a convolution.
      dilations: steps between the taps, one for each convolution; 1, 2, 4, ... by default.
      activation: of the sum of all gated convolutions.
      max_log_scale: bound on |s|, or `None` (see `Affine.new`).
      base: any TFP distribution over `[T, C]`; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution of series, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or frames that do not divide T.
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
