"""How close a train step comes to that of the flow's networks alone, the lower limit.

    python benchmarks/limit.py --workloads affine_coupling maf

prints a table and writes it as JSON. See benchmarks/README.md.
"""

import argparse
import json
import os
import pathlib
import statistics
import time

from one_core import ONE_THREAD, check_known, checked_core, pin

SHORT = 0.2  # seconds of CPU time; a shorter step is made several times in a row
# The workloads of `workloads.py` whose layers have conditioner networks.
NAMES = (
    "affine_coupling",
    "spline_coupling",
    "spline_autoregressive",
    "maf",
    "maf63",
    "umnn",
    "sos",
    "naf",
)


def steps(name):
    """Train steps of a flow and of its networks alone, and the numbers of weights of both."""
    import keras
    import tensorflow as tf
    from workers import tfp_flows as ours
    from workloads import LEARNING_RATE, WORKLOADS

    import tfp_flows as tfpf

    sizes = WORKLOADS[name]
    flow = ours.FLOWS[name](sizes)
    model = tfpf.FlowModel(flow)
    ours.draw_zero_kernels(model)
    # Keras finds the variables of layers that are in a list.
    bare = keras.layers.Layer()
    bare.networks = [layer.conditioner for layer in flow.bijector.bijectors]

    def sum_of_outputs(x):
        """Only the matrix products of the flow, forward and backward.

        The inputs of each network depend on the outputs of the one before, as in a flow. Otherwise
        no gradient would go through the first kernels.
        """
        h, total = x, 0.0
        for network in bare.networks:
            inputs = h[:, : _input_size(network)]
            outputs = tf.reshape(network(inputs), [sizes.batch_size, -1])
            total += tf.reduce_sum(outputs)
            h = h + tf.reduce_mean(outputs, axis=-1, keepdims=True)
        return total

    batch = tf.constant(sizes.batch())
    step = ours.train_step(lambda x: -tf.reduce_mean(model(x, training=True)), model, LEARNING_RATE)
    bare_step = ours.train_step(sum_of_outputs, bare, LEARNING_RATE)
    counts = [
        sum(variable.shape.num_elements() for variable in _tensors(layer))
        for layer in (model, bare)
    ]
    return lambda: step(batch).numpy(), lambda: bare_step(batch).numpy(), counts


def _tensors(layer):
    return [variable.value for variable in layer.trainable_variables]


def _input_size(network):
    return network.get_build_config()["x_size"]


def measure(name, repeats):
    """Times of both steps, measured in turn, and their ratios."""
    *both, (num_weights, num_bare_weights) = steps(name)
    calls = []
    for step in both:
        step()  # compiles
        calls.append(min(max(round(SHORT / max(_seconds(step, 1), 1e-6)), 1), 50))
    times = [[], []]
    for _ in range(repeats):
        for step, number, found in zip(both, calls, times, strict=True):
            found.append(1e3 * _seconds(step, number))
    ratios = [a / b for a, b in zip(*times, strict=True)]
    return {
        "num_weights": num_weights,
        "num_bare_weights": num_bare_weights,
        "cpu_ms": statistics.median(times[0]),
        "bare_cpu_ms": statistics.median(times[1]),
        "ratio": [statistics.median(ratios), min(ratios), max(ratios)],
        "all_cpu_ms": times[0],
        "all_bare_cpu_ms": times[1],
    }


def _seconds(step, calls):
    """CPU time of one call."""
    start = time.process_time()
    for _ in range(calls):
        step()
    return (time.process_time() - start) / calls


def table(results):
    """The results in Markdown."""
    lines = [
        "| workload | weights | train step, ms | networks alone, ms | ratio (range) |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        ratio = "{:.2f} ({:.2f} to {:.2f})".format(*result["ratio"])
        lines.append(
            f"| {name} | {result['num_weights']:,} | {result['cpu_ms']:.3g} "
            f"| {result['bare_cpu_ms']:.3g} | {ratio} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", default=list(NAMES), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=11, help="rounds, at least 1")
    parser.add_argument("--core", type=int, help="the core; the last by default")
    parser.add_argument("--output", default="limit", help="path of the .json, no ending")
    arguments = parser.parse_args()
    check_known(parser, "workload", arguments.workloads, NAMES)
    if arguments.repeats < 1:
        parser.error(f"--repeats must be at least 1. Received: {arguments.repeats}")
    # Before TensorFlow is imported, since it counts the cores at that time.
    os.environ.update(ONE_THREAD)
    pin(checked_core(parser, arguments.core))
    results = {}
    for name in arguments.workloads:
        results[name] = measure(name, arguments.repeats)
        # After each workload, so that an interrupted run keeps its results.
        pathlib.Path(f"{arguments.output}.json").write_text(json.dumps(results, indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
