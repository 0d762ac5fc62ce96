"""Learning curves beside other packages: the same architecture, rows, order, rate and steps.

    python benchmarks/learning.py --data ../data

trains coupling and autoregressive splines, affine couplings and MAFs in every framework that has
them, with three seeds, and scores held-out rows after 200, 1,000 and 5,000 steps. It writes
`learning.json` to the current folder after each training. Trainings that are already in that file
are not repeated. `--report` prints the table and draws `learning.png` from that file. `--data` is
the folder of `bsds300_gray.npz` and `miniboone_partial.npz`, as `benchmarks/README.md` says.
Without it these two are left out.

The aim for each line of the table is a mean test log-likelihood over seeds that is below that of
the best other framework by at most 0.01 D nats, or two standard errors if that is more.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import environments
import numpy as np
import sklearn.datasets
import tabular_data
from matplotlib.figure import Figure
from one_core import ONE_THREAD, check_known, checked_core

HERE = pathlib.Path(__file__).parent
FRAMEWORKS = ("tfp_flows", "zuko", "nflows", "normflows", "flowjax", "bayesflow")
MODELS = ("spline_coupling", "spline_autoregressive", "affine_coupling", "maf")
SEEDS = (0, 1, 2)
STEPS = (200, 1000, 5000)
RATE = 1e-3
NUM_TRAIN, NUM_TEST = 20_000, 10_000


def even(x):
    """Rows without the last column if it is an odd one, so that all frameworks split alike."""
    return x[:, : x.shape[1] // 2 * 2]


def standardised(train, test):
    mean, scale = train.mean(axis=0), train.std(axis=0)
    return [even((part - mean) / scale).astype("float32") for part in (train, test)]


def power(folder):
    del folder
    rows = tabular_data.load("power", None)
    return standardised(rows.train[:NUM_TRAIN], rows.test[:NUM_TEST])


def bsds300(folder):
    rows = tabular_data.load("bsds300", folder / "bsds300_gray.npz")
    return standardised(rows.train[:NUM_TRAIN], rows.test[:NUM_TEST])


def miniboone(folder):
    """Trains on the validation rows, since too few of the published training rows are at hand."""
    with np.load(folder / "miniboone_partial.npz") as file:
        return standardised(np.concatenate([file["train_head"], file["val"]]), file["test"])


def of_sklearn(load):
    def loaded(folder):
        del folder
        x = load().data
        x = x[np.random.default_rng(0).permutation(len(x))]
        return standardised(x[: int(0.8 * len(x))], x[int(0.8 * len(x)) :])

    return loaded


# Loader, and the last step, since after that flows memorize a small table.
DATA = {
    "power": (power, 5000),
    "bsds300": (bsds300, 5000),
    "miniboone": (miniboone, 1000),
    "diabetes": (of_sklearn(sklearn.datasets.load_diabetes), 1000),
    "wine": (of_sklearn(sklearn.datasets.load_wine), 200),
}


def train(framework, model, data, seed, last_step, folder, core):
    """The lines that one training printed, as one `dict`, with its error if it failed."""
    command = [environments.python(framework, folder), HERE / "learning_worker.py"]
    command += [framework, model, data, RATE, seed, *(s for s in STEPS if s <= last_step)]
    environment = {**os.environ, **ONE_THREAD}
    if core is not None:
        command = ["taskset", "-c", core, *command]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment
    )
    result = {"scores": []}
    for line in map(json.loads, done.stdout.splitlines()):
        if "step" in line:
            result["scores"].append(line)
        else:
            result.update(line)
    if done.returncode:
        result["error"] = done.stderr.strip().splitlines()[-1][:200]
    return result


def train_all(arguments, path, core):
    """Runs the trainings that are not yet in the file at `path`; writes it after each."""
    results = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.data_sets:
            load, last_step = DATA[name]
            if arguments.data is None and load in (bsds300, miniboone):
                print(f"{name}: left out, it needs --data.", file=sys.stderr)
                continue
            file = pathlib.Path(scratch) / f"{name}.npz"
            for seed in arguments.seeds:
                for model in arguments.models:
                    for framework in arguments.frameworks:
                        key = f"{name}/{model}/{framework}/{seed}"
                        if key in results:
                            continue
                        if not file.exists():
                            rows = load(arguments.data)
                            np.savez(file, train=rows[0], test=rows[1])
                        result = train(
                            framework, model, file, seed, last_step, arguments.folder, core
                        )
                        results[key] = result
                        path.write_text(json.dumps(results, indent=1))
                        nats = [round(score["nats"], 3) for score in result["scores"]]
                        print(key, nats, result.get("error", ""), flush=True)
    return results


def table(results):
    """Lines of `(data, model, step, scores of each framework [seeds], margin)`."""
    lines = []
    for name in DATA:
        for model in MODELS:
            for step in STEPS:
                scores, errors = {}, []
                for framework in FRAMEWORKS:
                    found = [
                        score
                        for seed in SEEDS
                        for score in results.get(f"{name}/{model}/{framework}/{seed}", {}).get(
                            "scores", []
                        )
                        if score["step"] == step
                    ]
                    if found:
                        scores[framework] = [score["nats"] for score in found]
                        errors += [score["error"] for score in found]
                if "tfp_flows" in scores and len(scores) > 1:
                    lines.append((name, model, step, scores, 2 * float(np.median(errors))))
    return lines


def report(results, dimensions):
    """Prints a table in Markdown: means over seeds, and whether the aim holds."""
    print("| data | model | steps |", " | ".join(FRAMEWORKS), "| ours less the best | allowed |")
    print("|---" * (5 + len(FRAMEWORKS)) + "|")
    for name, model, step, scores, error in table(results):
        means = {framework: float(np.mean(values)) for framework, values in scores.items()}
        best = max(value for f, value in means.items() if f != "tfp_flows" and np.isfinite(value))
        allowed = -max(0.01 * dimensions[name], error)
        difference = means["tfp_flows"] - best
        cells = [f"{means[f]:.3f}" if f in means else "" for f in FRAMEWORKS]
        word = "" if difference >= allowed else " (missed)"
        print(
            f"| {name} | {model} | {step:,} |",
            " | ".join(cells),
            f"| {difference:+.3f}{word} | {allowed:.3f} |",
        )


def draw(results, path):
    """One panel for each data set and model: test nats against steps, all seeds.

    A panel leaves out what is more than six times as far below the best as the median is.
    """
    lines = table(results)
    names = [name for name in DATA if any(line[0] == name for line in lines)]
    figure = Figure(figsize=(3 * len(MODELS), 2.4 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), len(MODELS), squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for axis, model in zip(row, MODELS, strict=True):
            here = [line for line in lines if line[:2] == (name, model)]
            for color, framework in enumerate(FRAMEWORKS):
                steps = [line[2] for line in here if framework in line[3]]
                scores = [line[3][framework] for line in here if framework in line[3]]
                means = [np.mean(values) for values in scores]
                axis.plot(steps, means, f"C{color}o-", markersize=3, label=framework)
                for step, values in zip(steps, scores, strict=True):
                    axis.plot([step] * len(values), values, f"C{color}_", alpha=0.5)
            axis.set(xscale="log", title=f"{name}, {model}", xlim=(150, 7000))
            axis.set_xticks(STEPS, [f"{step:,}" for step in STEPS])
            axis.set_xticks([], minor=True)
            nats = np.concatenate([values for line in here for values in line[3].values()])
            nats = nats[np.isfinite(nats)]
            best, middle = nats.max(), np.median(nats)
            margin = 0.05 * (best - middle)
            axis.set_ylim(max(nats.min(), best - 6.0 * (best - middle)) - margin, best + margin)
            axis.title.set_fontsize(8)
            axis.tick_params(labelsize=7)
        row[0].set_ylabel("test nats", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("steps", fontsize=8)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8
    )
    figure.savefig(path, dpi=110)


def main():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "tfp_flows" / "benchmarks"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=pathlib.Path, help="folder of the data sets")
    parser.add_argument("--data-sets", nargs="+", default=list(DATA), metavar="NAME")
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="NAME")
    parser.add_argument("--frameworks", nargs="+", default=list(FRAMEWORKS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--core", type=int, help="that of all processes; default: the last")
    parser.add_argument("--folder", default=str(cache), help="where the environments are")
    parser.add_argument("--report", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    check_known(parser, "data sets", arguments.data_sets, DATA)
    check_known(parser, "models", arguments.models, MODELS)
    check_known(parser, "frameworks", arguments.frameworks, FRAMEWORKS)
    path = pathlib.Path("learning.json")
    if arguments.report:
        results = json.loads(path.read_text())
    else:
        results = train_all(arguments, path, checked_core(parser, arguments.core))
    dimensions = {"power": 6, "bsds300": 62, "miniboone": 42, "diabetes": 10, "wine": 12}
    if table(results):  # it needs this package beside another one
        report(results, dimensions)
        draw(results, "learning.png")


if __name__ == "__main__":
    main()
