"""A picture of the ratios of a run."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter
from report import ratios
from workloads import TASKS

MARKERS = "osD^vPX*"


def draw(results, frameworks, path):
    """Draws a panel per task, a line per workload, a mark per peer; left is faster."""
    ours, *others = frameworks
    workloads = list(results)
    figure, panels = plt.subplots(
        1,
        len(TASKS),
        figsize=(11.0, 1.6 + 0.32 * len(workloads)),
        sharey=True,
        layout="constrained",
    )
    marks = {}
    for task, axes in zip(TASKS, panels, strict=True):
        for height, workload in enumerate(workloads):
            found = ratios(results[workload]["tasks"].get(task, {}), frameworks)
            for name, (median, least, largest) in found.items():
                place = others.index(name)
                # Otherwise marks of one line would overlap.
                y = height + 0.6 * ((place + 0.5) / len(others) - 0.5)
                style = {"color": f"C{place}", "marker": MARKERS[place % len(MARKERS)]}
                axes.hlines(y, least, largest, color=style["color"], alpha=0.5)
                (marks[name],) = axes.plot(median, y, markersize=5, linestyle="", **style)
            if height % 2:
                axes.axhspan(height - 0.5, height + 0.5, color="black", alpha=0.04, linewidth=0)
        axes.axvline(1.0, color="black", linewidth=0.8)
        axes.set_xscale("log")
        # On an axis of less than a decade the numbers would overlap.
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.1), max(high, 10.0))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(task)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(workloads)), workloads)
    panels[0].set_ylim(len(workloads) - 0.5, -0.5)
    figure.supxlabel(f"CPU time of {ours} / that of the other: left of one {ours} is faster")
    names = [name for name in others if name in marks]
    figure.legend(
        [marks[name] for name in names], names, loc="outside upper center", ncols=len(others)
    )
    figure.savefig(path, dpi=150)
