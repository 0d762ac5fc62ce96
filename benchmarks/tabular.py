"""Repeats published density estimates on tabular data, with the settings of their papers.

`python benchmarks/tabular.py power neural_spline --preset coupling` trains for as long as the
paper did, or for `--steps`. It writes `results.json` to a folder (see `--output`): settings, seed,
times, commit, the validation curve, and the test log-likelihood in nats with two standard errors,
which it prints beside the published ones. It tests the weights that were best on validation rows.

If a run is killed, the same command continues it, and at most the steps since the last checkpoint
are lost. The rows of a step depend only on the seed and the number of the step, and the learning
rate depends only on the number of the step.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from one_core import check_known
from tabular_data import DATASETS, load, quickstart
from tabular_presets import PRESETS, make_flow, published

import tfp_flows as tfpf

SCORING_BATCH = 5_000


def batches(x, batch_size, seed, steps):
    """A dataset of the rows of some steps, in an order that is new in every epoch.

    Args:
      x: rows `[N, D]`. Rows that do not fill a batch are left out of that epoch.
      batch_size: the number of rows of a step.
      seed: the seed of the order.
      steps: a `range` of numbers of steps, counted from the start of the training.
    """
    rows = tf.constant(x)
    steps_per_epoch = len(x) // batch_size
    last = tf.constant(len(x) - 1, tf.int64)

    def batch(step):
        place = step % steps_per_epoch * batch_size + tf.range(batch_size, dtype=tf.int64)
        order_seed = tf.stack([tf.constant(seed, tf.int64), step // steps_per_epoch])
        row = tf.random.experimental.index_shuffle(place, order_seed, last)
        return (tf.ensure_shape(tf.gather(rows, row), [batch_size, x.shape[1]]),)

    options = tf.data.Options()
    # With autotuning, the end of a dataset can wait up to 60 s, after every interval
    # (TensorFlow 2.21).
    options.autotune.enabled = False
    dataset = tf.data.Dataset.range(steps.start, steps.stop)
    return dataset.map(batch).prefetch(2).with_options(options)


class Training:
    """A model in training, its record, and the files in which both are kept."""

    def __init__(self, folder, size, settings, jit_compile):
        self.folder, self.settings = folder, settings
        self.model = tfpf.FlowModel(make_flow(size, settings, settings["seed"]))
        rate = settings["learning_rate"]
        if settings["schedule"] == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, settings["steps"])
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=settings["gradient_norm"])
        self.model.compile(optimizer, jit_compile=jit_compile)
        optimizer.build(self.model.trainable_variables)
        self.record = {"settings": settings, "calls": [], "curve": []}

    @property
    def step(self):
        """The number of steps that are done."""
        return int(self.model.optimizer.iterations)

    @property
    def seconds(self):
        """Seconds of training over all runs, without lost steps and without validation."""
        return self.record["curve"][-1]["seconds"] if self.record["curve"] else 0.0

    def best(self):
        """The entry of the curve with the highest validation log-likelihood, or `None`."""
        return max(self.record["curve"], key=lambda entry: entry["validation"], default=None)

    def path(self, name):
        """The path of a file of the run."""
        return self.folder / name

    def restore(self):
        """Continues from the last checkpoint, if there is one.

        Raises:
          ValueError: if it was made with other settings.
        """
        if self.path("record.json").exists():
            record = json.loads(self.path("record.json").read_text())
            old, new = record["settings"], json.loads(json.dumps(self.settings))
            differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            if differing:
                raise ValueError(
                    f"`--output` must be a new folder, or one of a run with the same settings: "
                    f"{', '.join(f'{key} was {old.get(key)}' for key in differing)}. Received: "
                    f"{', '.join(f'{key}={new.get(key)}' for key in differing)} for {self.folder}"
                )
            self.record = record
        if self.path("checkpoint.weights.h5").exists():
            self.model.load_weights(self.path("checkpoint.weights.h5"))
        # Steps that were recorded after the weights of the checkpoint are done again.
        kept = [entry for entry in self.record["curve"] if entry["step"] <= self.step]
        self.record["curve"] = kept
        self.record["calls"].append({"from_step": self.step, "commit": commit()})

    def is_over(self, steps_per_epoch):
        """Whether all steps are done, or validation has not improved for too long."""
        if self.settings["steps"] is not None and self.step >= self.settings["steps"]:
            return True
        patience = self.settings.get("patience_epochs")
        best = self.best()
        if patience is None or best is None:
            return False
        return self.step - best["step"] >= patience * steps_per_epoch

    def advance(self, x, validation, interval):
        """Trains up to the next multiple of `interval` steps, validates, writes a checkpoint."""
        start, seconds = self.step, self.seconds
        stop = start - start % interval + interval
        if self.settings["steps"] is not None:
            stop = min(stop, self.settings["steps"])
        clock = time.perf_counter()
        history = self.model.fit(
            batches(x, self.settings["batch_size"], self.settings["seed"], range(start, stop)),
            initial_epoch=start // interval,
            epochs=start // interval + 1,
            verbose=1 if sys.stdout.isatty() else 0,
        )
        elapsed = time.perf_counter() - clock
        log_prob = self.model.predict(validation, batch_size=SCORING_BATCH, verbose=0)
        best = self.best()
        entry = {
            "step": stop,
            "seconds": round(seconds + elapsed, 1),
            "train": -history.history["loss"][-1],
            "validation": float(log_prob.mean(dtype="float64")),
        }
        self.record["curve"].append(entry)
        # In this order, if the process is killed in between, at most this interval is repeated.
        if best is None or entry["validation"] > best["validation"]:
            self.model.save_weights(self.path("best.weights.h5"))
        write_json(self.path("record.json"), self.record)
        self.model.save_weights(self.path("checkpoint.weights.h5"))
        of_all = f" of {self.settings['steps']:,}" if self.settings["steps"] else ""
        print(
            f"step {stop:,}{of_all}: training {entry['train']:.3f}, validation "
            f"{entry['validation']:.3f} nats, {(stop - start) / elapsed:.2f} steps a second",
            flush=True,
        )

    def test_log_prob(self, test):
        """Log-densities of the test rows with the weights that were best on validation."""
        self.model.load_weights(self.path("best.weights.h5"))
        return self.model.predict(test, batch_size=SCORING_BATCH, verbose=0)


def write_json(path, values):
    """Writes a file so that either the old or the new one is there, whole."""
    scratch = path.with_suffix(".writing")
    scratch.write_text(json.dumps(values, indent=1))
    os.replace(scratch, path)


def commit():
    """The current commit, marked if files differ from it; `None` outside of a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = pathlib.Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def finish(training, rows, is_over, arguments):
    """Scores the test rows, writes `results.json`, and prints the table."""
    tutorial = quickstart()
    start = time.perf_counter()
    mean, error = tutorial.mean_and_error(training.test_log_prob(rows.test))
    seconds = time.perf_counter() - start
    gaussian = tutorial.mean_and_error(tutorial.gaussian_log_prob(rows.train, rows.test))
    record, settings = training.record, training.settings
    paper = PRESETS[arguments.recipe][arguments.preset][arguments.dataset]
    last = record["curve"][-1]
    results = {
        "dataset": arguments.dataset,
        "origin": rows.origin,
        "recipe": arguments.recipe,
        "preset": arguments.preset,
        "test_log_likelihood": mean,
        "two_standard_errors": error,
        "gaussian": {"test_log_likelihood": gaussian[0], "two_standard_errors": gaussian[1]},
        "finished": is_over,
        "steps": last["step"],
        "steps_of_the_schedule": settings["steps"],
        "steps_of_the_paper": paper["steps"],
        "best_step": training.best()["step"],
        "num_validation_rows": settings["num_validation"],
        "num_weights": training.model.count_params(),
        "training_seconds": last["seconds"],
        "steps_per_second": round(last["step"] / last["seconds"], 3),
        "test_seconds": round(seconds, 1),
        "seed": settings["seed"],
        "settings": settings,
        "calls": record["calls"],
        "versions": {m.__name__: m.__version__ for m in (tf, tfp, keras, np)},
        "machine": f"{platform.machine()}, {tf.config.threading.get_intra_op_parallelism_threads()}"
        f" threads of {os.cpu_count()} cores (0: as many as the process may use)",
        "published": published(arguments.dataset),
        "curve": record["curve"],
    }
    write_json(training.path("results.json"), results)
    table = [(f"this run, {last['step']:,} steps", mean, error), ("Gaussian, this run", *gaussian)]
    print(f"\nTest log-likelihood of {arguments.dataset} in nats, +- two standard errors")
    for name, value, spread in table + published(arguments.dataset):
        print(f"  {name:<52}{value:8.2f} +- {spread:.2f}")
    if not is_over:
        print("The training is not over: the same command goes on with it.")
    print(f"Wrote {training.path('results.json')}.")


