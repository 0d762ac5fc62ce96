"""Writes files so that they stay whole, whatever happens meanwhile."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator

import tensorflow as tf

try:
    import fcntl
except ImportError:  # Windows does not have it
    fcntl = None  # type: ignore[assignment]  # mypy takes it for a module

_PREFIX, _NEW, _LOCK = ".writing", "new", "lock"


def write_whole(
    write: Callable[..., None],
    filepath: str | os.PathLike[str],
    ending: str,
    overwrite: bool,
    max_size: int,
) -> None:
    """Calls `write` with a path beside the file, and then moves the new file to its place.

    A symbolic link is followed, and the new file has the mode of the old one. Some paths are passed
    to Keras as they are: a remote path, a name with another ending, a file that must not be
    replaced, and a path that is not a file.

    Args:
      write: a function that writes a file, as `keras.Model.save` does.
      filepath: the path of the file.
      ending: the ending of names of files that are written in this way.
      overwrite: Python `bool`.
      max_size: Python `int`, a number of bytes that the file does not exceed.

    Raises:
      OSError: if the file cannot be written; names the file. The old file is kept.
    """
    filepath = os.fspath(filepath)
    target = os.path.realpath(filepath)
    if (
        "://" in filepath
        or not filepath.endswith(ending)
        or (os.path.exists(target) and not (overwrite and _is_replaceable(target)))
    ):
        write(filepath, overwrite=overwrite)
        return
    try:
        with _scratch(os.path.dirname(target)) as folder:
            written = os.path.join(folder, f"{_NEW}{ending}")
            _find_room(written, max_size)
            write(written)
            _flush(written)
            if os.path.exists(target):
                shutil.copymode(target, written)
            os.replace(written, target)
    except OSError as error:
        raise _naming(error, filepath) from error


def _is_replaceable(path: str) -> bool:
    # To replace a file, a writable folder is enough; Keras needs a writable file.
    return os.path.isfile(path) and os.access(path, os.W_OK)


def _find_room(path: str, size: int) -> None:
    """Raises `OSError` if the disk is too full for a file of `size` bytes.

    On a full disk HDF5 raises, and also ends the process soon after (h5py 3.14 with HDF5 1.14.6).
    """
    with open(path, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except AttributeError:  # a system without this function
            pass
        except OSError as error:
            # Some file systems do not support it, and other errors say nothing about room.
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
    os.remove(path)


def _flush(path: str) -> None:
    """Waits for the disk, so that a power failure cannot leave a file with half of its content."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _naming(error: OSError, filepath: str) -> OSError:
    """The same system error, but for the user's file, not for the one beside it."""
    reason = f"{error.strerror or error} (while writing it; any old file is kept)"
    if error.errno is None:
        return OSError(f"{reason}: {filepath!r}")
    return OSError(error.errno, reason, filepath)


@contextlib.contextmanager
def _scratch(folder: str) -> Iterator[str]:
    """A new folder within `folder`, which exists while this context is open.

    A file in it is locked, and the system releases the lock of a process that was killed. So
    folders that killed processes have left behind can be told from those in use, and are removed.
    """
    for name in os.listdir(folder):
        if name.startswith(_PREFIX):
            _remove_if_left(os.path.join(folder, name))
    while True:
        with tempfile.TemporaryDirectory(dir=folder, prefix=_PREFIX) as path:
            with _locked(path, wait=True):
                # Another process may have removed it as a leftover before it was locked.
                if os.path.exists(path):
                    yield path
                    return


def _remove_if_left(path: str) -> None:
    try:
        names = os.listdir(path)
        # An empty folder may have just been made, and not be locked yet.
        is_new = not names and time.time() - os.path.getmtime(path) < 60.0
    except OSError:  # not a folder, or already removed
        return
    # Remove only what `write_whole` and Keras make. Another folder of that name is the user's.
    if is_new or not all(name.startswith((_NEW, _LOCK, "tmp")) for name in names):
        return
    with _locked(path, wait=False) as is_left:
        if is_left:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: str, wait: bool) -> Iterator[bool]:
    """Holds the lock of the folder; yields `False` if another process has it, or no one can."""
    try:
        file = open(os.path.join(folder, _LOCK), "a")
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except (AttributeError, OSError):  # also on systems and file systems without locks
            is_locked = False
        else:
            is_locked = True
        yield is_locked


def drop_broken_metadata(backup_dir: str | os.PathLike[str]) -> None:
    """Removes metadata that `BackupAndRestore` was writing when it was killed.

    The weights beside it are whole. Without the metadata, training counts its epochs from the
    start.
    """
    path = os.path.join(os.fspath(backup_dir), "training_metadata.json")
    if not tf.io.gfile.exists(path):
        return
    try:
        with tf.io.gfile.GFile(path) as file:
            json.loads(file.read())["epoch"]
    except (ValueError, KeyError, TypeError):
        warnings.warn(
            f"{path} was cut off: the weights are restored, but epochs are counted from zero.",
            stacklevel=3,
        )
        with contextlib.suppress(tf.errors.NotFoundError):  # Another worker may have removed it.
            tf.io.gfile.remove(path)
