"""Rows per second with one worker and with two of `MultiWorkerMirroredStrategy`, one core each.

    python benchmarks/clusters.py

starts the workers as processes on the loopback address, each pinned to a core of its own and with
one thread, and fits `real_nvp(20)` with batches of 4,096 rows in all. Runs with one worker and with
two take turns. It prints the rows per second of each round, and the median of the ratios. Workers
on one machine share its memory and caches; between machines the network limits them instead.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

from one_core import ONE_THREAD

BATCH, EVENT_SIZE, STEPS = 4096, 20, 30


def work(strategy_is_needed):
    """Fits, and prints the rows per second of an epoch after the one that compiles."""
    import keras
    import numpy as np
    import tensorflow as tf

    import tfp_flows as tfpf

    strategy = tf.distribute.get_strategy()
    if strategy_is_needed:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with strategy.scope():
        model = tfpf.FlowModel(tfpf.flows.real_nvp(EVENT_SIZE, seed=1))
        model.compile(keras.optimizers.Adam(1e-3), jit_compile=True)
    x = np.random.default_rng(0).normal(size=(BATCH * STEPS, EVENT_SIZE)).astype("float32")
    model.fit(x[: 2 * BATCH], batch_size=BATCH, verbose=0)
    start = time.perf_counter()
    model.fit(x, batch_size=BATCH, verbose=0)
    print(len(x) / (time.perf_counter() - start), flush=True)


def rows_per_second(cores):
    """The rows per second of the first worker, with one worker for each of `cores`."""
    sockets = [socket.socket() for _ in cores]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    workers = []
    for rank, core in enumerate(cores):
        environment = {**os.environ, **ONE_THREAD}
        if len(cores) > 1:
            task = {"type": "worker", "index": rank}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        command = ["taskset", "-c", str(core), sys.executable, __file__, "--work", str(len(cores))]
        workers.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        )
    outputs = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise RuntimeError("A worker has failed; what it says stands above.")
    return float(outputs[0].splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work > 1)
        return
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        parser.error("two workers need two cores.")
    ratios = []
    for _ in range(arguments.rounds):
        one, two = rows_per_second(cores[:1]), rows_per_second(cores)
        ratios.append(two / one)
        print(f"one worker {one:,.0f} rows/s, two {two:,.0f}, ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
