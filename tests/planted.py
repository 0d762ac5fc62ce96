"""Plants faults in a copy of the package, one at a time, and asks whether the tests see them.

    python tests/planted.py --list
    python tests/planted.py --minutes 30
    python tests/planted.py --only made_mask_shifted

Each fault is one that a careless refactoring could make: a text of one file, and what would stand
in its place. The tests that cover it run until the first failure. What came out is written to a
JSON file after each fault, and a fault that is in the file already is passed over; delete its
entry, or the file, to try it again. The working tree itself is never changed.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from planted_faults import FAULTS

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPIED = ("tfp_flows", "tests", "pyproject.toml")
PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow")
TIME_LIMIT = 600.0  # seconds for the tests of one fault


class Runner:
    """Copies of a tree, in which faults are planted.

    Arguments:
      root: the tree.
    """

    def __init__(self, root=ROOT):
        self._root = pathlib.Path(root)
        self._scratch = tempfile.TemporaryDirectory(prefix="planted-")
        self._copies = queue.SimpleQueue()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._scratch.cleanup()

    def make_copies(self, count):
        """Raises an error if Python would import the package from elsewhere."""
        for i in range(count):
            copy = pathlib.Path(self._scratch.name) / str(i)
            for name in COPIED:
                source, target = self._root / name, copy / name
                if source.is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(source, target, ignore=ignored)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, target)
            code = "import importlib.util as u; print(u.find_spec('tfp_flows').origin)"
            command = [sys.executable, "-c", code]
            found = subprocess.run(
                command,
                cwd=copy,
                env=_environment(copy),
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            if not found.startswith(str(copy)):
                raise RuntimeError(f"`tfp_flows` would be imported from {found}, not from {copy}")
            self._copies.put(copy)

    def run(self, fault):
        """The outcome of one fault, as a `dict` for the results."""
        copy = self._copies.get()
        path = copy / fault.file
        original = path.read_text()
        start = time.monotonic()
        try:
            _write(path, planted(fault, original))
            outcome = _outcome(fault, copy, start + TIME_LIMIT)
        finally:
            _write(path, original)
            self._copies.put(copy)
        return {**outcome, "seconds": round(time.monotonic() - start, 1), "what": fault.what}


def planted(fault, text):
    """The text with the fault in it."""
    count = text.count(fault.search)
    if count != 1:
        raise ValueError(f"{fault.name}: {fault.search!r} occurs {count} times in {fault.file}")
    return text.replace(fault.search, fault.replacement)


def problems(faults, root=ROOT):
    """What is wrong with the registry: a text that is not there, names that occur twice."""
    found = []
    names = [fault.name for fault in faults]
    found += [f"{name}: a name for two faults" for name in set(names) if names.count(name) > 1]
    for fault in faults:
        path = pathlib.Path(root) / fault.file
        if not path.is_file():
            found.append(f"{fault.name}: no file {fault.file}")
            continue
        try:
            compile(planted(fault, path.read_text()), fault.file, "exec")
        except (ValueError, SyntaxError) as error:
            found.append(str(error))
        for arguments in fault.tests:
            for word in shlex.split(arguments):
                if word.startswith("tests/") and not (pathlib.Path(root) / word).exists():
                    found.append(f"{fault.name}: no tests {word}")
    return found


def _write(path, text):
    path.write_text(text)
    # Python tells sources by size and second: two faults may be alike in both.
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def _environment(copy):
    return {**os.environ, "PYTHONPATH": str(copy), "TF_CPP_MIN_LOG_LEVEL": "2"}


def _outcome(fault, copy, stop):
    """Runs the tests up to the first failure: `{"result", "by"}`."""
    num_runs = 0
    for arguments in fault.tests:
        command = [sys.executable, *PYTEST, *shlex.split(arguments)]
        code, output = _limited(command, copy, stop - time.monotonic())
        if code is None:
            return {"result": "time limit", "by": arguments}
        failed = re.search(r"^(?:FAILED|ERROR) (\S+?\[.*?\]|\S+)(?: - .*)?$", output, re.MULTILINE)
        if code == 1 and failed:
            return {"result": "caught", "by": failed[1]}
        if code not in (0, 5):
            return {"result": "broken", "by": output[-2000:]}
        num_runs += code == 0
    if num_runs == 0:
        return {"result": "broken", "by": "no tests ran"}
    return {"result": "missed", "by": ""}


def _limited(command, folder, seconds):
    """Exit status, or None beyond the limit, and output."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what tests have started ends with them
    )
    try:
        output, _ = process.communicate(timeout=max(seconds, 1.0))
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, ""


