"""A file is the old one or the new one, whole, whatever happens while it is written."""

import errno
import os
import random
import shutil
import signal
import threading
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf
from tfp_flows.models import _whole_files

X = np.ones([2, 2], "float32")
ENDINGS = (".keras", ".weights.h5")


def made_model(value=0.0):
    flow = tfpf.flows.real_nvp(2, hidden_units=(8,), num_layers=1, seed=0)
    model = tfpf.FlowModel(flow)
    model.weights[1].assign(tf.fill(model.weights[1].shape, value))
    return model


def save(model, path):
    (model.save if str(path).endswith(".keras") else model.save_weights)(path)


def loaded(path):
    """The number that the model in the file was made with."""
    if str(path).endswith(".keras"):
        model = keras.saving.load_model(path)
    else:
        model = made_model()
        model.load_weights(path)
    return float(model.weights[1].numpy().flat[0])


@pytest.fixture(scope="module")
def models():
    return made_model(1.0), made_model(2.0)


@pytest.fixture(params=ENDINGS)
def saved(request, tmp_path, models):
    """The path of a file that holds the first model."""
    path = tmp_path / f"m{request.param}"
    save(models[0], path)
    return path


# --- Where it is written ----------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_remote_path_goes_to_keras_as_it_is(ending, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = f"ram://whole_files/m{ending}"
    for value, model in enumerate(models, start=1):
        save(model, path)
        assert tf.io.gfile.listdir("ram://whole_files").count(f"m{ending}") == 1
        if ending == ".keras":
            assert loaded(path) == value
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scheme", ["gs", "s3", "hf"])
def test_no_scheme_is_taken_for_a_folder(scheme, models, monkeypatch):
    given = []
    monkeypatch.setattr(keras.Model, "save", lambda self, path, **kwargs: given.append(path))
    models[0].save(f"{scheme}://bucket/m.keras")
    assert given == [f"{scheme}://bucket/m.keras"]


def test_a_remote_backup_that_was_cut_off_is_warned_about():
    path = "ram://backup/training_metadata.json"
    with tf.io.gfile.GFile(path, "w") as file:
        file.write('{"epo')
    with pytest.warns(UserWarning, match="cut off"):
        _whole_files.drop_broken_metadata("ram://backup")
    assert not tf.io.gfile.exists(path)


def test_a_link_is_written_through(saved, models, tmp_path):
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / f"link_{saved.name}"
    link.symlink_to(f"../{saved.name}")
    save(models[1], link)
    assert link.is_symlink() and loaded(saved) == 2.0
    assert os.listdir(link.parent) == [link.name]


def test_the_mode_is_kept(saved, models):
    for mode in (0o640, 0o604):
        saved.chmod(mode)
        save(models[1], saved)
        assert saved.stat().st_mode & 0o777 == mode


def test_a_file_that_may_not_be_written_is_left_alone(saved, models, monkeypatch):
    # A test run by root may write what it wants: Keras is asked, as it is for others.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(keras.Model, "save", refuse)
    monkeypatch.setattr(keras.Model, "save_weights", refuse)
    with pytest.raises(PermissionError, match="by Keras"):
        save(models[1], saved)
    monkeypatch.undo()
    assert loaded(saved) == 1.0


def refuse(self, path, overwrite, **kwargs):
    raise PermissionError(f"by Keras: {path}")


def test_a_missing_folder_is_named(tmp_path, models):
    path = tmp_path / "missing" / "m.keras"
    with pytest.raises(FileNotFoundError) as info:
        models[0].save(path)
    assert info.value.filename == str(path)


# --- What fails -------------------------------------------------------------------------------


# What writes, in the order in which it is called.
PLACES = {
    "room": (os, "posix_fallocate"),
    "archive": (zipfile.ZipFile, "open"),
    "weights": (h5py.Group, "create_dataset"),
    "flush": (os, "fsync"),
    "replace": (os, "replace"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_full_disk_at_any_write_leaves_the_file(place, saved, models, monkeypatch):
    """The first of the calls fails, then the second, and so on until none does."""
    if place == "archive" and not saved.name.endswith(".keras"):
        pytest.skip("weights alone are no archive")
    owner, name = PLACES[place]
    function, before = getattr(owner, name), saved.read_bytes()
    for at in range(1, 100):
        calls = []

        def failing(*args, at=at, calls=calls, **kwargs):
            calls.append(name)
            if len(calls) == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, failing)
        try:
            save(models[1], saved)
            break
        except OSError as error:
            assert error.errno == errno.ENOSPC and error.filename == str(saved)
            assert "any old file is kept" in str(error)
        assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]
    monkeypatch.undo()
    assert at > 1
    assert loaded(saved) == 2.0


def test_an_error_of_hdf5_names_the_file_too(saved, models, monkeypatch):
    def failing(*args, **kwargs):
        raise OSError("Can't write data")

    monkeypatch.setattr(h5py.Group, "create_dataset", failing)
    with pytest.raises(OSError, match=f"Can't write data.*{saved.name}"):
        save(models[1], saved)


