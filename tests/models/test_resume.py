"""A training that is killed, at whatever moment, goes on where it was."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import h5py
import keras
import numpy as np
import pytest
from keras.src.callbacks import backup_and_restore

import tfp_flows as tfpf

ROOT = pathlib.Path(tfpf.__file__).parents[1]
EPOCHS = 12
STEPS = 4

# Run by the child, and by this process to go on: one and the same training.
TRAINING = """
import keras
import numpy as np
import tfp_flows

def made_model():
    flow = tfp_flows.flows.real_nvp(2, hidden_units=(8,), num_layers=1, seed=0)
    model = tfp_flows.FlowModel(flow)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model

def train(model, backup_dir, callbacks=(), epochs=12, batch_size=10):
    x = np.random.default_rng(0).normal([3.0, -1.0], 0.5, [40, 2])
    backup = keras.callbacks.BackupAndRestore(backup_dir)
    return model.fit(
        x,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[backup, *callbacks],
    ).history["loss"]
"""

CHILD = (
    TRAINING
    + """
import os, signal, sys

backup_dir, moment = sys.argv[1:]
count = 0

def killing(function, at):
    # Kills this process in the at-th call, before the function does its work.
    def call(*args, **kwargs):
        global count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

if moment == "weights":
    import h5py
    h5py.Group.create_dataset = killing(h5py.Group.create_dataset, 70)
elif moment == "replace":
    os.replace = killing(os.replace, 6)

