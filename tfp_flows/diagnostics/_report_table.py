"""The report of `diagnose` as text."""

from collections.abc import Sequence
from typing import Any

from tfp_flows.diagnostics.columns import Columns
from tfp_flows.diagnostics.fault import HELP

_HEADER = (
    *("layer", "finite", "values", "log-det", "round trip", "condition", "outside", "saturated"),
    *("unconverged", "log-det error", "context"),
)


def report_text(report: Any) -> str:
    """A table with a line for each layer, then the faults, with what helps once for each kind."""
    rows = [
        (
            row.layer,
            _share(row.finite),
            _range(row.values),
            _range(row.log_dets),
            _number(row.round_trip),
            _number(row.condition),
            _share(row.outside),
            _share(row.saturated),
            _share(row.unconverged),
            _number(row.log_det_error),
            _number(row.context_effect),
        )
        for row in report.rows
    ]
    if report.base is not None:
        base = report.base
        nothing = ("",) * 6
        rows.append(
            ("base", _share(base.finite), "", _range(base.log_probs), *nothing)
            + (_number(base.context_effect),)
        )
    columns = [column for column in zip(_HEADER, *rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]
    summary = f"{report.num_rows} rows, from data to base; values as each layer gives them."
    faults = []
    for i, (layer, word) in enumerate(report.faults):
        is_new = word not in [fault.word for fault in report.faults[:i]]
        help_text = f" {HELP[word]}" if is_new else ""
        faults.append(f"{layer}: {word}{_which(report.data, word)}.{help_text}")
    if len(faults) > 1:
        faults.append("The first fault may cause the others: mend it, then look again.")
    lines = [summary, "", *lines, "", *(faults or ["No fault found in the layers."])]
    if report.base is not None and report.base.hides_layers:
        lines.append("The base holds layers of its own, which were not examined.")
    if report.base is not None and not faults:
        lines.append(
            "Whether the density is right: `tfpf.diagnostics.latent_normality(flow, held_out)`."
        )
    return "\n".join(lines)


def _which(data: Columns, word: str) -> str:
    if word == "constant column":
        return f" {_listed(data.constant)}"
    if word == "dependent columns":
        return " " + ", ".join(f"({_listed(group)})" for group in data.dependent)
    return ""


def _listed(columns: Sequence[int]) -> str:
    return ", ".join(map(str, columns[:10])) + (", ..." if len(columns) > 10 else "")


def _share(value: float | None) -> str:
    if value is None:
        return ""
    # 99.99 % must not be shown as 100 %, nor 0.01 % as 0 %.
    percent = min(max(round(100 * value, 1), 0.1), 99.9) if 0 < value < 1 else 100 * value
    return f"{percent:g} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _range(values: tuple[float, float]) -> str:
    return f"{values[0]:.3g} to {values[1]:.3g}"
