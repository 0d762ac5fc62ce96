"""Files that stay whole, whatever happens while they are written."""

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
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]  # as far as mypy sees it is a module

_PREFIX, _NEW, _LOCK = ".writing", "new", "lock"


def write_whole(
    write: Callable[..., None],
    filepath: str | os.PathLike[str],
    ending: str,
    overwrite: bool,
    max_size: int,
) -> None:
    """`write(filepath)`, beside the file and then in its place.

    A symbolic link is followed, and the new file has the mode of the old one. What Keras has to
    decide goes to Keras as it is: a remote path, a name with another ending, a file that may not be
    replaced, and what is no file.

    Args:
      write: writes a file, as `keras.Model.save` does.
      filepath: of the file.
      ending: of names of files that are written so.
      overwrite: Python `bool`.
      max_size: Python `int`, a number of bytes that the file does not exceed.

    Raises:
      OSError: if the file cannot be written; names it, and leaves the one that was there.
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
    # Replacing asks for a writable folder only, where Keras asks for a writable file.
    return os.path.isfile(path) and os.access(path, os.W_OK)


def _find_room(path: str, size: int) -> None:
    """Raises `OSError` on a full disk.

    HDF5 does not only raise there, but ends the process soon after (h5py 3.14 with HDF5 1.14.6).
    """
    with open(path, "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except AttributeError:  # a system without it
            pass
        except OSError as error:
            # Some file systems cannot tell, or not in this way.
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
    os.remove(path)


def _flush(path: str) -> None:
    """Waits for the disk, so that no loss of power leaves the name with half of the content."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _naming(error: OSError, filepath: str) -> OSError:
    """The same error of the system, about the file of the user and not about one beside it."""
    reason = f"{error.strerror or error} (while it was written anew; what was there is kept)"
    if error.errno is None:
        return OSError(f"{reason}: {filepath!r}")
    return OSError(error.errno, reason, filepath)


@contextlib.contextmanager
def _scratch(folder: str) -> Iterator[str]:
    """A new folder within `folder`, for as long as something is written there.

    A file in it is locked, and the system gives up the lock of a process that was killed. So what
    a kill has left behind can be told from what another process is writing, and is removed.
    """
    for name in os.listdir(folder):
        if name.startswith(_PREFIX):
            _remove_if_left(os.path.join(folder, name))
    while True:
        with tempfile.TemporaryDirectory(dir=folder, prefix=_PREFIX) as path:
            with _locked(path, wait=True):
                # Unless another process took it for a leftover before it was locked.
                if os.path.exists(path):
                    yield path
                    return


def _remove_if_left(path: str) -> None:
    try:
        names = os.listdir(path)
        # Empty, it may have been made just now, and not be locked yet.
        is_new = not names and time.time() - os.path.getmtime(path) < 60.0
    except OSError:  # no folder, or no longer there
        return
    # Nothing but what `write_whole` and Keras make: another folder of that name is the user's.
    if is_new or not all(name.startswith((_NEW, _LOCK, "tmp")) for name in names):
        return
    with _locked(path, wait=False) as is_left:
        if is_left:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: str, wait: bool) -> Iterator[bool]:
    """Holds the lock of the folder; gives `False` where another process does, or nobody can."""
    try:
        file = open(os.path.join(folder, _LOCK), "a")
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except (AttributeError, OSError):  # also of systems, and of file systems, without locks
            is_locked = False
        else:
            is_locked = True
        yield is_locked


def drop_broken_metadata(backup_dir: str | os.PathLike[str]) -> None:
    """Removes what `BackupAndRestore` was writing when it was killed.

    The weights beside it are whole; without its notes the training counts its epochs from the
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
            f"{path} was cut off; the weights are restored, the epochs are counted anew.",
            stacklevel=3,
        )
        with contextlib.suppress(tf.errors.NotFoundError):  # Another worker may have removed it.
            tf.io.gfile.remove(path)
