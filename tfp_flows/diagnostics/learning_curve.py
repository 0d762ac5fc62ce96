"""How a training went."""

from typing import Any

import numpy as np

from tfp_flows.diagnostics._optional import axes_or_new


def learning_curve(history: Any, ax: Any = None) -> Any:
    """Draws the loss of each epoch, and of validation if there was any, in nats.

    ```python
    model = tfp_flows.FlowModel(tfp_flows.flows.nice(2, num_layers=2, hidden_units=(8,)))
    model.compile(optimizer="adam", jit_compile=False)
    x = np.random.default_rng(1).normal(size=[64, 2])
    history = model.fit(x, validation_split=0.5, epochs=2, verbose=0)
    ax = tfp_flows.diagnostics.learning_curve(history)
    ```

    Args:
      history: what `fit` returns, or its `.history`, a `dict` that holds "loss" or "elbo".
      ax: axes of matplotlib, or `None` for a new figure.

    Returns:
      The axes. The best epoch of validation is marked.

    Raises:
      TypeError: if `history` is neither.
      ValueError: if it holds no loss.
      ImportError: if matplotlib is not installed.
    """
    curves = getattr(history, "history", history)
    if not isinstance(curves, dict):
        raise TypeError(
            f"`history` must be what `fit` returns, or a dict. Received: history={history!r}"
        )
    name = "loss" if "loss" in curves else "elbo"
    if not len(curves.get(name, ())):
        raise ValueError(
            f"`history` must hold 'loss' or 'elbo'. Received: history of {sorted(curves)}"
        )
    ax = axes_or_new(ax)
    for key, label in ((name, "training"), (f"val_{name}", "validation")):
        if key in curves:
            values = np.asarray(curves[key], np.float64)
            epochs = np.arange(1, len(values) + 1)
            ax.plot(epochs, values, label=label)
    if f"val_{name}" in curves and np.isfinite(values).any():
        best = np.nanargmin(values) if name == "loss" else np.nanargmax(values)
        ax.plot(epochs[best], values[best], "o", label=f"best: {values[best]:.4g}")
    ax.set_xlabel("epoch")
    ax.set_ylabel(f"{name} in nats")
    ax.legend()
    return ax
