"""Shows what is wrong with a fit: layer by layer, against data, and in pictures.

`diagnose` looks at every layer of a flow. `latent_normality`, `coverage`, `c2st` and `sbc` compare
a flow with data, and `importance` compares it with a density. Each result has a `plot`. `pairs`,
`density_2d`, `learning_curve` and `transport` draw. All but `diagnose` and `importance` need scipy,
scikit-learn or matplotlib: `pip install "tfp_flows[plot]"`.
"""

from tfp_flows.diagnostics.c2st import ClassifierTest, c2st
from tfp_flows.diagnostics.columns import Columns
from tfp_flows.diagnostics.coverage import Coverage, coverage
from tfp_flows.diagnostics.density_2d import density_2d
from tfp_flows.diagnostics.diagnose import BaseRow, Report, diagnose
from tfp_flows.diagnostics.fault import Fault
from tfp_flows.diagnostics.importance import Importance, importance
from tfp_flows.diagnostics.latent_normality import LatentNormality, latent_normality
from tfp_flows.diagnostics.layer_row import LayerRow
from tfp_flows.diagnostics.learning_curve import learning_curve
from tfp_flows.diagnostics.pairs import pairs
from tfp_flows.diagnostics.sbc import Calibration, sbc
from tfp_flows.diagnostics.transport import transport

__all__ = [
    "BaseRow",
    "Calibration",
    "ClassifierTest",
    "Columns",
    "Coverage",
    "Fault",
    "Importance",
    "LatentNormality",
    "LayerRow",
    "Report",
    "c2st",
    "coverage",
    "density_2d",
    "diagnose",
    "importance",
    "latent_normality",
    "learning_curve",
    "pairs",
    "sbc",
    "transport",
]