def main(arguments=None):
    """Trains or continues training, tests, and writes results."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", metavar="DATASET", help=", ".join(DATASETS))
    parser.add_argument("recipe", metavar="RECIPE", help=", ".join(PRESETS))
    parser.add_argument("--preset", help="settings of a paper; the first of the recipe by default")
    parser.add_argument("--data", type=pathlib.Path, help="files of the data (see README.md)")
    parser.add_argument("--steps", type=int, help="of training and of its schedule")
    parser.add_argument("--minutes", type=float, help="after which this call ends, resumably")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, help="folder; made of the other arguments")
    parser.add_argument("--interval", type=int, default=500, help="steps between checkpoints")
    parser.add_argument("--num-validation", type=int, default=20_000, help="rows at each of them")
    parser.add_argument("--no-jit", action="store_true", help="do not compile by XLA")
    arguments = parser.parse_args(arguments)
    check_known(parser, "dataset", [arguments.dataset], DATASETS)
    check_known(parser, "recipe", [arguments.recipe], PRESETS)
    presets = PRESETS[arguments.recipe]
    arguments.preset = arguments.preset or next(iter(presets))
    check_known(parser, "preset", [arguments.preset], presets)
    for name in ("steps", "batch_size", "interval", "num_validation"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            option = f"--{name.replace('_', '-')}"
            parser.error(f"{option} must be at least 1. Received: {getattr(arguments, name)}")
    folder = arguments.output or pathlib.Path(
        "tabular", f"{arguments.dataset}_{arguments.preset}_{arguments.seed}"
    )
    try:
        rows = load(arguments.dataset, arguments.data)
    except (FileNotFoundError, ModuleNotFoundError) as error:
        parser.error(str(error))
    settings = {
        **presets[arguments.preset][arguments.dataset],
        "dataset": arguments.dataset,
        "preset": arguments.preset,
        "seed": arguments.seed,
        "num_validation": min(arguments.num_validation, len(rows.validation)),
    }
    settings["steps"] = arguments.steps or settings["steps"]
    settings["batch_size"] = arguments.batch_size or settings["batch_size"]
    keras.utils.set_random_seed(arguments.seed)
    training = Training(folder, rows.train.shape[1], settings, not arguments.no_jit)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        training.restore()
    except ValueError as error:
        parser.error(str(error))
    print(f"{folder}: {training.step:,} steps are done.", flush=True)

    clock = time.perf_counter()
    validation = rows.validation[: settings["num_validation"]]
    steps_per_epoch = len(rows.train) // settings["batch_size"]
    while not (is_over := training.is_over(steps_per_epoch)):
        training.advance(rows.train, validation, arguments.interval)
        if arguments.minutes and time.perf_counter() - clock >= 60 * arguments.minutes:
            is_over = training.is_over(steps_per_epoch)
            break
    finish(training, rows, is_over, arguments)


if __name__ == "__main__":
    main()
