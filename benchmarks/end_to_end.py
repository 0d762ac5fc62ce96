"""From import to samples beside other packages: how long a user waits, and for what likelihood.

    python benchmarks/end_to_end.py

starts a fresh process for each library. It imports the library, makes a flow, fits it to UCI POWER
with validation and early stopping, scores 10,000 test rows and draws 10,000 samples. This is done
for coupling splines and MAFs, and for 2,000, 10,000 and 100,000 rows. The script prints the
wall-clock time, the peak memory and the test likelihood in nats, and writes `end_to_end.json`.
Results that are already in that file are not run again.

The main figure is the time to likelihood: seconds from the start of the process until the final
test likelihood of the best other library is reached, at the end of an epoch. Scoring the test rows
after each epoch is not counted. FlowJAX's loop has no callbacks, so only its end is known.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile
import time

import environments
import numpy as np
import tabular_data
from one_core import check_known

HERE = pathlib.Path(__file__).parent
FRAMEWORKS = ("tfp_flows", "flowjax", "zuko", "nflows", "normflows", "bayesflow")
MODELS = ("spline_coupling", "maf")
NUM_ROWS = (2_000, 10_000, 100_000)
NUM_TEST = 10_000
EPOCHS, PATIENCE = 30, 5


def session(framework, model, data, seed, folder):
    """The output of one process, as one `dict`."""
    command = [environments.python(framework, folder), HERE / "end_to_end_worker.py"]
    command += [framework, model, data, seed, EPOCHS, PATIENCE, time.time()]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    result = {"epochs": []}
    for line in map(json.loads, done.stdout.splitlines()):
        if "epoch_s" in line:
            result["epochs"].append(line)
        else:
            result.update(line)
    if done.returncode:
        result["error"] = done.stderr.strip().splitlines()[-1][:200]
    return result


def run_all(arguments, path):
    results = json.loads(path.read_text()) if path.exists() else {}
    power = tabular_data.load("power", None)
    with tempfile.TemporaryDirectory() as scratch:
        for num_rows in arguments.rows:
            file = pathlib.Path(scratch) / "power.npz"
            parts = {"train": power.train[:num_rows], "test": power.test[:NUM_TEST]}
            np.savez(file, validation=power.validation[: num_rows // 10], **parts)
            for seed in arguments.seeds:
                for model in arguments.models:
                    for framework in arguments.frameworks:
                        key = f"{num_rows}/{model}/{framework}/{seed}"
                        if key not in results:
                            results[key] = session(framework, model, file, seed, arguments.folder)
                            path.write_text(json.dumps(results, indent=1))
                            print(key, summary(results[key]), flush=True)
    return results


def nats(result):
    """Test nats of the epoch that was best in validation, or else those at the end."""
    if result["epochs"]:
        return max(result["epochs"], key=lambda epoch: epoch["validation"])["nats"]
    return result.get("last_nats", math.nan)


def time_to(result, target):
    """Seconds until `target` nats, or None."""
    for epoch in result["epochs"]:
        if epoch["nats"] >= target:
            return epoch["epoch_s"]
    if not result["epochs"] and result.get("last_nats", -math.inf) >= target:
        return result["fitted_s"]
    return None


def summary(result):
    if result.get("missing"):
        return "no such flow"
    if "error" in result:
        return result["error"]
    return f"{result['done_s']:.0f} s, {result['peak_mb']:,.0f} MB, {nats(result):.3f} nats"


def report(results):
    """A table in Markdown; medians over seeds."""
    print("\n| rows | model | library | seconds | peak MB | nats | seconds to likelihood | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    lines = {tuple(key.split("/")[:3]) for key in results}
    for num_rows, model in sorted({line[:2] for line in lines}, key=lambda k: (int(k[0]), k[1])):
        runs = {}
        for framework in FRAMEWORKS:
            found = [
                result
                for key, result in results.items()
                if key.startswith(f"{num_rows}/{model}/{framework}/") and "done_s" in result
            ]
            if found:
                runs[framework] = found
        peers = {f: float(np.median([nats(r) for r in found])) for f, found in runs.items()}
        ours = peers.pop("tfp_flows", math.nan)
        target = max(peers.values(), default=ours)
        times = {}
        for framework, found in runs.items():
            reached = [time_to(result, target - 1e-9) for result in found]
            times[framework] = float(np.median([math.inf if t is None else t for t in reached]))
        best = min((times[f] for f in peers), default=math.inf)
        for framework, found in runs.items():
            cells = [
                f"{np.median([r['done_s'] for r in found]):.0f}",
                f"{np.median([r['peak_mb'] for r in found]):,.0f}",
                f"{np.median([nats(r) for r in found]):.3f}",
                "never" if math.isinf(times[framework]) else f"{times[framework]:.0f}",
                f"{times[framework] / best:.2f}" if framework == "tfp_flows" else "",
            ]
            print(f"| {int(num_rows):,} | {model} | {framework} |", " | ".join(cells), "|")


def main():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "tfp_flows" / "benchmarks"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", type=int, default=list(NUM_ROWS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="NAME")
    parser.add_argument("--frameworks", nargs="+", default=list(FRAMEWORKS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--folder", default=str(cache), help="where the environments are")
    parser.add_argument("--report", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    check_known(parser, "models", arguments.models, MODELS)
    check_known(parser, "frameworks", arguments.frameworks, FRAMEWORKS)
    path = pathlib.Path("end_to_end.json")
    report(json.loads(path.read_text()) if arguments.report else run_all(arguments, path))


if __name__ == "__main__":
    main()
