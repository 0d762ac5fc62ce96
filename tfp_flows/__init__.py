"""Normalizing flows for TensorFlow Probability, with networks in Keras 3."""

import importlib.metadata as _metadata
import os as _os
from typing import Any as _Any

_REMEDY = (
    "`tfp_flows` needs Keras on the TensorFlow backend. Set the environment variable "
    'KERAS_BACKEND="tensorflow" before Keras is first imported, or "backend": "tensorflow" in '
    "Keras's configuration file. Received: "
)

# This comes before the import of Keras, since another backend may not even be installed.
if _os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise ImportError(f"{_REMEDY}KERAS_BACKEND={_os.environ['KERAS_BACKEND']!r}")

import keras as _keras  # noqa: E402

if _keras.backend.backend() != "tensorflow":
    raise ImportError(f"{_REMEDY}keras.backend.backend()={_keras.backend.backend()!r}")

from tfp_flows import bijectors, distributions, flows, layers, math  # noqa: E402
from tfp_flows.column import Column  # noqa: E402
from tfp_flows.conditioning import condition  # noqa: E402
from tfp_flows.models import DistributionLayer, FlowModel, VariationalModel  # noqa: E402
from tfp_flows.surrogate_posterior import surrogate_posterior  # noqa: E402
from tfp_flows.table_flow import table_flow  # noqa: E402

try:
    __version__ = _metadata.version("tfp_flows")
except _metadata.PackageNotFoundError:  # a copy of the source that is not installed
    __version__ = "0+unknown"

__all__ = [
    "Column",
    "DistributionLayer",
    "FlowModel",
    "VariationalModel",
    "bijectors",
    "condition",
    "diagnose",
    "diagnostics",
    "distributions",
    "flows",
    "layers",
    "math",
    "surrogate_posterior",
    "table_flow",
]


def __getattr__(name: str) -> _Any:
    """Imports the diagnostics when they are first asked for: no fit or sample needs them."""
    if name not in ("diagnose", "diagnostics"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import tfp_flows.diagnostics as found

    return found if name == "diagnostics" else found.diagnose


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
