"""The ratios of a run, as a picture."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from workloads import TASKS


def draw(results, frameworks, path):
    """One line of points a workload and task, one colour a framework; left of one is faster."""
    from speed import ratio

    ours, *others = frameworks
    rows = [(workload, task) for workload in results for task in TASKS]
    figure, axes = plt.subplots(figsize=(7.0, 1.0 + 0.28 * len(rows)), layout="constrained")
    for colour, other in enumerate(others):
        drawn = []
        for height, (workload, task) in enumerate(rows):
            cells = results[workload]["tasks"].get(task, {})
            pair = cells.get(ours, {}), cells.get(other, {})
            if all("cpu_ms" in cell for cell in pair):
                drawn.append((height, *ratio(*pair)))
        if drawn:
            heights, medians, least, largest = zip(*drawn, strict=True)
            axes.hlines(heights, least, largest, color=f"C{colour}", alpha=0.5)
            axes.plot(medians, heights, "o", color=f"C{colour}", label=other)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [f"{workload}, {task}" for workload, task in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"CPU time of {ours} / that of the other")
    axes.legend()
    figure.savefig(path, dpi=150)
