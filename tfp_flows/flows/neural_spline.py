"""Neural spline flows: splines as transformers, with linear layers between them."""

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
    r"""$y_i = \mathrm{spline}(x_i; h_i)$

    Neural spline flow: splines with parameters from networks, and linear layers between them.

    From data to base, a layer is a coupling with splines, or an autoregressive layer of them, and
    then a linear layer (a permutation and an `LULinear`).

    Choose it first: among the flows in closed form it fits the most shapes. As a coupling flow, a
    density or a sample costs one network evaluation per layer. With `autoregressive=True` it fits
    better still for the same number of weights, but a sample costs about three network evaluations
    per layer, in D sequential steps. Both are exact. Support: all of $R^D$. Outside [-bound, bound]
    each spline is the identity, so standardize the data.

    For images `[H, W, C]` it is `tfpf.flows.glow` with splines: each of `num_scales` scales has
    `num_layers` steps of an `ActNorm`, a 1x1 convolution and a coupling of channels.

    Splines: "rational_quadratic" has a continuous density, and its inverse is a closed form of the
    same cost. "cubic" has fewer raw numbers per bin and a slower inverse. Densities of "quadratic"
    have kinks, those of "linear" have jumps.

    Source: Durkan, Bekasov, Murray and Papamakarios (2019), arXiv:1906.04032; linear and quadratic,
    Mueller et al. (2019), arXiv:1808.03856; cubic, Durkan et al. (2019), arXiv:1906.02145.

    Args:
      event_shape: D or `(D,)`, D at least two for couplings; or `(H, W, C)`, where H and W are
        multiples of `2 ** num_scales`.
      autoregressive: whether layers are `Autoregressive` instead of `Coupling`.
      spline: "linear", "quadratic", "cubic" or "rational_quadratic".
      num_bins: K, number of bins of each spline.
      bound: the splines act on [-bound, bound].
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of layers, each of splines and a linear layer; for images, in each scale.
      num_scales: number of scales, only for images; 2 by default.
      hidden_units: equal widths, one for each residual block of each network; (128, 128) by
        default.
      hidden_channels: another name for `hidden_units`, only for images.
      activation: activation function of the networks, a Keras name or a callable.
      dropout: dropout rate of each residual block in training.
      solver: method for the slow direction of autoregressive layers, "sequential" or "jacobi" (see
        `Autoregressive`).
      base: any TFP distribution over vectors of size D, or H W C for images; a standard normal by
        default.
      seed: Python `int` that fixes the permutations and the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow`. At the start it equals its base; for images the channels are
      rotated.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if the spline or solver is unknown, a solver is given for couplings, the bound is
        not positive, a size is below its minimum, or an argument that is only for images is given
        for vectors.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.neural_spline(2, num_layers=1, num_bins=4, hidden_units=(8,))
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.bijectors.RationalQuadraticSpline`, `tfpf.bijectors.LULinear`.
    """
    dtype = _recipe.float_dtype(dtype)
    if solver != "sequential" and not autoregressive:
        raise ValueError(
            "`solver` applies only to autoregressive layers: couplings have no slow direction. "
            f"Received: solver={solver!r}, autoregressive={autoregressive}"
        )
    transformer = _SPLINES[_checks.one_of(spline, tuple(_SPLINES), "spline")]
    splines: dict[str, Any] = {
        "transformer": transformer,
        "transformer_kwargs": {"num_bins": num_bins, "bound": bound},
        # Bins of equal width must be on the side of the data: log |dy/dx| jumps at the knots, and
        # gradients do not see a jump whose place depends on parameters (a fit then misses the
        # optimum by 1.9 nats, instead of 0.03).
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
    network_kwargs |= _recipe.bias_at_full_rate(MADE, splines["raw_scale"])
    network = MADE(size, params_size, residual=True, context_size=context_size, **network_kwargs)
    _recipe.build(network, size, context_size)
    return Autoregressive(network, solver=solver, **splines)
