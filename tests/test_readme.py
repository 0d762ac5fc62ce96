"""README's Python runs as printed, from the first block to the last."""

import functools
import pathlib
import re

import tfp_flows as tfpf

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    one_layer = functools.partial(tfpf.flows.maf, num_layers=1)
    fit, compile_model = tfpf.FlowModel.fit, tfpf.FlowModel.compile
    fitted = []

    def fit_few(self, *data, **options):
        """To some of the rows only: what their number costs shows nothing."""
        fitted.append(self)
        return fit(self, *(rows[:300] for rows in data), **options)

    def compile_model_cheaply(self, *args, jit_compile="auto", **options):
        """XLA, which is slow to compile, where a second model asks for it; else no graph at all."""
        if jit_compile is True and not fitted:
            return compile_model(self, *args, jit_compile=False, run_eagerly=True, **options)
        return compile_model(self, *args, jit_compile=jit_compile, **options)

    monkeypatch.setattr(tfpf.FlowModel, "fit", fit_few)
    monkeypatch.setattr(tfpf.FlowModel, "compile", compile_model_cheaply)
    # XLA compiles each of the five layers of the default.
    monkeypatch.setattr(tfpf.flows, "maf", one_layer)
    # TFP's own would give its samples the density of the time when they were drawn.
    assert not any("TransformedDistribution(" in block for block in blocks)
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert [model.jit_compile for model in fitted] == [False, True]
    assert (tmp_path / "flow.keras").exists()
    assert names["samples"].shape == [1000, 2] and names["log_prob"].shape == [5]
    assert names["posterior"].batch_shape == [4]