class Progress(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(epoch, flush=True)

train(made_model(), backup_dir, [Progress()])
print("done", flush=True)
"""
)

namespace = {}
exec(TRAINING, namespace)
made_model, train = namespace["made_model"], namespace["train"]


def eager_model():
    model = made_model()
    model.run_eagerly = True
    return model


# --- What lies in the folder at some moment is what a kill would leave ------------------------

FEW = {"epochs": 4, "batch_size": 20}
FEW_STEPS = 2
# The call before which the folder is copied: in the middle of the weights of the third epoch; when
# they are written, but beside the old ones; when they are there, and the notes are cut to nothing.
MOMENTS = {
    "weights": (h5py.Group, "create_dataset", 35),
    "replace": (os, "replace", 3),
    "metadata": (backup_and_restore.json, "dumps", 3),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A training, its losses, and a folder with copies of its backup, each named for a moment."""
    folder = tmp_path_factory.mktemp("watched")

    def copying(function, at, name):
        calls = []

        def call(*args, **kwargs):
            calls.append(name)
            if len(calls) == at:
                shutil.copytree(folder / "backup", folder / name)
            return function(*args, **kwargs)

        return call

    model = eager_model()
    with pytest.MonkeyPatch.context() as patch:
        for name, (owner, function, at) in MOMENTS.items():
            patch.setattr(owner, function, copying(getattr(owner, function), at, name))
        losses = train(model, folder / "backup", **FEW)
    return model, losses, folder


@pytest.mark.parametrize("moment", ["weights", "replace"])
def test_goes_on_from_weights_that_are_being_written(moment, watched):
    whole, losses, folder = watched
    assert (folder / moment / "latest.weights.h5").exists()
    assert list((folder / moment).glob(".writing*")), "the new weights stand beside the old"
    model = eager_model()
    resumed = train(model, folder / moment, **FEW)
    assert len(resumed) == FEW["epochs"] - 2, "epochs that were done are not done again"
    assert model.optimizer.iterations.numpy() == FEW["epochs"] * FEW_STEPS
    np.testing.assert_allclose(resumed, losses[2:], rtol=1e-5)
    for a, b in zip(model.weights, whole.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert not (folder / moment).exists(), "what a killed training left behind is cleared away"


def test_goes_on_from_metadata_that_are_being_written(watched):
    _, losses, folder = watched
    assert (folder / "metadata" / "training_metadata.json").read_text() == ""
    model = eager_model()
    with pytest.warns(UserWarning, match="training_metadata.json was cut off"):
        resumed = train(model, folder / "metadata", **FEW)
    # The weights of three epochs are there; the epochs are counted anew.
    assert len(resumed) == FEW["epochs"]
    assert model.optimizer.iterations.numpy() == (FEW["epochs"] + 3) * FEW_STEPS
    np.testing.assert_allclose(resumed[: FEW["epochs"] - 3], losses[3:], rtol=1e-4)


# --- Killed indeed ----------------------------------------------------------------------------


def killed(backup_dir, moment, after=4):
    """Starts the training and returns when it has been killed, with the last epoch it told of."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(backup_dir), moment],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        epoch = None
        for line in child.stdout:
            assert line.strip() != "done", "the training was not killed"
            epoch = int(line)
            if moment == "random" and epoch == after:
                # At no particular moment: any of them has to do.
                time.sleep(random.uniform(0.0, 0.2))
                child.send_signal(signal.SIGKILL)
        assert child.wait(60) == -signal.SIGKILL, child.stderr.read()[-3000:]
    finally:
        child.kill()
        child.stdout.close()
        child.stderr.close()
    return epoch


# Slow: each imports the package in another process, and trains in two graphs.
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["weights", "random", "replace"])
def test_killed_training_goes_on(moment, tmp_path):
    whole = made_model()
    losses = train(whole, tmp_path / "whole")
    backup_dir = tmp_path / "backup"
    last = killed(backup_dir, moment)
    assert 0 < last < EPOCHS - 1
    assert (backup_dir / "latest.weights.h5").exists()
    model = made_model()
    resumed = train(model, backup_dir)
    done = EPOCHS - len(resumed)
    assert last <= done <= EPOCHS - 1, "epochs that were done are not done again"
    if moment == "random" and model.optimizer.iterations.numpy() == (EPOCHS + 1) * STEPS:
        # Killed between weights and metadata: one epoch is done once more.
        return
    assert model.optimizer.iterations.numpy() == EPOCHS * STEPS
    np.testing.assert_allclose(resumed, losses[done:], rtol=1e-5)
    for a, b in zip(model.weights, whole.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert not backup_dir.exists(), "what a killed training left behind is cleared away"


@pytest.mark.parametrize("text", ["", "{", '{"epo', '{"batch": 1}', "[]", "null", "7"])
def test_truncated_metadata_is_warned_about_and_removed(text, tmp_path):
    backup_dir = tmp_path / "backup"
    backup_dir.mkdir()
    (backup_dir / "training_metadata.json").write_text(text)
    model = eager_model()
    callback = keras.callbacks.BackupAndRestore(backup_dir)
    with pytest.warns(UserWarning, match="cut off"):
        model.fit(np.ones([2, 2], "float32"), verbose=0, callbacks=[callback])


def test_whole_metadata_is_left_alone(tmp_path):
    backup_dir = tmp_path / "backup"
    backup_dir.mkdir()
    (backup_dir / "training_metadata.json").write_text('{"epoch": 1, "batch": 0}')
    model = eager_model()
    callback = keras.callbacks.BackupAndRestore(backup_dir)
    x = np.ones([2, 2], "float32")
    history = model.fit(x, epochs=3, verbose=0, callbacks=callback).history
    assert len(history["loss"]) == 2


def test_weights_are_replaced_at_once(tmp_path, monkeypatch):
    """What is read while a file is written is the previous one, whole."""
    model, path = made_model(), tmp_path / "m.weights.h5"
    model.save_weights(path)
    before = path.read_bytes()
    original = os.replace

    def replace(source, target):
        assert path.read_bytes() == before
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    model.weights[0].assign_add(np.ones(model.weights[0].shape))
    model.save_weights(path)
    assert path.read_bytes() != before
    assert os.listdir(tmp_path) == ["m.weights.h5"]
    other = made_model()
    other.load_weights(path)
    np.testing.assert_array_equal(other.weights[0], model.weights[0])


def test_a_save_that_fails_leaves_the_previous_weights(tmp_path, monkeypatch):
    model, path = made_model(), tmp_path / "m.weights.h5"
    model.save_weights(path)
    before = path.read_bytes()
    monkeypatch.setattr(keras.Model, "save_weights", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.save_weights(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.weights.h5"]
