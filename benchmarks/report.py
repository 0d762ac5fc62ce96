"""The tables of a run of `speed.py`."""

import statistics

from workloads import TASKS


def ratio(ours, theirs):
    """Median, smallest and largest of the ratios of the rounds."""
    ratios = [a / b for a, b in zip(ours["all_cpu_ms"], theirs["all_cpu_ms"], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def ratios(cells, frameworks):
    """The ratios of the first framework to each other one that did the task, by name."""
    ours, *others = (cells.get(framework, {}) for framework in frameworks)
    if "all_cpu_ms" not in ours:
        return {}
    pairs = zip(frameworks[1:], others, strict=True)
    return {name: ratio(ours, theirs) for name, theirs in pairs if "all_cpu_ms" in theirs}


def fastest(cells, frameworks):
    """The name of the fastest framework other than the first, or `None`."""
    times = {f: cells[f]["cpu_ms"] for f in frameworks[1:] if "cpu_ms" in cells.get(f, {})}
    return min(times, key=times.get, default=None)


def tables(results, frameworks):
    """Three tables in Markdown: times and ratios, weights and first calls, memory."""
    ours = frameworks[0]
    head = ("workload", "task", *frameworks, f"{ours} / fastest peer (range)")
    times, builds, memory = [head], [("workload", "", *frameworks)], [("workload", "", *frameworks)]
    for workload, result in results.items():
        for task, cells in result["tasks"].items():
            row = [_cell(cells.get(f), "cpu_ms") for f in frameworks]
            peer, found = fastest(cells, frameworks), ratios(cells, frameworks)
            last = "{:.2g} ({:.2g} to {:.2g}) ".format(*found[peer]) + peer if found else ""
            times.append((workload, task, *row, last))
        weights = [result["about"][f].get("num_weights") for f in frameworks]
        builds.append((workload, "weights", *(f"{n:,}" if n else "" for n in weights)))
        cells = result["tasks"].get("train", {})
        first = [_cell(cells.get(f), "first_call_ms", 1e-3) for f in frameworks]
        builds.append((workload, "first train step, s", *first))
        for task in TASKS:
            cells = result["tasks"].get(task, {})
            memory.append((workload, task, *(_cell(cells.get(f), "peak_mb") for f in frameworks)))
    titles = (
        "CPU time of a call, ms",
        "Weights, and CPU time of the first train step",
        "Peak memory of the first call, above that after imports, MB",
    )
    return "\n\n".join(
        f"{title}\n\n{_table(rows)}"
        for title, rows in zip(titles, (times, builds, memory), strict=True)
    )


def versions(results):
    """Names of packages with their versions."""
    found = {}
    for result in results.values():
        for about in result["about"].values():
            found.update(about.get("versions", {}))
    return [f"{name} {version}" for name, version in found.items()]


def errors(result):
    """Pairs of a framework and its error."""
    for framework, about in result["about"].items():
        if "error" in about:
            yield framework, about["error"]
    for task, cells in result["tasks"].items():
        for framework, cell in cells.items():
            if "error" in cell:
                yield framework, f"{task}: {cell['error']}"


def _table(rows):
    """Formats rows of strings, the first of them the head, in columns of even width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    head, *body = ([cell.ljust(n) for cell, n in zip(row, widths, strict=True)] for row in rows)
    return "\n".join(
        f"| {' | '.join(row)} |" for row in (head, ["-" * width for width in widths], *body)
    )


def _cell(cell, key, scale=1.0):
    if cell is None:
        return ""
    if "error" in cell:
        return "fails"
    value = scale * cell[key]
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
