"""Runs tutorials and writes their notebooks: `python tutorials/build.py NAME...`, or `all`.

A tutorial is a script in the percent format of jupytext, `NAME.py`. Its cells are run from top to
bottom in a fresh kernel and an empty folder, and `NAME.ipynb` gets the cells with what they print
and draw. What goes to stderr, as logs and warnings do, is left out. `pip install -e ".[test]"`
brings what this needs. With `--text` nothing is run: new words are put beside the outputs that
there are, which is refused where code has changed.
"""

import argparse
import os
import pathlib
import re
import tempfile
import time

import jupytext
import nbclient
import nbformat

FOLDER = pathlib.Path(__file__).resolve().parent
# In the order in which they are to be read.
NAMES = (
    "what_a_flow_is",
    "maf_iaf_real_nvp",
    "quickstart",
    "one_target_every_flow",
    "simulation_based_inference",
    "variational_inference",
    "neutra",
    "tables",
    "vae",
    "images",
    "continuous_flows",
    "residual_flows",
    "sets_and_sound",
    "your_own_bijector",
)
SHORT = "TFP_FLOWS_SHORT"
MAX_BYTES = 1_000_000
# Folders of a machine, and addresses of objects.
OF_THIS_MACHINE = re.compile(
    r"(?<![\w.:/])/(?:root|home|Users|tmp|var|usr|opt|work)/\w+|[A-Z]:\\\\|\bat 0x[0-9a-f]{6,}"
)


def main(arguments=None):
    """Builds the notebooks that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=[*NAMES, "all"], metavar="NAME")
    parser.add_argument("--text", action="store_true", help="run nothing: only words have changed")
    options = parser.parse_args(arguments)
    for name in NAMES if "all" in options.names else options.names:
        start, cpu = time.perf_counter(), children_cpu()
        notebook = notebook_of(name)
        notebook = with_old_outputs(name, notebook) if options.text else run(notebook)
        text = nbformat.writes(notebook)
        check(name, text)
        (FOLDER / f"{name}.ipynb").write_text(f"{text}\n", encoding="utf-8")
        seconds, cpu = time.perf_counter() - start, children_cpu() - cpu
        print(f"{name}.ipynb: {len(text):,} bytes, {seconds:.0f} s, {cpu:.0f} s of CPU")


def children_cpu():
    """Seconds of CPU time of the kernels that have ended."""
    used = os.times()
    return used.children_user + used.children_system


def notebook_of(name):
    """The cells of a script, without outputs."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # instead of a random one
        cell.metadata = {}
    return notebook


def run(notebook):
    """The same notebook with its outputs, cleaned."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {key: value for key, value in os.environ.items() if key != SHORT}
        path = os.pathsep.join([str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        client = nbclient.NotebookClient(
            notebook,
            timeout=None,
            coalesce_streams=True,  # a progress bar leaves its last state
            resources={"metadata": {"path": folder}},
        )
        client.execute(env={**environment, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"})
    notebook.metadata["language_info"] = {"name": "python"}  # the kernel adds its version
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_stderr(output)]
    return notebook


def with_old_outputs(name, notebook):
    """The same notebook with the outputs that the file has."""
    old = [cell for cell in read(name).cells if cell.cell_type == "code"]
    new = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source for cell in new] != [cell.source for cell in old]:
        raise ValueError(f"The code of {name}.py has changed: run it, without `--text`.")
    for cell, run_before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = run_before.outputs, run_before.execution_count
    return notebook


def read(name):
    """The notebook as it is in the file."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def is_stderr(output):
    """Whether an output holds logs and warnings."""
    return output.output_type == "stream" and output.name == "stderr"


def check(name, text):
    """Refuses a notebook that is too large or shows what is only of this machine."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"{name}.ipynb has {len(text):,} bytes, more than {MAX_BYTES:,}.")
    found = OF_THIS_MACHINE.search(text_of_outputs(nbformat.reads(text, as_version=4)))
    if found:
        raise ValueError(f"{name}.ipynb shows what is only of this machine: {found[0]!r}.")


def text_of_outputs(notebook):
    """All that the cells print, and the text of what they show, in one string."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            shown = output.get("data", {})
            texts += [shown[kind] for kind in shown if kind.startswith("text/")]
    return "\n".join(texts)


if __name__ == "__main__":
    main()
