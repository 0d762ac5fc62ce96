"""Files that stay whole when a training is killed while it writes."""

import contextlib
import json
import os
import tempfile
import warnings


def write_whole(write, filepath, ending, overwrite):
    """`write(filepath)`, beside the file and then in its place.

    Where the name has another ending, or the file may not be replaced, Keras says so itself.
    """
    filepath = os.path.abspath(os.fspath(filepath))
    if not filepath.endswith(ending) or (os.path.exists(filepath) and not overwrite):
        write(filepath, overwrite=overwrite)
        return
    folder = os.path.dirname(filepath)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing") as scratch:
        written = os.path.join(scratch, f"new{ending}")
        write(written)
        os.replace(written, filepath)


def drop_broken_metadata(backup_dir):
    """Removes what `BackupAndRestore` was writing when it was killed.

    The weights beside it are whole; without its notes the training counts its epochs from the
    start.
    """
    path = os.path.join(os.fspath(backup_dir), "training_metadata.json")
    if not os.path.exists(path):
        return
    try:
        with open(path) as file:
            json.load(file)["epoch"]
    except (ValueError, KeyError, TypeError):
        warnings.warn(
            f"{path} was cut off; the weights are restored, the epochs are counted anew.",
            stacklevel=3,
        )
        with contextlib.suppress(FileNotFoundError):  # Another worker may have removed it.
            os.remove(path)
