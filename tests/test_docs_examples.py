"""The Python of the guide and of the page on extending runs as printed, block after block."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

DOCS = pathlib.Path(__file__).parents[1] / "docs"


@pytest.fixture
def run_page(tmp_path, monkeypatch):
    def run(page):
        monkeypatch.chdir(tmp_path)
        text = (DOCS / page).read_text()
        names = {"__name__": "docs"}
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            # Blank lines before it: an error names the line of the page.
            line = text.count("\n", 0, match.start(1))
            exec(compile("\n" * line + match[1], str(DOCS / page), "exec"), names)
        return names

    yield run
    registered = keras.saving.get_custom_objects()
    for name in [name for name in registered if name.startswith("mine>")]:
        del registered[name]


@pytest.fixture
def without_xla(monkeypatch):
    """The guide's models are many, and each takes seconds to compile for a few steps of training.

    `FlowModel` trains without a graph, `VariationalModel`, whose steps are many, in one without
    XLA. What is printed runs under XLA in the slow test; that models train so the page on extending
    shows.
    """
    flow_compile, variational_compile = tfpf.FlowModel.compile, tfpf.VariationalModel.compile

    def compile_eager(self, *args, jit_compile=True, **options):
        return flow_compile(self, *args, jit_compile=False, run_eagerly=True, **options)

    def compile_graph(self, *args, jit_compile=True, **options):
        return variational_compile(self, *args, jit_compile=False, **options)

    function = tf.function

    def function_without(*args, jit_compile=None, **options):
        return function(*args, **options)

    monkeypatch.setattr(tf, "function", function_without)
    monkeypatch.setattr(tfpf.FlowModel, "compile", compile_eager)
    monkeypatch.setattr(tfpf.VariationalModel, "compile", compile_graph)


@pytest.mark.parametrize("xla", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_guide(run_page, tmp_path, request, xla):
    """As printed it is slow: XLA compiles each of its many models."""
    if not xla:
        request.getfixturevalue("without_xla")
    names = run_page("guide.md")
    for name in ("flow", "squash", "squeeze", "torus"):
        assert (tmp_path / f"{name}.keras").exists()
    assert (0 < names["samples"].numpy()).all() and (names["samples"].numpy() < 1).all()
    assert names["given"].batch_shape == [5]
    assert names["chain"].shape == [50, 4, 2] and np.isfinite(names["chain"]).all()
    assert names["history"][-1] > names["history"][0]
    # A network of the reader's own was trained without a graph, above; `test_extending` trains one
    # under XLA.
    torus, angles = names["torus"], names["angles"][:5]
    log_prob = tf.function(torus.log_prob)
    np.testing.assert_allclose(log_prob(angles), torus.log_prob(angles), rtol=1e-4)


def test_extending(run_page):
    names = run_page("extending.md")
    flow = names["model"].distribution
    given = names["tfpf"].condition(flow, names["context"])
    before = names["tfpf"].condition(names["flow"], names["context"])
    np.testing.assert_array_equal(given.log_prob(names["x"]), before.log_prob(names["x"]))
