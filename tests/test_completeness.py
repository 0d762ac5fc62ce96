"""Every bijector and every recipe of the package has a case; `__all__` is not trusted."""

import importlib
import inspect
import pathlib
import pkgutil

import angle_cases
import audio_cases
import cases
import image_cases
import set_cases

import tfp_flows as tfpf

CASES = [*cases.CASES, *image_cases.CASES, *audio_cases.CASES, *set_cases.CASES, *angle_cases.CASES]


def modules(package):
    """Imports every module of the package, and yields it."""
    yield package
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield importlib.import_module(found.name)


def bijectors(within):
    """Names of the classes below `FlowBijector` whose module name starts with `within`."""
    names = set()

    def visit(cls):
        for subclass in cls.__subclasses__():
            if subclass.__module__.partition(".")[0] == within:
                if not getattr(subclass, "__abstractmethods__", None):
                    names.add(subclass.__name__)
            visit(subclass)

    visit(tfpf.bijectors.FlowBijector)
    return names


def recipes(folder):
    """Names of the files that hold a recipe."""
    names = {path.stem for path in pathlib.Path(folder).glob("*.py")}
    return {name for name in names if not name.startswith("_")}


def uncovered(names, registry):
    return names - {name for case in registry for name in case.covers}


def test_every_bijector_has_a_case():
    list(modules(tfpf))
    found = bijectors("tfp_flows")
    assert {"Affine", "Coupling", "LULinear"} <= found
    assert uncovered(found, CASES) == set()


def test_every_recipe_has_a_case():
    found = recipes(pathlib.Path(tfpf.__file__).parent / "flows")
    assert {"maf", "neural_spline"} <= found
    assert uncovered(found, CASES) == set()


def test_every_recipe_file_holds_a_public_recipe_of_its_name():
    for name in recipes(pathlib.Path(tfpf.__file__).parent / "flows"):
        assert callable(getattr(tfpf.flows, name)), name
        assert name in tfpf.flows.__all__


def test_every_bijector_is_public():
    list(modules(tfpf))
    assert bijectors("tfp_flows") <= set(tfpf.bijectors.__all__)


def test_every_case_covers_something_that_exists():
    known = set(tfpf.bijectors.__all__) | set(tfpf.flows.__all__)
    for case in CASES:
        assert case.covers and set(case.covers) <= known, case
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def test_a_case_makes_what_it_says_that_it_covers():
    for case in CASES:
        is_recipe = hasattr(case.make, "flow")
        bijector = case.make.flow("float32").bijector if is_recipe else case.make("float32")
        made_of = {type(node).__name__ for node in tfpf._tree.walk(bijector)}
        made_of |= {bijector.name} if is_recipe else set()
        assert set(case.covers) & made_of, case


def test_a_bijector_without_a_case_would_be_found():
    """Also a private one, and one below another, in a module that nothing exports."""
    made_up = type("_MadeUp", (tfpf.bijectors.Affine,), {"__module__": "made_up_package.deep.file"})
    below = type("Below", (made_up,), {"__module__": "made_up_package.other"})
    assert bijectors("made_up_package") == {"_MadeUp", "Below"}
    assert uncovered({"Affine", below.__name__}, CASES) == {"Below"}
    without = [case for case in CASES if "LULinear" not in case.covers]
    assert uncovered({"LULinear", "Affine"}, without) == {"LULinear"}


def test_a_recipe_without_a_case_would_be_found(tmp_path):
    for name in ("__init__", "_recipe", "maf", "made_up"):
        (tmp_path / f"{name}.py").touch()
    assert uncovered(recipes(tmp_path), CASES) == {"made_up"}


def test_every_public_object_has_an_example():
    """Pytest runs it. A constant has the docstring of its class."""
    parts = [tfpf.bijectors, tfpf.diagnostics, tfpf.distributions, tfpf.flows, tfpf.layers]
    parts += [tfpf.math, tfpf.models, tfpf]
    objects = {
        f"{part.__name__}.{name}": getattr(part, name) for part in parts for name in part.__all__
    }
    without = {
        name
        for name, found in objects.items()
        if not inspect.ismodule(found) and " >>> " not in (found.__doc__ or "")
    }
    assert len(objects) > 150 and without == set()