def test_room_is_found_before_hdf5_opens_a_file(tmp_path, models, monkeypatch):
    """HDF5 must not meet a full disk; a file of a limited size stands for one."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "m.weights.h5"
    save(models[0], path)
    opened = []
    monkeypatch.setattr(keras.Model, "save_weights", lambda *args, **kwargs: opened.append(args))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        with pytest.raises(OSError, match="m.weights.h5"):
            save(models[1], path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not opened


def test_a_file_system_that_cannot_tell_its_room_is_written_to(tmp_path, models, monkeypatch):
    def unsupported(*args):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    save(models[1], tmp_path / "m.weights.h5")
    assert loaded(tmp_path / "m.weights.h5") == 2.0


def test_no_file_exceeds_the_room_that_is_found(tmp_path):
    """Also where parts are many and small, or one is large."""
    flows = [
        tfpf.flows.planar(2, num_layers=1, seed=0),
        tfpf.flows.neural_spline(3, hidden_units=(4,) * 4, num_layers=1, seed=0),
        tfpf.flows.maf(2, hidden_units=(64, 64), num_layers=1, seed=0),
    ]
    for flow in flows:
        model = tfpf.FlowModel(flow)
        model.compile("adam", jit_compile=False)
        model.optimizer.build(model.trainable_variables)
        for ending in ENDINGS:
            save(model, tmp_path / f"m{ending}")
            assert (tmp_path / f"m{ending}").stat().st_size <= model._max_file_size()


# --- What a kill leaves behind ----------------------------------------------------------------


def leftover(folder, name=".writingab12cd_3", content="new.keras"):
    left = folder / name
    left.mkdir()
    (left / content).write_bytes(b"half of a file")
    return left


def test_what_a_kill_has_left_is_removed(saved, models):
    for i, content in enumerate(("new.keras", "new.weights.h5", "tmpab12cd_3")):
        leftover(saved.parent, f".writing{i}", content)
    save(models[1], saved)
    assert os.listdir(saved.parent) == [saved.name]


def test_what_another_is_writing_or_a_user_has_written_stays(saved, models):
    (saved.parent / ".writing_list").write_text("a file")
    leftover(saved.parent, ".writing_letters", "to_mother.txt")
    with _whole_files._scratch(str(saved.parent)) as other, open(f"{other}/new.keras", "wb"):
        save(models[1], saved)
        assert os.path.exists(f"{other}/new.keras")
    names = sorted(os.listdir(saved.parent))
    assert names == [".writing_letters", ".writing_list", saved.name]


def test_a_folder_that_is_taken_for_a_leftover_is_made_again(saved, models, monkeypatch):
    """Another process may come between the making of a folder and its lock."""
    flock, folders = _whole_files.fcntl.flock, []

    def late(file, operation):
        folders.append(os.path.dirname(file.name))
        if len(folders) == 1:
            shutil.rmtree(folders[0])
        flock(file, operation)

    monkeypatch.setattr(_whole_files.fcntl, "flock", late)
    save(models[1], saved)
    assert len(set(folders)) == 2 and loaded(saved) == 2.0
    assert os.listdir(saved.parent) == [saved.name]


def test_a_folder_that_was_made_just_now_stays(saved, models):
    """Its owner may not have come to lock it yet."""
    new, old = saved.parent / ".writingnew", saved.parent / ".writingold"
    new.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    save(models[1], saved)
    assert new.exists() and not old.exists()


def test_several_may_save_in_one_folder(tmp_path, models):
    """Two threads to one file each, and both to a third: all of them are whole at every moment."""
    errors = []

    def work(i):
        try:
            for _ in range(5):
                save(models[i], tmp_path / f"m{i}.weights.h5")
                save(models[i], tmp_path / "m.weights.h5")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[i]) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(os.listdir(tmp_path)) == ["m.weights.h5", "m0.weights.h5", "m1.weights.h5"]
    assert [loaded(tmp_path / f"m{i}.weights.h5") for i in (0, 1)] == [1.0, 2.0]


def test_callbacks_write_whole_files(tmp_path, monkeypatch):
    """`ModelCheckpoint` and `BackupAndRestore` save by the model's own methods."""
    replaced = []
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda old, new: (replaced.append(os.path.basename(new)), replace(old, new))
    )
    model = made_model()
    model.compile("adam", jit_compile=False, run_eagerly=True)
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "m.keras"),
        keras.callbacks.ModelCheckpoint(tmp_path / "m.weights.h5", save_weights_only=True),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
    ]
    model.fit(X, epochs=1, verbose=0, callbacks=callbacks)
    assert sorted(replaced) == ["latest.weights.h5", "m.keras", "m.weights.h5"]


# Slow: 50 processes are killed, and each file that they leave is loaded.
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", "weights", "backup"])
def test_fifty_kills_leave_a_file_that_loads(kind, tmp_path):
    path = {
        "model": tmp_path / "m.keras",
        "weights": tmp_path / "m.weights.h5",
        "backup": tmp_path / "latest.weights.h5",
    }[kind]
    model = made_model()
    model.compile("adam", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    if kind == "backup":
        callback = keras.callbacks.BackupAndRestore(tmp_path)
    else:
        callback = keras.callbacks.ModelCheckpoint(path, save_weights_only=kind == "weights")
    callback.set_model(model)
    callback.on_epoch_end(0, {})
    rng, num_left = random.Random(0), 0
    for _ in range(50):
        before, started = path.stat().st_mtime_ns, time.monotonic()
        child = os.fork()
        if child == 0:
            while True:
                callback.on_epoch_end(0, {})
        while path.stat().st_mtime_ns == before and time.monotonic() < started + 30.0:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert path.stat().st_mtime_ns != before, "the process has saved"
        num_left += any(name.startswith(".writing") for name in os.listdir(tmp_path))
        assert loaded(path) == 0.0
    assert num_left > 5, "and was killed while it did"
    callback.on_epoch_end(0, {})
    assert not any(name.startswith(".writing") for name in os.listdir(tmp_path))
