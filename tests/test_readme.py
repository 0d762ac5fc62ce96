"""README's Python runs as printed, from the first block to the last."""

import pathlib
import re

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "flow.keras").exists()
    assert names["samples"].shape == [1000, 2] and names["log_prob"].shape == [5]
    assert names["posterior"].batch_shape == [4]
