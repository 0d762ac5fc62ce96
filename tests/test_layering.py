"""Imports point down: math <- bijectors <- flows <- models, math <- layers <- flows."""

import ast
import pathlib

import pytest

import tfp_flows

PACKAGE = pathlib.Path(tfp_flows.__file__).parent

# What each part of the package may import of the package.
BOTTOM = {"math", "_checks", "_inlined_maps", "_lost_in_keras", "_tree", "_widths"}
ALLOWED = {
    "math": {"math"},
    "_checks": set(),
    "_inlined_maps": set(),
    "_lost_in_keras": {"_checks"},
    "_tree": set(),
    "_mixtures": {"_tree"},
    "_widths": {"_checks"},
    "_lost_digits": {"_checks"},
    "bijectors": BOTTOM | {"bijectors", "conditioning"},
    "layers": BOTTOM | {"layers"},
    "distributions": BOTTOM | {"bijectors", "distributions", "conditioning"},
    "conditioning": {"_checks", "_lost_digits", "_tree", "_mixtures"},
    "saving": {"_checks", "_tree", "bijectors", "distributions", "saving"},
    "flows": BOTTOM | {"bijectors", "layers", "distributions", "flows"},
    "surrogate_posterior": {"distributions", "flows"},
    "column": {"_checks"},
    "table_flow": {"_checks", "bijectors", "column", "distributions", "flows"},
    "diagnostics": BOTTOM | {"bijectors", "conditioning", "distributions", "diagnostics"},
    "models": BOTTOM
    | {"bijectors", "layers", "distributions", "flows", "conditioning", "saving", "models"}
    | {"_lost_digits"},
}
# The floors within a part: which of its folders the files of a folder may import, apart from those
# of their own folder and of the ground floor, the files beside the folders.
FLOORS = {
    "math": {"splines": set(), "linalg": set(), "solvers": {"linalg"}, "ode": set()},
    "bijectors": {
        "transformers": set(),
        "conditioned": {"transformers"},
        "normalization": {"transformers"},
        "linear": set(),
        "residual": set(),
        "continuous": set(),
        "shape": set(),
    },
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


def points_up_within(part, parts, imported):
    """Whether a file of a part imports a folder of the same part that is not below it."""
    floors = FLOORS.get(part, {})
    if parts == ("__init__",) or not imported or imported[0] not in floors:
        return False
    return imported[0] != parts[0] and imported[0] not in floors.get(parts[0], set())


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
            elif ours and below[0] == part and points_up_within(part, parts[1:], below[1:]):
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
    for part, floors in FLOORS.items():
        assert {path.parent.name for path in PACKAGE.glob(f"{part}/*/*.py")} == set(floors)


def private_without_underscore(package):
    """Files that hold no name of the `__all__` of their package and of those around it."""
    found = []
    for path in sorted(package.rglob("*.py")):
        if path.stem.startswith("_") or path.parent == package:
            continue
        defined = {getattr(node, "name", None) for node in ast.parse(path.read_text()).body}
        init = ast.parse((package / path.relative_to(package).parts[0] / "__init__.py").read_text())
        exported = {
            item.value
            for node in init.body
            if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            for item in node.value.elts
        }
        if not defined & exported:
            found.append(str(path.relative_to(package)))
    return found


def test_private_files_begin_with_an_underscore(tmp_path):
    assert private_without_underscore(PACKAGE) == []
    for file, text in (
        ("math/__init__.py", "from tfp_flows.math.solvers import f\n\n__all__ = ['f']\n"),
        ("math/solvers/__init__.py", "from tfp_flows.math.solvers.f import f\n"),
        ("math/solvers/f.py", "def f():\n    pass\n"),
        ("math/solvers/g.py", "def g():\n    pass\n"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    assert private_without_underscore(tmp_path) == ["math/solvers/g.py"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("math/solve.py", "from tfp_flows.bijectors import Affine"),
        ("math/solve.py", "from tfp_flows import bijectors"),
        ("math/solve.py", "from ..bijectors import affine"),
        ("math/solve.py", "from tfp_flows import _checks"),
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
        ("_checks.py", "from tfp_flows.bijectors import Affine"),
        ("_tree.py", "from tfp_flows import saving"),
        ("saving/new.py", "from tfp_flows.models import FlowModel"),
        ("unknown.py", "from tfp_flows import math"),
        ("bijectors/transformers/new.py", "from tfp_flows.bijectors.conditioned import Coupling"),
        ("bijectors/flow_bijector.py", "from tfp_flows.bijectors.transformers import Affine"),
        ("math/linalg/new.py", "from tfp_flows.math.solvers.find_root import find_root"),
        ("math/new.py", "from ..math.ode import adjoint"),
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
            "import keras\nfrom tfp_flows import _checks\nfrom tfp_flows.math import f",
        ),
        (
            "flows/new.py",
            "from tfp_flows.bijectors import Affine\nfrom tfp_flows.layers import MADE",
        ),
        ("models/new.py", "from tfp_flows import saving\nfrom tfp_flows._tree import walk"),
        ("__init__.py", "from tfp_flows import models"),
        ("bijectors/conditioned/new.py", "from tfp_flows.bijectors.transformers import Affine"),
        ("bijectors/linear/new.py", "from tfp_flows.bijectors.flow_bijector import FlowBijector"),
        ("bijectors/__init__.py", "from tfp_flows.bijectors.linear import LULinear"),
    ],
)
def test_a_tree_whose_imports_point_down_passes(file, line, tmp_path):
    package = tmp_path / "tfp_flows"
    path = package / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert violations(package) == []
