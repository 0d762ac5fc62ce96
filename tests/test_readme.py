"""README's Python runs as printed, from the first block to the last."""

import pathlib
import re

import pytest

import tfp_flows as tfpf

README = pathlib.Path(__file__).parents[1] / "README.md"


def names_of_blocks():
    """What the blocks define, run one after another in the folder of the moment."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert pathlib.Path("flow.keras").exists()
    assert names["samples"].shape == [1000, 2] and names["log_prob"].shape == [5]
    assert names["posterior"].batch_shape == [4]
    return names


def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    """As printed, but for the compilation by XLA, and for the rows, whose number shows nothing."""
    monkeypatch.chdir(tmp_path)
    fit, compile_model = tfpf.FlowModel.fit, tfpf.FlowModel.compile
    compiled, fitted = [], []

    def fit_few(self, *data, **options):
        fitted.append(self)
        return fit(self, *(rows[:300] for rows in data), **options)

    def compile_eager(self, *args, jit_compile="auto", **options):
        compiled.append(jit_compile)
        return compile_model(self, *args, jit_compile=False, run_eagerly=True, **options)

    monkeypatch.setattr(tfpf.FlowModel, "fit", fit_few)
    monkeypatch.setattr(tfpf.FlowModel, "compile", compile_eager)
    names_of_blocks()
    assert len(fitted) == 2 and compiled.count(True) >= 2


# Slow: XLA compiles two flows of the default sizes.
@pytest.mark.slow
def test_python_blocks_run_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_of_blocks()["model"].jit_compile is True
