"""The process of one training: it prints the test likelihood after given numbers of steps.

    python benchmarks/learning_worker.py FRAMEWORK MODEL DATA RATE SEED STEPS [STEPS ...]

DATA is a `.npz` of `train` and `test`, float32. Each line of standard output is JSON.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time

import numpy as np
from seeds import set_seed


def main(framework, model, data, rate, seed, *checkpoints):
    # Output of a framework must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values):
        answers.write(json.dumps(values) + "\n")

    from workloads import LEARNING

    module = importlib.import_module(f"workers.{framework}")
    answer(versions={name: importlib.metadata.version(name) for name in module.VERSIONS})
    if model not in module.WORKLOADS:
        answer(missing=True)
        return
    with np.load(data) as file:
        train, test = file["train"], file["test"]
    seed = int(seed)
    sizes = LEARNING._replace(event_size=train.shape[1], learning_rate=float(rate), seed=seed)
    set_seed(seed)
    num_weights, tasks = module.WORKLOADS[model](sizes)
    answer(num_weights=int(num_weights))
    # Every framework gets the same rows in the same order.
    rng = np.random.default_rng(seed)
    step, start = 0, time.process_time()
    for checkpoint in map(int, checkpoints):
        for _ in range(step, checkpoint):
            loss = tasks["train"](train[rng.integers(len(train), size=sizes.batch_size)])
        step = checkpoint
        scores = np.asarray(tasks["log_prob"](test), "float64")
        answer(
            step=step,
            train_nats=-float(loss),
            nats=float(scores.mean()),
            error=float(scores.std() / np.sqrt(len(scores))),
            cpu_s=time.process_time() - start,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
