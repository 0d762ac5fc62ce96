"""Bijectors of normalizing flows, each one a `tfb.Bijector`."""

from tfp_flows.bijectors.conditioned import (
    Amortized,
    Autoregressive,
    BlockAutoregressive,
    Coupling,
    MaskedConvolution,
)
from tfp_flows.bijectors.continuous import (
    Continuous,
    HutchinsonNoise,
)
from tfp_flows.bijectors.flow_bijector import (
    FlowBijector,
    forward_and_log_det,
    inverse_and_log_det,
)
from tfp_flows.bijectors.linear import (
    HouseholderLinear,
    InvertibleConv1x1,
    LULinear,
    QRLinear,
)
from tfp_flows.bijectors.normalization import (
    ActNorm,
    BatchNorm,
    Standardize,
    StandardizeContext,
)
from tfp_flows.bijectors.residual import (
    Planar,
    Radial,
    Residual,
    Sylvester,
)
from tfp_flows.bijectors.shape import (
    MultiScale,
    Squeeze,
)
from tfp_flows.bijectors.transformers import (
    Affine,
    CircularSpline,
    CubicSpline,
    DeepSigmoid,
    DenseDeepSigmoid,
    LinearSpline,
    LogisticMixtureCDF,
    MonotoneActivations,
    MonotoneIntegral,
    QuadraticSpline,
    RationalQuadraticSpline,
    SumOfSquares,
)

__all__ = [
    "ActNorm",
    "Affine",
    "Amortized",
    "Autoregressive",
    "BatchNorm",
    "BlockAutoregressive",
    "CircularSpline",
    "Continuous",
    "Coupling",
    "CubicSpline",
    "DeepSigmoid",
    "DenseDeepSigmoid",
    "FlowBijector",
    "HouseholderLinear",
    "HutchinsonNoise",
    "InvertibleConv1x1",
    "LULinear",
    "LinearSpline",
    "LogisticMixtureCDF",
    "MaskedConvolution",
    "MonotoneActivations",
    "MonotoneIntegral",
    "MultiScale",
    "Planar",
    "QRLinear",
    "QuadraticSpline",
    "Radial",
    "RationalQuadraticSpline",
    "Residual",
    "Squeeze",
    "Standardize",
    "StandardizeContext",
    "SumOfSquares",
    "Sylvester",
    "forward_and_log_det",
    "inverse_and_log_det",
]
