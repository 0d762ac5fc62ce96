"""The Python of the documentation's pages runs, block after block."""

import pathlib
import re
from types import MappingProxyType

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

DOCS = pathlib.Path(__file__).parents[1] / "docs"


@pytest.fixture
def run_page(tmp_path, monkeypatch):
    def run(page, instead=MappingProxyType({})):
        monkeypatch.chdir(tmp_path)
        text = (DOCS / page).read_text()
        for printed, tried in instead.items():
            assert printed in text
            text = text.replace(printed, tried)
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
    XLA. That its models train under XLA README and the page on extending show. Arrays are trained
    on in few large batches, since each step without a graph is slow.
    """
    flow_compile, variational_compile = tfpf.FlowModel.compile, tfpf.VariationalModel.compile
    keras_compile, fit = keras.Model.compile, tfpf.FlowModel.fit

    def fit_in_large_batches(self, x=None, *data, **options):
        if isinstance(x, np.ndarray):
            options.setdefault("batch_size", 256)
        return fit(self, x, *data, **options)

    def compile_eager(self, *args, jit_compile=True, **options):
        return flow_compile(self, *args, jit_compile=False, run_eagerly=True, **options)

    def compile_graph(self, *args, jit_compile=True, **options):
        return variational_compile(self, *args, jit_compile=False, **options)

    def compile_users_model(self, *args, **options):
        if not isinstance(self, tfpf.FlowModel | tfpf.VariationalModel):
            options["run_eagerly"] = True
        return keras_compile(self, *args, **options)

    monkeypatch.setattr(keras.Model, "compile", compile_users_model)
    monkeypatch.setattr(tfpf.FlowModel, "compile", compile_eager)
    monkeypatch.setattr(tfpf.FlowModel, "fit", fit_in_large_batches)
    monkeypatch.setattr(tfpf.VariationalModel, "compile", compile_graph)


def test_guide(run_page, tmp_path, without_xla):
    # Its flows have half of the layers that are printed, which show the same in half of the time.
    # Its posteriors and its spline take fewer steps. Its chain goes without XLA, by which
    # `test_hmc_through_the_bijector_under_jit` compiles another.
    instead = {
        'small = {"num_layers": 2': 'small = {"num_layers": 1',
        "fit(steps_per_epoch=50, verbose=0)": "fit(steps_per_epoch=5, verbose=0)",
        "num_steps=20": "num_steps=2",
        "batch_size=512, epochs=20": "batch_size=512, epochs=5",
        "@tf.function(jit_compile=True)\ndef run_chain": "@tf.function\ndef run_chain",
    }
    names = run_page("guide.md", instead)
    for name in ("flow", "torus"):
        assert (tmp_path / f"{name}.keras").exists()
    assert (0 < names["samples"].numpy()).all() and (names["samples"].numpy() < 1).all()
    assert names["given"].batch_shape == [5]
    assert names["chain"].shape == [50, 4, 2] and np.isfinite(names["chain"]).all()
    assert names["history"][-1] > names["history"][0]
    # A network of the reader's own was trained without a graph, above.
    torus, angles = names["torus"], names["angles"][:5]
    log_prob = tf.function(torus.log_prob, jit_compile=True, autograph=False)
    np.testing.assert_allclose(log_prob(angles), torus.log_prob(angles), rtol=1e-4)


def test_extending(run_page):
    names = run_page("extending.md")
    flow = names["model"].distribution
    given = names["tfpf"].condition(flow, names["context"])
    before = names["tfpf"].condition(names["flow"], names["context"])
    np.testing.assert_array_equal(given.log_prob(names["x"]), before.log_prob(names["x"]))


def test_saving(run_page, tmp_path, without_xla):
    run_page("saving.md")
    for name in ("flow", "squash", "squeeze"):
        assert (tmp_path / f"{name}.keras").exists()
    assert (tmp_path / "served" / "saved_model.pb").exists()


def test_keras_models(run_page, without_xla):
    names = run_page("keras_models.md")
    x = names["x"][:5]
    prior, again = names["vae"].prior, names["again"].prior
    np.testing.assert_array_equal(again(x[:, :2]), prior(x[:, :2]))


@pytest.mark.parametrize("page", ["from_tfp.md", "training.md", "data.md", "devices.md"])
def test_page(run_page, without_xla, page):
    run_page(page)
