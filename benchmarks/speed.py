"""Times this package and others in turn, with the same architecture, sizes, rows and core.

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
import report
from one_core import ONE_THREAD, check_known, checked_core
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
SHORT = 200.0  # ms of CPU time; a shorter task is called several times in a row
LONG = 60e3  # ms of CPU time; a longer task gets only three rounds


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
        """Returns CPU time of one call, in ms, and peak memory, in MB; or an error."""
        self._process.stdin.write(json.dumps({"task": task, "calls": calls}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "the process died"}

    def stop(self):
        """Ends the process by closing its input."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def measure(workload, frameworks, folder, repeats, core, offers):
    """Measures the time and memory of each framework for each task of a workload.

    Args:
      workload: its name.
      frameworks: their names.
      folder: the folder of the environments.
      repeats: the number of rounds.
      core: the core of all processes.
      offers: `dict` of the workloads that each framework has. It is filled here, so that later no
        process is started for a workload that its framework does not have.
    """
    workers, about = {}, {}
    for framework in frameworks:
        if workload not in offers.get(framework, (workload,)):
            about[framework] = {"offers": offers[framework]}
            continue
        interpreter = environments.python(framework, folder)
        worker = Worker(framework, workload, interpreter, core)
        about[framework] = worker.about
        offers[framework] = worker.about.get("offers", (workload,))
        workers[framework] = worker
    tasks = dict.fromkeys(TASKS)
    tasks.update(dict.fromkeys(t for one in about.values() for t in one.get("tasks", ())))
    results = {}
    for task in tasks:
        offering = {f: w for f, w in workers.items() if task in w.about.get("tasks", ())}
        results[task] = _in_turn(task, offering, repeats)
    for worker in workers.values():
        worker.stop()
    ratios = {task: report.ratios(cells, frameworks) for task, cells in results.items()}
    return {"about": about, "tasks": results, "ratios": ratios}


def _in_turn(task, workers, repeats):
    """Runs A, B, A, B, ..., so that other load on the machine affects all alike."""
    results = {}

    def run(framework, calls=1):
        """Returns the answer, or `None` after noting the error."""
        answer = workers[framework].run(task, calls)
        if "error" in answer:
            results[framework] = {"error": answer["error"]}
            return None
        return answer

    def run_all(calls=None):
        running = [framework for framework in workers if framework not in results]
        answers = {f: run(f, calls[f] if calls else 1) for f in running}
        return {f: answer for f, answer in answers.items() if answer}

    first, second = run_all(), run_all()
    calls = {f: min(max(round(SHORT / max(a["cpu_ms"], 1e-3)), 1), 50) for f, a in second.items()}
    times = {framework: [] for framework in second}
    for done in range(repeats):
        if done >= 3 and sum(map(sum, times.values())) > LONG:
            break
        for framework, answer in run_all(calls).items():
            times[framework].append(answer["cpu_ms"])
    for framework in [framework for framework in second if framework not in results]:
        results[framework] = {
            "cpu_ms": statistics.median(times[framework]),
            "all_cpu_ms": times[framework],
            "first_call_ms": first[framework]["cpu_ms"],
            "peak_mb": first[framework]["peak_mb"],
        }
    return results


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
    check_known(parser, "workload", arguments.workloads, list(WORKLOADS))
    check_known(parser, "framework", arguments.frameworks, list(FRAMEWORKS))
    if arguments.repeats < 1:
        parser.error(f"--repeats must be at least 1. Received: {arguments.repeats}")
    core = checked_core(parser, arguments.core)

    results, offers = {}, {}
    for workload in arguments.workloads:
        print(f"Times {workload}.", file=sys.stderr, flush=True)
        folder, repeats = arguments.environments, arguments.repeats
        results[workload] = measure(workload, arguments.frameworks, folder, repeats, core, offers)
        written = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used",
            "python": platform.python_version(),
            "frameworks": arguments.frameworks,
            "results": results,
        }
        # After each workload, so that an interrupted run keeps its results.
        pathlib.Path(f"{arguments.output}.json").write_text(json.dumps(written, indent=1))
    print(report.tables(results, arguments.frameworks))
    print("\n" + "; ".join(report.versions(results)))
    for workload, result in results.items():
        for framework, error in report.errors(result):
            print(f"{framework}, {workload}: {error}", file=sys.stderr)
    if len(arguments.frameworks) > 1:
        from picture import draw

        draw(results, arguments.frameworks, f"{arguments.output}.png")


if __name__ == "__main__":
    main()
