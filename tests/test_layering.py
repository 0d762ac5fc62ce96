"""Imports point down: math <- bijectors <- flows <- models, math <- layers <- flows."""

import ast
import pathlib

import pytest

import tfp_flows

PACKAGE = pathlib.Path(tfp_flows.__file__).parent

# What each part of the package may import of the package.
BOTTOM = {"math", "checks", "tree"}
ALLOWED = {
    "math": {"math"},
    "checks": set(),
    "tree": set(),
    "bijectors": BOTTOM | {"bijectors"},
    "layers": BOTTOM | {"layers"},
    "distributions": BOTTOM | {"bijectors", "distributions", "conditioning"},
    "conditioning": {"checks", "tree"},
    "saving": {"checks", "tree", "bijectors", "distributions", "saving"},
    "flows": BOTTOM | {"bijectors", "layers", "distributions", "flows"},
    "models": BOTTOM
    | {"bijectors", "layers", "distributions", "flows", "conditioning", "saving", "models"},
}
# `ml_dtypes` is where numpy knows bfloat16 from.
MATH_MAY_IMPORT = ("numpy", "ml_dtypes", "tensorflow", "tensorflow_probability")
STANDARD = ("math", "typing", "functools", "collections", "dataclasses", "enum", "itertools")


def imports(path, package):
    """Yields the dotted names that a file imports, relative ones made absolute."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = [*parts[: -node.level]] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(package):
    """Every import that points up, and every foreign one of `math`, as "file: name"."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        part = parts[0]
        if part == "__init__":
            continue
        for name in imports(path, package):
            top, *below = name.split(".")
            ours = top == package.name
            if ours and (not below or below[0] not in ALLOWED.get(part, set())):
                found.append(f"{'/'.join(parts)}: {name}")
            if part == "math" and not ours and not name.startswith(MATH_MAY_IMPORT):
                if top not in STANDARD:
                    found.append(f"{'/'.join(parts)}: {name}")
            of_tfp = name.startswith("tensorflow_probability.")
            if part == "math" and of_tfp and ".math" not in name and ".internal" not in name:
                found.append(f"{'/'.join(parts)}: {name}")
        if part == "math":
            for node in ast.walk(ast.parse(path.read_text())):
                # `tfp.bijectors` by attribute is as much of an import.
                if (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id in ("tfp", "tensorflow_probability")
                    and node.attr != "math"
                ):
                    found.append(f"{'/'.join(parts)}: tfp.{node.attr}")
    return found


def test_no_import_points_up():
    assert violations(PACKAGE) == []


def test_every_part_of_the_package_has_its_place():
    parts = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")}
    assert parts - {"__init__"} == set(ALLOWED)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("math/solve.py", "from tfp_flows.bijectors import Affine"),
        ("math/solve.py", "from tfp_flows import bijectors"),
        ("math/solve.py", "from ..bijectors import affine"),
        ("math/solve.py", "from tfp_flows import checks"),
        ("math/solve.py", "import keras"),
        ("math/solve.py", "import scipy.special"),
        ("math/solve.py", "import tensorflow_probability as tfp\nf = tfp.bijectors.Exp"),
        ("math/solve.py", "from tensorflow_probability.python.bijectors import exp"),
        ("bijectors/new.py", "from tfp_flows.layers import MADE"),
        ("bijectors/new.py", "import tfp_flows.layers.made"),
        ("bijectors/new.py", "def f():\n    from tfp_flows.flows import maf"),
        ("bijectors/new.py", "import tfp_flows"),
        ("bijectors/new.py", "from .. import models"),
        ("layers/new.py", "from tfp_flows import bijectors"),
        ("layers/new.py", "from tfp_flows.conditioning import condition"),
        ("flows/new.py", "from tfp_flows.models import FlowModel"),
        ("distributions/new.py", "from tfp_flows.flows import maf"),
        ("checks.py", "from tfp_flows.bijectors import Affine"),
        ("tree.py", "from tfp_flows import saving"),
        ("saving/new.py", "from tfp_flows.models import FlowModel"),
        ("unknown.py", "from tfp_flows import math"),
    ],
)
def test_a_tree_with_an_import_that_points_up_fails(file, line, tmp_path):
    package = tmp_path / "tfp_flows"
    path = package / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert len(violations(package)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("math/solve.py", "import tensorflow_probability as tfp\nf = tfp.math.value_and_gradient"),
        ("math/solve.py", "from tfp_flows.math.other import f"),
        (
            "bijectors/new.py",
            "import keras\nfrom tfp_flows import checks\nfrom tfp_flows.math import f",
        ),
        (
            "flows/new.py",
            "from tfp_flows.bijectors import Affine\nfrom tfp_flows.layers import MADE",
        ),
        ("models/new.py", "from tfp_flows import saving\nfrom tfp_flows.tree import walk"),
        ("__init__.py", "from tfp_flows import models"),
    ],
)
def test_a_tree_whose_imports_point_down_passes(file, line, tmp_path):
    package = tmp_path / "tfp_flows"
    path = package / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert violations(package) == []
