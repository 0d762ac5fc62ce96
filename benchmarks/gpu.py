"""Times the main workloads of this package on a GPU, in under ten minutes.

    python benchmarks/gpu.py

prints a table: seconds of the first call of each task, which compiles; the median milliseconds of
a later call; rows per second; and the peak memory of the device. It starts no more workloads when
`--minutes` are nearly over, and says which it left out. `--device CPU` tries the script on a
machine without a GPU. For numbers of a CPU use `speed.py`, which measures more carefully.
"""

import argparse
import json
import os
import pathlib
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from workers import tfp_flows as ours
from workloads import WORKLOADS, Workload

import tfp_flows as tfpf

# Sizes that keep a GPU busy: batches of thousands.
BATCH, POINTS, SAMPLES = 4096, 100_000, 100_000
VECTORS = ("affine_coupling", "spline_coupling", "spline_autoregressive", "maf", "umnn", "sos")
IMAGE = (32, 32, 3)


class Images(Workload):
    """Images of 32 x 32 in place of rows."""

    def batch(self):
        """Images to train on."""
        return tf.random.stateless_normal([self.batch_size, *IMAGE], [0, 1]).numpy()

    def points(self):
        """Images to score."""
        return tf.random.stateless_normal([self.num_points, *IMAGE], [0, 2]).numpy()


def glow(sizes):
    """Three scales of eight steps, networks of 128 channels."""
    networks = {"hidden_channels": (128, 128), "seed": sizes.seed}
    return tfpf.flows.glow(IMAGE, num_scales=3, num_layers=8, **networks)


def workloads():
    """Workloads by name: the sizes, and the function that makes the tasks."""
    found = {}
    for name in VECTORS:
        sizes = WORKLOADS[name]._replace(batch_size=BATCH, num_points=POINTS)
        # Fewer samples, since each needs root searches.
        num_samples = SAMPLES if "coupling" in name else SAMPLES // 10
        found[name] = (ours.FLOWS[name], sizes._replace(num_samples=num_samples))
    found["glow, 32 x 32 x 3"] = (glow, Images(0, 24, (128, 128), 64, 256, 256))
    return found


def time_of(run, seconds):
    """Seconds of the first call, and the median of later ones within `seconds`, at least three."""
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    times, begin = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begin < seconds and len(times) < 200):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return first, statistics.median(times)


def measure(make, sizes, device, seconds):
    """Rows of the table for one workload."""
    if device == "GPU":
        tf.config.experimental.reset_memory_stats("GPU:0")
    with tf.device(f"/{device}:0"):
        num_weights, tasks = ours.tasks(make(sizes), sizes)
        rows = {"train": sizes.batch_size, "log_prob": sizes.num_points}
        rows["sample"] = sizes.num_samples
        results = {}
        for task, run in tasks.items():
            first, median = time_of(run, seconds)
            results[task] = {
                "first_s": first,
                "ms": 1e3 * median,
                "rows_per_s": rows[task] / median,
            }
            if device == "GPU":
                peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
                results[task]["peak_mb"] = peak / 1e6
    return {"num_weights": int(num_weights), "tasks": results}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["GPU", "CPU"], default="GPU")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--workloads", nargs="+", default=list(workloads()), metavar="NAME")
    arguments = parser.parse_args()
    devices = tf.config.list_physical_devices(arguments.device)
    if not devices:
        parser.error(f"--device must be one that TensorFlow finds. Received: {arguments.device}")
    details = tf.config.experimental.get_device_details(devices[0])
    name = details.get("device_name", arguments.device)
    print(f"{name}, TensorFlow {tf.__version__}, under XLA, float32\n")
    columns = "weights | task | first call [s] | a call [ms] | rows a second | peak [MB]"
    print(f"| workload | {columns} |")
    print("|---|---|---|---|---|---|---|")
    start, longest, results = time.perf_counter(), 0.0, {"device": name, "workloads": {}}
    for workload in arguments.workloads:
        make, sizes = workloads()[workload]
        begin = time.perf_counter()
        if begin - start + 1.5 * longest > 60.0 * arguments.minutes:
            print(f"| {workload} | left out: no time | | | | | |", flush=True)
            continue
        measured = measure(make, sizes, arguments.device, seconds=5.0)
        results["workloads"][workload] = measured
        for task, row in measured["tasks"].items():
            print(
                f"| {workload} | {measured['num_weights']:,} | {task} | {row['first_s']:.1f} "
                f"| {row['ms']:.2f} | {row['rows_per_s']:,.0f} | {row.get('peak_mb', 0.0):,.0f} |",
                flush=True,
            )
        longest = max(longest, time.perf_counter() - begin)
    pathlib.Path("gpu.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
