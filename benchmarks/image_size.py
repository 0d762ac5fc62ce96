"""Memory and time of a train step by the side of images.

    python benchmarks/image_size.py --flows multiscale glow --sides 8 16 32

prints a table and writes it as JSON. See benchmarks/README.md.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from one_core import ONE_THREAD, check_known, checked_core, pin
from worker import forget_peak, memory

FLOWS = {
    "multiscale": {"hidden_channels": (32, 32)},
    "glow": {"hidden_channels": (32, 32)},
    "flow_plus_plus": {"hidden_units": (32, 32)},
    "mintnet": {"hidden_channels": (32, 32)},
}
CHANNELS = 3
BATCH = 16


def measure(name, side, steps):
    """Measures one flow and one side in this process: times in ms of CPU, memory in MB."""
    import keras
    import numpy as np

    import tfp_flows as tfpf

    images = np.random.default_rng(0).integers(0, 256, size=(BATCH, side, side, CHANNELS))
    images = images.astype("uint8")
    before = memory("VmRSS")
    flow = getattr(tfpf.flows, name)((side, side, CHANNELS), seed=0, **FLOWS[name])
    model = tfpf.FlowModel(tfpf.distributions.Dequantized(flow, seed=0))
    model.compile(keras.optimizers.Adam(1e-6), jit_compile=False)
    forget_peak()
    times = []
    for _ in range(steps + 1):
        start = time.process_time()
        model.train_on_batch(images)
        times.append(1e3 * (time.process_time() - start))
    return {
        "flow": name,
        "side": side,
        "weights": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        "first_s": times[0] / 1e3,
        "step_ms": statistics.median(times[1:]),
        "step_ms_range": [min(times[1:]), max(times[1:])],
        "peak_mb": memory("VmHWM") - before,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", nargs="+", default=list(FLOWS))
    parser.add_argument("--sides", nargs="+", type=int, default=[8, 16, 32])
    parser.add_argument("--steps", type=int, default=5, help="timed, after one that is not")
    parser.add_argument("--core", type=int, help="the last by default")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("image_size.json"))
    parser.add_argument("--one", action="store_true", help="in this process, as JSON")
    options = parser.parse_args()
    check_known(parser, "flows", options.flows, FLOWS)
    if options.steps < 1:
        parser.error(f"--steps must be at least 1. Received: {options.steps}")
    if options.one:
        print(json.dumps(measure(options.flows[0], options.sides[0], options.steps)))
        return
    # Each in a process of its own, since freed memory does not always return to the system.
    pin(checked_core(parser, options.core))
    results = []
    print("| flow | side | weights | train step, ms (range) | first step, s | peak, MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.flows:
        for side in options.sides:
            command = [sys.executable, __file__, "--one", "--flows", name, "--sides", str(side)]
            command += ["--steps", str(options.steps)]
            environment = {**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"}
            answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            row = json.loads(answer.stdout.splitlines()[-1])
            results.append(row)
            low, high = row["step_ms_range"]
            print(
                f"| `{name}` | {side} | {row['weights']:,} "
                f"| {row['step_ms']:,.0f} ({low:,.0f} to {high:,.0f}) "
                f"| {row['first_s']:.1f} | {row['peak_mb']:,.0f} |",
                flush=True,
            )
            options.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
