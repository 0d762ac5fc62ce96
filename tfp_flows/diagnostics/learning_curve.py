"""The curve of a training."""

from typing import Any

import numpy as np

from tfp_flows.diagnostics._optional import axes_or_new


def learning_curve(history: Any, ax: Any = None) -> Any:
    """Draws the loss of each epoch, and the validation loss if there is one, in nats.

    Args:
      history: what `fit` returns, or its `.history`, a `dict` that holds "loss" or "elbo".
      ax: axes of matplotlib, or `None` for a new figure.

    Returns:
      The axes. The best epoch of validation is marked.

    Raises:
      TypeError: if `history` is neither.
      ValueError: if it holds no loss.
      ImportError: if matplotlib is not installed.

    Example:
      >>> import tfp_flows as tfpf
      >>> history = {"loss": [3.2, 2.9, 2.8], "val_loss": [3.1, 2.8, 3.0]}  # `fit(...).history`
      >>> ax = tfpf.diagnostics.learning_curve(history)
      >>> ax.get_ylabel(), [line.get_label() for line in ax.lines]
      ('loss in nats', ['training', 'validation', 'best: 2.8'])

    See also: `tfpf.FlowModel`.
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