def run_all(faults, results_path, root=ROOT, jobs=1, minutes=None):
    """Runs every fault that is not in the results, and returns all results."""
    path = pathlib.Path(results_path)
    results = json.loads(path.read_text()) if path.exists() else {}
    waiting = [fault for fault in faults if fault.name not in results]
    stop = None if minutes is None else time.monotonic() + 60.0 * minutes

    def try_one(fault):
        if stop is not None and time.monotonic() > stop:
            return None
        return runner.run(fault)

    with Runner(root) as runner, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runner.make_copies(jobs if waiting else 0)
        futures = {pool.submit(try_one, fault): fault for fault in waiting}
        for future in concurrent.futures.as_completed(futures):
            outcome, name = future.result(), futures[future].name
            if outcome is None:
                continue
            results[name] = outcome
            partial = path.with_name(path.name + ".partial")
            partial.write_text(json.dumps(results, indent=1) + "\n")
            os.replace(partial, path)
            done = sum(fault.name in results for fault in faults)
            print(f"{done}/{len(faults)} {_line(name, outcome)}", flush=True)
    return results


def _line(name, outcome):
    by = outcome["by"] if outcome["result"] == "caught" else outcome["result"].upper()
    return f"{name:36} {outcome['seconds']:6.1f} s  {by}"


def report(faults, results):
    """A table of what has been tried, and the sums."""
    tried = {fault.name: results[fault.name] for fault in faults if fault.name in results}
    lines = [_line(name, outcome) for name, outcome in tried.items()]
    counts = {}
    for outcome in tried.values():
        counts[outcome["result"]] = counts.get(outcome["result"], 0) + 1
    total = sum(outcome["seconds"] for outcome in tried.values())
    summary = ", ".join(f"{count} {result}" for result, count in sorted(counts.items()))
    lines.append(f"{len(tried)} of {len(faults)} faults: {summary or 'none tried'}; {total:.0f} s")
    return "\n".join(lines)


def main(faults=FAULTS, root=ROOT, results="tests/planted.json", arguments=None):
    """Returns an exit status: 0 if every fault has been caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", default=results, help="the JSON file of results")
    parser.add_argument("--only", metavar="NAME", help="try this fault alone")
    parser.add_argument("--list", action="store_true", help="list the faults and check their texts")
    parser.add_argument("--jobs", type=int, default=1, help="how many are tried at once")
    parser.add_argument("--minutes", type=float, help="start no further fault after this time")
    options = parser.parse_args(arguments)
    if options.only is not None:
        faults = [fault for fault in faults if fault.name == options.only]
        if not faults:
            parser.error(f"no fault has the name {options.only!r}")
    if options.list:
        for fault in faults:
            print(f"{fault.name:36} {fault.file}\n    {fault.what}")
    wrong = problems(faults, root)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    if options.list:
        print(f"{len(faults)} faults, every text found once")
        return 0
    outcomes = run_all(faults, options.results, root, options.jobs, options.minutes)
    print(report(faults, outcomes))
    return int(any(outcomes.get(fault.name, {}).get("result") != "caught" for fault in faults))


if __name__ == "__main__":
    sys.exit(main())
