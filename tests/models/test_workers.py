"""Two workers of `MultiWorkerMirroredStrategy` train as one process does, and survive a kill."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import worker_cases

import tfp_flows as tfpf

pytestmark = pytest.mark.slow  # Four processes start TensorFlow and compile.

ROOT = pathlib.Path(tfpf.__file__).parents[1]


def run_two(folder, part, limit=240):
    """Runs both workers; returns what each has written, and its exit status."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    workers = []
    for rank in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with open(folder / f"{part}{rank}.log", "w") as log:
            workers.append(
                subprocess.Popen(
                    [sys.executable, worker_cases.__file__, str(folder), part],
                    env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": path},
                    stdout=log,
                    stderr=log,
                )
            )
    try:
        status = [worker.wait(limit) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    written = []
    for rank in range(2):
        file = folder / f"{part}{rank}.json"
        assert file.exists(), (folder / f"{part}{rank}.log").read_text()[-3000:]
        written.append(json.loads(file.read_text()))
    return written, status


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def trained(folder):
    """Of two workers that train, of which the second is killed in the end."""
    return run_two(folder, "train")


def assert_same(results, expected, **tolerance):
    for rank, result in enumerate(results):
        assert result.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(result[name], value, **tolerance, err_msg=f"{rank} {name}")


@pytest.mark.parametrize("case", ["flow_model", "conditional", "variational"])
def test_two_workers_train_evaluate_and_predict_as_one_process(trained, case):
    expected = getattr(worker_cases, case)()
    if case == "flow_model":
        expected["predict_short"] = np.sort(expected["predict_short"])
    assert_same([worker[case] for worker in trained[0]], expected, rtol=1e-4, atol=1e-4)


def test_workers_of_flow_matching_agree(trained):
    first, second = (worker["matching"] for worker in trained[0])
    assert np.all(np.isfinite(first["loss"])) and len(set(first["loss"])) == 2
    assert_same([second], first, rtol=1e-6)


def test_each_row_is_met_once(trained):
    """Also in an order that is drawn anew."""
    first, second = (worker["rows"] for worker in trained[0])
    assert len(first) == len(second) == 32
    assert sorted(first + second) == list(range(64))
    assert first + second != list(range(64))


def test_workers_that_made_different_flows_are_refused(trained):
    for worker in trained[0]:
        assert "Every worker must make the same flow" in worker["refused"]
        assert worker["refused"].endswith("Received: 2 different flows on 2 devices")


def test_what_workers_save_loads_in_one_process(folder, trained):
    for name in ("saved.keras", "checkpoint.keras"):
        model = keras.saving.load_model(folder / name)
        values = model.predict(worker_cases.X[:9], batch_size=4, verbose=0)
        for worker in trained[0]:
            np.testing.assert_allclose(values, worker["flow_model"]["predict"], atol=1e-4)


def test_a_killed_worker_and_the_other_one_resume(folder, trained):
    workers, status = trained
    assert status[1] < 0 and "resumed" not in workers[1]
    assert "resumed" not in workers[0] and workers[0]["has_backup"]
    workers, status = run_two(folder, "resume")
    assert status == [0, 0]
    expected = worker_cases.resumed()
    expected["loss"] = expected["loss"][2:]
    assert_same([worker["resumed"] for worker in workers], expected, rtol=1e-4, atol=1e-4)
    assert not any(worker["has_backup"] for worker in workers)
