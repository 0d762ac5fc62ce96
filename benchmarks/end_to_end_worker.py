"""The process of one user's session: import, make, fit, score, draw.

    python benchmarks/end_to_end_worker.py FRAMEWORK MODEL DATA SEED EPOCHS PATIENCE STARTED

DATA is a `.npz` of `train`, `validation` and `test`, float32. STARTED is `time.time()` just before
the process was started. Lines of standard output are JSON.

A framework that has a training loop of its own has a `fit` in its worker. For the others the plain
loop that their users write is used.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time

import numpy as np
from seeds import set_seed

NUM_SAMPLES = 10_000


class Clock:
    """Seconds since the process began, without the time of our own measurements."""

    def __init__(self, started):
        self._started, self._looking = started, 0.0

    def seconds(self):
        """The seconds that a user has waited so far."""
        return time.time() - self._started - self._looking

    def look(self, function):
        """Calls a function that a user would not call here; its time is not counted."""
        begin = time.time()
        result = function()
        self._looking += time.time() - begin
        return result


def plain_loop(tasks, sizes, train, validation, epochs, patience, seed, after_epoch):
    """Trains in epochs of shuffled batches until validation has not improved for `patience`."""
    rng = np.random.default_rng(seed)
    best, waited = -np.inf, 0
    for _ in range(epochs):
        order = rng.permutation(len(train))
        for i in range(len(train) // sizes.batch_size):
            tasks["train"](train[order[i * sizes.batch_size : (i + 1) * sizes.batch_size]])
        score = float(np.mean(tasks["log_prob"](validation)))
        waited = 0 if score > best else waited + 1
        best = max(best, score)
        after_epoch(score, tasks["log_prob"])
        if waited >= patience:
            return


def main(framework, model, data, seed, epochs, patience, started):
    # Output of a framework must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values):
        answers.write(json.dumps(values) + "\n")

    from worker import memory
    from workloads import LEARNING

    clock = Clock(float(started))
    module = importlib.import_module(f"workers.{framework}")
    answer(versions={name: importlib.metadata.version(name) for name in module.VERSIONS})
    answer(imported_s=clock.seconds())
    if model not in module.WORKLOADS:
        answer(missing=True)
        return
    with np.load(data) as file:
        train, validation, test = (file[part] for part in ("train", "validation", "test"))
    seed, epochs, patience = int(seed), int(epochs), int(patience)
    sizes = LEARNING._replace(event_size=train.shape[1], seed=seed, num_samples=NUM_SAMPLES)
    set_seed(seed)

    def after_epoch(score, log_prob):
        nats = clock.look(lambda: float(np.mean(log_prob(test))))
        answer(epoch_s=clock.seconds(), validation=score, nats=nats)

    arguments = (sizes, train, validation, epochs, patience, seed, after_epoch)
    if hasattr(module, "fit"):
        log_prob, sample = module.fit(model, *arguments)
    else:
        _, tasks = module.WORKLOADS[model](sizes)
        plain_loop(tasks, *arguments)
        log_prob, sample = tasks["log_prob"], tasks["sample"]
    answer(fitted_s=clock.seconds())
    nats = float(np.mean(log_prob(test)))
    sample()
    answer(done_s=clock.seconds(), last_nats=nats, peak_mb=memory("VmHWM"))


if __name__ == "__main__":
    main(*sys.argv[1:])
