"""Packages that only diagnostics need; they are imported on first use."""

import importlib
from typing import Any


def optional(module: str) -> Any:
    """Imports a module of a package that comes with the extra `plot`.

    Raises:
      ImportError: if it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(module.split(".")[0], module.split(".")[0])
        raise ImportError(
            f"This part of `tfp_flows.diagnostics` needs {package}: "
            f'pip install "tfp_flows[plot]". Received: {error}'
        ) from error


def axes_or_new(ax: Any) -> Any:
    """The given axes, or those of a new figure."""
    return optional("matplotlib.pyplot").subplots()[1] if ax is None else ax
