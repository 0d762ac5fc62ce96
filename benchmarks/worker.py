"""The process of one framework: it times one task for each line that it reads.

    python benchmarks/worker.py FRAMEWORK WORKLOAD CORE

Each line of standard input is JSON, `{"task": "train", "calls": 3}`. The answer is a line of JSON
on standard output. The first output line describes the workload that was built.
"""

import importlib
import importlib.metadata
import json
import os
import pathlib
import resource
import sys
import time

from one_core import pin
from seeds import set_seed


def main(framework, workload, core):
    # Before a framework is imported, since some count the cores then and start as many threads.
    pin(core)
    # Output of a framework must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values):
        answers.write(json.dumps(values) + "\n")

    from workloads import WORKLOADS

    module = importlib.import_module(f"workers.{framework}")
    versions = {name: importlib.metadata.version(name) for name in module.VERSIONS}
    offers = list(module.WORKLOADS)
    if workload not in offers:
        answer(offers=offers, versions=versions)
        return
    baseline = memory("VmRSS")
    try:
        set_seed(WORKLOADS[workload].seed)
        num_weights, tasks = module.WORKLOADS[workload](WORKLOADS[workload])
    except Exception as error:
        answer(error=_short(error), offers=offers, versions=versions)
        return
    answer(num_weights=int(num_weights), tasks=list(tasks), offers=offers, versions=versions)
    for line in sys.stdin:
        request = json.loads(line)
        run, calls = tasks[request["task"]], request["calls"]
        forget_peak()
        start = time.process_time()
        try:
            for _ in range(calls):
                run()
        except Exception as error:
            answer(error=_short(error))
            continue
        cpu_ms = 1e3 * (time.process_time() - start) / calls
        answer(cpu_ms=cpu_ms, peak_mb=memory("VmHWM") - baseline)


def _short(error):
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def memory(field):
    """Resident memory now (`VmRSS`) or at its peak (`VmHWM`), in MB."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():  # Not Linux: the peak in both cases, in bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return float(line.split()[1]) * 1024 / 1e6


def forget_peak():
    """Resets the peak, if the system allows it."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
