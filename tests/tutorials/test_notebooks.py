"""Each notebook is what its script makes, clean, and ends with the figures that it should."""

import importlib.util
import pathlib
import runpy

import keras
import matplotlib
import nbformat
import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "tutorials"


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


build = module(FOLDER / "build.py")
margins = module(pathlib.Path(__file__).with_name("margins.py"))


def assert_within(figures, bounds):
    outside = {
        name: (figures.get(name), low, high)
        for name, (low, high) in bounds.items()
        if not low <= figures.get(name, np.nan) <= high
    }
    assert not outside


def test_every_notebook_is_listed():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(build.NAMES) == set(margins.FULL)


@pytest.mark.parametrize("name", build.NAMES)
def test_cells_are_those_of_the_script(name):
    found = build.read(name)
    wanted = build.notebook_of(name)
    for key in ("cell_type", "source", "id"):
        assert [cell[key] for cell in found.cells] == [cell[key] for cell in wanted.cells]
    assert found.metadata == wanted.metadata


@pytest.mark.parametrize("name", build.NAMES)
def test_outputs_are_whole_and_clean(name):
    notebook = build.read(name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    # Run from top to bottom, once.
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(build.is_stderr(output) or output.output_type == "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = build.text_of_outputs(notebook)
    assert "Warning" not in text
    build.check(name, (FOLDER / f"{name}.ipynb").read_text())


@pytest.mark.parametrize("name", build.NAMES)
def test_text_says_the_time_and_what_to_try(name):
    words = [cell.source for cell in build.read(name).cells if cell.cell_type == "markdown"]
    assert "*About " in words[0] and " on two cores.*" in words[0]
    assert words[-1].startswith("## What to try")


@pytest.mark.parametrize("name", build.NAMES)
def test_figures_of_the_committed_run(name):
    last = [cell for cell in build.read(name).cells if cell.cell_type == "code"][-1]
    lines = "".join(output.text for output in last.outputs).splitlines()
    figures = {key: float(value) for key, value in (line.rsplit(": ", 1) for line in lines)}
    assert_within(figures, margins.FULL[name])


@pytest.fixture
def built_before_fit(monkeypatch):
    """Keras traces the first step of a reader's own model twice, if it makes variables on the way.

    So they are made before. The models of this package make them when they are compiled.
    """
    fit = keras.Model.fit

    def fit_built(self, x, *args, **options):
        if not self.built:
            self(keras.tree.map_structure(lambda rows: rows[:2], x))
            self.optimizer.build(self.trainable_variables)
        return fit(self, x, *args, **options)

    monkeypatch.setattr(keras.Model, "fit", fit_built)


# The short form of the quickstart has its own command in `.ci/run`.
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")  # where there is a display
@pytest.mark.parametrize("name", [name for name in build.NAMES if name != "quickstart"])
def test_short_form_runs_and_ends_with_its_figures(name, tmp_path, monkeypatch, built_before_fit):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.setenv(build.SHORT, "1")
    monkeypatch.chdir(tmp_path)
    figures = runpy.run_path(str(FOLDER / f"{name}.py"))["figures"]
    assert pyplot.get_fignums()
    pyplot.close("all")
    assert_within(figures, margins.SHORT[name])


@pytest.mark.slow  # minutes for each: the whole of what readers run
@pytest.mark.parametrize("name", build.NAMES)
def test_full_form_ends_with_its_figures(name):
    notebook = build.run(build.notebook_of(name))
    build.check(name, nbformat.writes(notebook))
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    lines = "".join(output.text for output in last.outputs).splitlines()
    figures = {key: float(value) for key, value in (line.rsplit(": ", 1) for line in lines)}
    assert_within(figures, margins.FULL[name])


def test_paths_addresses_and_size_are_refused():
    def notebook(text):
        output = nbformat.v4.new_output("stream", name="stdout", text=text)
        cell = nbformat.v4.new_code_cell("1", outputs=[output])
        return nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))

    build.check("fine", notebook("3 rows/second, 1/2, docs/home"))
    for text in ("/home/me/flow.keras", "in '/tmp/x'", "<History at 0x7fd9d3ec6d90>"):
        with pytest.raises(ValueError, match="only of this machine"):
            build.check("bad", notebook(text))
    with pytest.raises(ValueError, match="bytes"):
        build.check("large", notebook("x" * 1_000_001))


def test_changed_code_needs_a_run():
    name = build.NAMES[0]
    changed = build.notebook_of(name)
    next(cell for cell in changed.cells if cell.cell_type == "code").source += "\nprint(1)"
    with pytest.raises(ValueError, match="has changed"):
        build.with_old_outputs(name, changed)
