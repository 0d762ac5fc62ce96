"""What several files say of the package is the same everywhere."""

import configparser
import datetime
import pathlib
import re

import pytest

import tfp_flows as tfpf

ROOT = pathlib.Path(tfpf.__file__).parents[1]


@pytest.fixture(scope="module")
def setup():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def test_version_is_said_once(setup):
    version = setup["metadata"]["version"]
    assert tfpf.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_citation_is_complete():
    text = (ROOT / "CITATION.cff").read_text()
    keys = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    needed = (
        "cff-version message type title abstract authors version date-released license keywords"
    )
    assert set(needed.split()) <= keys
    (released,) = re.findall(r'^date-released: "(.*)"$', text, re.MULTILINE)
    assert datetime.date.fromisoformat(released)


def test_pre_commit_runs_the_ruff_of_the_tests(setup):
    (pinned,) = re.findall(r"ruff == \S+", setup["options.extras_require"]["test"])
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"ruff == [\w.*]+", text)) == {pinned}


@pytest.mark.parametrize("name", ["tensorflow", "tf_keras", "keras"])
def test_requirements_end_at_a_minor_release(name, setup):
    """Each minor release of these has changed something that the package stands on."""
    lines = setup["options"]["install_requires"]
    assert re.search(rf"^{name} >= \d+\.\d+, < \d+\.\d+$", lines, re.MULTILINE)


def test_no_docstring_has_a_markdown_table():
    """Docstrings are reStructuredText, which shows such a table as one paragraph."""
    files = sorted((ROOT / "tfp_flows").rglob("*.py"))
    assert [
        path.name for path in files if re.search(r"^\s*\|\s*:?-+", path.read_text(), re.M)
    ] == []
