"""Times this package beside others: the same architecture, sizes, rows and core, in turn.

    python benchmarks/speed.py --workloads umnn sos --frameworks tfp_flows zuko

prints a table, and writes it as JSON and as a picture. See benchmarks/README.md.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import environments
from workloads import TASKS, WORKLOADS

HERE = pathlib.Path(__file__).parent
FRAMEWORKS = (
    "tfp_flows",
    "tfp",
    "zuko",
    "nflows",
    "normflows",
    "flowjax",
    "distrax",
    "bayesflow",
)
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)
SHORT = 200.0  # ms of CPU time; a task that takes less is called several times in a row
LONG = 60e3  # ms of CPU time; beyond it three rounds have to do


class Worker:
    """A process that has built one workload in one framework."""

    def __init__(self, framework, workload, interpreter, core):
        self._process = subprocess.Popen(
            [interpreter, HERE / "worker.py", framework, workload, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )
        self.about = self._answer()

    def run(self, task, calls=1):
        """CPU time of one call, in ms, and peak memory, in MB; or an error."""
        self._process.stdin.write(json.dumps({"task": task, "calls": calls}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "the process died"}

    def stop(self):
        """Ends the process, which ends with its input."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def measure(workload, frameworks, folder, repeats, core):
    """What each framework needs for each task of a workload."""
    workers = {}
    for framework in frameworks:
        interpreter = environments.python(framework, folder)
        workers[framework] = Worker(framework, workload, interpreter, core)
    about = {framework: worker.about for framework, worker in workers.items()}
    tasks = dict.fromkeys(TASKS)
    tasks.update(dict.fromkeys(t for one in about.values() for t in one.get("tasks", ())))
    results = {}
    for task in tasks:
        offering = {f: w for f, w in workers.items() if task in w.about.get("tasks", ())}
        results[task] = _in_turn(task, offering, repeats)
    for worker in workers.values():
        worker.stop()
    return {"about": about, "tasks": results}


def _in_turn(task, workers, repeats):
    """A, B, A, B, ...: whatever else the machine does then meets all of them alike."""
    first = {framework: worker.run(task) for framework, worker in workers.items()}
    results = {f: {"error": a["error"]} for f, a in first.items() if "error" in a}
    running = [framework for framework in workers if framework not in results]
    second = {framework: workers[framework].run(task)["cpu_ms"] for framework in running}
    calls = {f: min(max(round(SHORT / max(ms, 1e-3)), 1), 50) for f, ms in second.items()}
    times = {framework: [] for framework in running}
    for done in range(repeats):
        if done >= 3 and sum(map(sum, times.values())) > LONG:
            break
        for framework in running:
            times[framework].append(workers[framework].run(task, calls[framework])["cpu_ms"])
    for framework in running:
        results[framework] = {
            "cpu_ms": statistics.median(times[framework]),
            "all_cpu_ms": times[framework],
            "first_call_ms": first[framework]["cpu_ms"],
            "peak_mb": first[framework]["peak_mb"],
        }
    return results


def ratio(ours, theirs):
    """Median, least and largest of the ratios of the rounds."""
    ratios = [a / b for a, b in zip(ours["all_cpu_ms"], theirs["all_cpu_ms"], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def table(results, frameworks):
    """The results as two tables in Markdown: times with ratios, then first calls and memory."""
    ours, *others = frameworks
    lines = [_row("workload", "task", *(f"{f}, ms" for f in frameworks), *_heads(ours, others))]
    lines.append(_row(*["---"] * (2 + len(frameworks) + len(others))))
    for workload, result in results.items():
        for task, cells in result["tasks"].items():
            row = [workload, task, *(_cell(cells.get(f), "cpu_ms") for f in frameworks)]
            for other in others:
                pair = cells.get(ours, {}), cells.get(other, {})
                both = all("cpu_ms" in cell for cell in pair)
                row.append("{:.2g} ({:.2g} to {:.2g})".format(*ratio(*pair)) if both else "")
            lines.append(_row(*row))
    lines += ["", _row("workload", "", *frameworks), _row(*["---"] * (2 + len(frameworks)))]
    for workload, result in results.items():
        weights = [result["about"][f].get("num_weights") for f in frameworks]
        lines.append(_row(workload, "weights", *(f"{n:,}" if n else "" for n in weights)))
        cells = result["tasks"].get("train", {})
        first = [_cell(cells.get(f), "first_call_ms", 1e-3) for f in frameworks]
        lines.append(_row(workload, "first train step, s", *first))
        for task in TASKS:
            cells = result["tasks"].get(task, {})
            peaks = [_cell(cells.get(f), "peak_mb") for f in frameworks]
            lines.append(_row(workload, f"peak of {task}, MB", *peaks))
    return "\n".join(lines)


def _heads(ours, others):
    return (f"{ours} / {other} (range)" for other in others)


def _row(*cells):
    return f"| {' | '.join(cells)} |"


def _cell(cell, key, scale=1.0):
    if cell is None:
        return ""
    if "error" in cell:
        return "fails"
    value = scale * cell[key]
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "tfp_flows" / "benchmarks"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), metavar="NAME")
    parser.add_argument(
        "--frameworks",
        nargs="+",
        default=list(FRAMEWORKS),
        metavar="NAME",
        help="ratios are those of the first to each of the others",
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds, at least 1")
    parser.add_argument("--environments", default=cache, help="folder, made if it is not there")
    parser.add_argument("--core", type=int, help="the core of all processes; the last by default")
    parser.add_argument("--output", default="speed", help="path of the .json and .png, no ending")
    arguments = parser.parse_args()
    _check_known(parser, "workload", arguments.workloads, list(WORKLOADS))
    _check_known(parser, "framework", arguments.frameworks, list(FRAMEWORKS))
    if arguments.repeats < 1:
        parser.error(f"--repeats must be at least 1. Received: {arguments.repeats}")
    has_cores = hasattr(os, "sched_getaffinity")
    core = max(os.sched_getaffinity(0)) if has_cores else 0
    core = core if arguments.core is None else arguments.core

    results = {}
    for workload in arguments.workloads:
        print(f"Times {workload}.", file=sys.stderr, flush=True)
        folder, repeats = arguments.environments, arguments.repeats
        results[workload] = measure(workload, arguments.frameworks, folder, repeats, core)
        report = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used",
            "python": platform.python_version(),
            "frameworks": arguments.frameworks,
            "results": results,
        }
        # After each workload, so that a run that is broken off leaves what it has.
        pathlib.Path(f"{arguments.output}.json").write_text(json.dumps(report, indent=1))
    print(table(results, arguments.frameworks))
    print("\n" + "; ".join(_versions(results)))
    for workload, result in results.items():
        for framework, error in _errors(result):
            print(f"{framework}, {workload}: {error}", file=sys.stderr)
    if len(arguments.frameworks) > 1:
        from picture import draw

        draw(results, arguments.frameworks, f"{arguments.output}.png")


def _check_known(parser, kind, names, known):
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown {kind}: {', '.join(unknown)}. There are: {', '.join(known)}")


def _versions(results):
    found = {}
    for result in results.values():
        for about in result["about"].values():
            found.update(about.get("versions", {}))
    return [f"{name} {version}" for name, version in found.items()]


def _errors(result):
    for framework, about in result["about"].items():
        if "error" in about:
            yield framework, about["error"]
    for task, cells in result["tasks"].items():
        for framework, cell in cells.items():
            if "error" in cell:
                yield framework, f"{task}: {cell['error']}"


if __name__ == "__main__":
    main()
