"""Neural spline flows: splines for transformers, linear layers between."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import (
    Autoregressive,
    CubicSpline,
    LinearSpline,
    QuadraticSpline,
    RationalQuadraticSpline,
)
from tfp_flows.distributions import Flow
from tfp_flows.flows import _image_recipe, _recipe
from tfp_flows.flows._linear_layers import with_linear_layers
from tfp_flows.layers import MADE, ResidualMLP

_SPLINES = {
    "linear": LinearSpline,
    "quadratic": QuadraticSpline,
    "cubic": CubicSpline,
    "rational_quadratic": RationalQuadraticSpline,
}


def neural_spline(
    event_shape: int | Sequence[int],
    *,
    autoregressive: bool = False,
    spline: str = "rational_quadratic",
    num_bins: int = 8,
    bound: float = 5.0,
    context_size: int = 0,
    num_layers: int = 6,
    num_scales: int | None = None,
    hidden_units: Sequence[int] | None = None,
    hidden_channels: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] = "relu",
    dropout: float = 0.0,
    solver: str = "sequential",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y_i = spline(x_i; h_i), then a linear layer (a permutation and LU), layer upon layer.

    Choose it first: among flows with a closed form it fits most. As a coupling flow, density and
    samples cost one network evaluation a layer each. With `autoregressive=True` it fits better
    still for as many weights, and samples cost about three, in D steps. Both are exact. Support:
    all of R^D; outside [-bound, bound] each spline is the identity, so standardise the data.

    Of images `[H, W, C]` it is `glow` with splines: in each of `num_scales` scales `num_layers`
    steps of an `ActNorm`, a 1x1 convolution and a coupling of channels.

    Splines: "rational_quadratic" has a continuous density and a closed inverse of the same cost;
    "cubic" has fewer raw numbers a bin and a dearer inverse; densities of "quadratic" have kinks,
    those of "linear" are steps.

    Source: Durkan, Bekasov, Murray and Papamakarios (2019), arXiv:1906.04032; linear and
    quadratic, Mueller et al. (2019), arXiv:1808.03856; cubic, Durkan et al. (2019),
    arXiv:1906.02145.

    Args:
      event_shape: D or `(D,)`, D of at least two for couplings; or `(H, W, C)`, whose sides can be
        halved once for every scale.
      autoregressive: whether layers are `Autoregressive` instead of `Coupling`.
      spline: "linear", "quadratic", "cubic" or "rational_quadratic".
      num_bins: K, bins of each spline.
      bound: the splines act on [-bound, bound].
      context_size: C, or 0 for an unconditional flow.
      num_layers: layers, each of splines and a linear one; of images, in each scale.
      num_scales: of images, for which it is 2 by default; not for vectors.
      hidden_units: widths, all the same, one for each residual block of each network; (128, 128)
        by default.
      hidden_channels: the same of images, for which `hidden_units` is another name; not for
        vectors.
      activation: of the networks.
      dropout: rate in each residual block, in training.
      solver: of the slow direction of autoregressive layers, "sequential" or "jacobi" (see
        `Autoregressive`).
      base: any TFP distribution over vectors of D, for images of H W C; a standard normal by
        default.
      seed: Python `int`, of the networks' weights and the permutations.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for an unknown spline or solver, a solver of couplings, a bound that is not
        positive, a size below its minimum, or an argument that only images have, given for
        vectors.
    """
    dtype = _recipe.float_dtype(dtype)
    if solver != "sequential" and not autoregressive:
        raise ValueError(
            "`solver` is of autoregressive layers: couplings have no slow direction. "
            f"Received: solver={solver!r}, autoregressive={autoregressive}"
        )
    transformer = _SPLINES[_checks.one_of(spline, tuple(_SPLINES), "spline")]
    splines: dict[str, Any] = {
        "transformer": transformer,
        "transformer_kwargs": {"num_bins": num_bins, "bound": bound},
        # Bins of equal width have to lie in the data: log |dy/dx| jumps at the knots, and
        # gradients do not see jumps that parameters move (1.9 nats lost where 0.03 can be
        # reached).
        "invert_transformer": transformer is LinearSpline,
        "context_size": context_size,
    }
    network_kwargs: dict[str, Any] = {"activation": activation, "dropout": dropout, "dtype": dtype}
    if _image_recipe.is_image(event_shape) and not autoregressive:
        widths = _image_recipe.widths(hidden_channels, hidden_units, (128, 128))
        num_scales = 2 if num_scales is None else num_scales
        splines["raw_scale"] = _recipe.raw_scale(widths, gain=0.6)
        options = {"hidden_channels": widths, "seed": seed, **splines, **network_kwargs}
        scales = _image_recipe.glow_scales(event_shape, num_scales, num_layers, **options)
        return _image_recipe.flow(scales, event_shape, base, dtype, "neural_spline")
    minimum = 1 if autoregressive else 2
    size = _recipe.vector_size(event_shape, minimum, "set `autoregressive=True`")
    _image_recipe.refuse_for_vectors(hidden_channels=hidden_channels, num_scales=num_scales)
    widths = (128, 128) if hidden_units is None else hidden_units
    network_kwargs["hidden_units"] = widths
    splines["raw_scale"] = _recipe.raw_scale(widths, gain=0.6)

    def layer(i: int, seed: int | None) -> tfp.bijectors.Bijector:
        if autoregressive:
            return _autoregressive(size, splines, solver, {**network_kwargs, "seed": seed})
        mask = _recipe.half(size, first=i % 2 == 0)
        options = {"network": ResidualMLP, "seed": seed, **splines, **network_kwargs}
        return _recipe.coupling((size,), mask, **options)

    bijectors = with_linear_layers(size, num_layers, seed, dtype, layer)
    return _recipe.flow(bijectors, size, base, dtype, "neural_spline")


def _autoregressive(
    size: int, splines: dict[str, Any], solver: str, network_kwargs: dict[str, Any]
) -> Autoregressive:
    """An autoregressive layer of splines."""
    context_size = splines["context_size"]
    params_size = splines["transformer"].params_size(**splines["transformer_kwargs"])
    network_kwargs["dtype"] = _recipe.network_policy(network_kwargs["dtype"])
    network = MADE(size, params_size, residual=True, context_size=context_size, **network_kwargs)
    _recipe.build(network, size, context_size)
    return Autoregressive(network, solver=solver, **splines)
