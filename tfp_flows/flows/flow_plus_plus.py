"""Flow++: couplings by the CDF of a mixture of logistics."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import (
    ActNorm,
    InvertibleConv1x1,
    LogisticMixtureCDF,
    Squeeze,
)
from tfp_flows.distributions import Flow
from tfp_flows.flows import _image_recipe, _recipe
from tfp_flows.flows._linear_layers import with_linear_layers
from tfp_flows.layers import GatedConvNet, ResidualMLP

tfb = tfp.bijectors

# The most pixels for which attention is affordable: its memory grows with their square.
_MAX_ATTENDED = 256


def flow_plus_plus(
    event_shape: int | Sequence[int],
    *,
    num_components: int = 8,
    context_size: int = 0,
    num_layers: int = 4,
    hidden_units: Sequence[int] | None = None,
    hidden_channels: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] | None = None,
    max_log_scale: float = 3.0,
    dropout: float = 0.0,
    num_heads: int | None = None,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$u_B = \tau(x_B; h(x_A))$

    Flow++: couplings with mixtures of logistics, and a linear layer after each.

    The equation goes from data to base. $\tau$ is the CDF of a mixture of logistics, mapped back to
    the real line (`LogisticMixtureCDF`). A linear layer is a permutation and an `LULinear`.

    Choose it to estimate densities with several modes, for data without bounds. A density is a
    closed form and costs one network evaluation per layer. A sample costs one as well, and a root
    search. Both are exact. Support: all of $R^D$, D at least two. For vectors this is the core of
    the paper, without its dequantization and attention.

    For images `[H, W, C]` it is the flow of the paper. `num_layers` couplings over checkerboards
    come first. In squeezed images, half as many over channels follow, and then `num_layers - 1`
    over checkerboards. Each comes after an `ActNorm` and a 1x1 convolution. The networks are gated
    convolutions, with attention for images of up to 16 x 16 pixels. The noise of the paper is
    `tfpf.flows.variational_dequantization`.

    Source: Ho, Chen, Srinivas, Duan and Abbeel (2019), arXiv:1902.00275.

    Args:
      event_shape: D or `(D,)`; or `(H, W, C)` with an even height and width.
      num_components: K, number of logistics in each mixture.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of couplings, each with a linear layer.
      hidden_units: equal widths, one for each residual block of each network; (128, 128) by
        default.
      hidden_channels: another name for `hidden_units`, only for images.
      activation: activation function of the networks; by default "relu" for vectors and "elu" for
        images.
      max_log_scale: bound on the logarithms of scales (see `LogisticMixtureCDF`).
      dropout: dropout rate of each residual block in training.
      num_heads: number of attention heads, only for images; 4 by default, 0 for no attention.
      base: any TFP distribution over vectors of size D, or H W C for images; a standard normal by
        default.
      seed: Python `int` that fixes the permutations and the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow`. At the start it is close to its base; for images the channels are
      rotated.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if D is below two, another size is below its minimum, or an argument that is only
        for images is given for vectors.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.flow_plus_plus(3, num_components=2, num_layers=1, hidden_units=(8,))
      >>> print(flow.log_prob(tf.zeros([5, 3])).shape)
      (5,)

    See also: `tfpf.flows.neural_spline`, `tfpf.bijectors.Coupling`.
    """
    dtype = _recipe.float_dtype(dtype)
    mixture: dict[str, Any] = {
        "transformer": LogisticMixtureCDF,
        "transformer_kwargs": {"num_components": num_components, "max_log_scale": max_log_scale},
        "invert_transformer": True,
        "context_size": context_size,
        "dropout": dropout,
        "dtype": dtype,
    }
    if _image_recipe.is_image(event_shape):
        widths = _image_recipe.widths(hidden_channels, hidden_units, (128, 128))
        options = {
            "hidden_channels": widths,
            "raw_scale": _recipe.raw_scale(widths),
            "activation": "elu" if activation is None else activation,
            **mixture,
        }
        num_heads = 4 if num_heads is None else num_heads
        scale = _image_scale(event_shape, num_layers, num_heads, seed, options)
        return _image_recipe.flow([scale], event_shape, base, dtype, "flow_plus_plus")
    size = _recipe.vector_size(event_shape, minimum=2)
    _image_recipe.refuse_for_vectors(hidden_channels=hidden_channels, num_heads=num_heads)
    widths = (128, 128) if hidden_units is None else hidden_units
    options = {
        "hidden_units": widths,
        "raw_scale": _recipe.raw_scale(widths),
        "activation": "relu" if activation is None else activation,
        **mixture,
    }

    def layer(i: int, seed: int | None) -> tfb.Bijector:
        mask = _recipe.half(size, first=i % 2 == 0)
        return _recipe.coupling((size,), mask, seed=seed, network=ResidualMLP, **options)

    bijectors = with_linear_layers(size, num_layers, seed, dtype, layer)
    return _recipe.flow(bijectors, size, base, dtype, "flow_plus_plus")


def _image_scale(
    event_shape: Sequence[int],
    num_layers: int,
    num_heads: int | None,
    seed: int | None,
    options: dict[str, Any],
) -> tfb.Bijector:
    """The flow for images: a chain from data to base."""
    shape = _image_recipe.image_shape(event_shape, num_squeezes=1)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    layer_seeds = iter(_recipe.seeds(seed, 3 * num_layers + 1))
    dtype = options["dtype"]

    def layer(shape: tuple[int, ...], mask: str | list[Any]) -> list[tfb.Bijector]:
        layer_seed = next(layer_seeds)
        coupling = _recipe.coupling(
            shape,
            mask,
            seed=layer_seed,
            network=GatedConvNet,
            num_heads=num_heads if shape[0] * shape[1] <= _MAX_ATTENDED else 0,
            **options,
        )
        rotation = InvertibleConv1x1(shape[2], seed=layer_seed, dtype=dtype)
        return [ActNorm(shape[2], dtype=dtype), rotation, coupling]

    parts = []
    for i in range(num_layers):
        parts += layer(shape, _image_recipe.BOARDS[i % 2])
    parts.append(tfb.Invert(Squeeze()))
    shape = _image_recipe.squeezed(shape)
    for i in range((num_layers + 1) // 2):
        parts += layer(shape, _image_recipe.channels(shape, first=i % 2 == 0))
    for i in range(num_layers - 1):
        parts += layer(shape, _image_recipe.BOARDS[i % 2])
    return tfb.Chain(parts)
