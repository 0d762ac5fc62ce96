"""Choosing one core, and checking names; shared by the scripts that time on one core."""

import os

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)


def default_core():
    """The last core that this process may run on."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def checked_core(parser, core):
    """The requested core, or the default; ends the program if it may not run there."""
    if core is None:
        return default_core()
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [core]
    if core not in allowed:
        parser.error(f"--core must be one of {', '.join(map(str, allowed))}. Received: {core}")
    return core


def pin(core):
    """Keeps this process on one core, if the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})


def check_known(parser, kind, names, known):
    """Ends the program with a list of the known names if a name is unknown."""
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown {kind}: {', '.join(unknown)}. There are: {', '.join(known)}")
