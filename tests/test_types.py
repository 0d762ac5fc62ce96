"""Every function is annotated, and every annotation names what can be imported."""

import functools
import importlib
import inspect
import pkgutil
import typing

import pytest

import tfp_flows

# The parts of the package that are annotated.
MODULES = ("tfp_flows.bijectors", "tfp_flows.diagnostics", "tfp_flows.math")


def modules():
    """Names of all modules of the package that belong to one of `MODULES`."""
    names = [tfp_flows.__name__]
    names += [m.name for m in pkgutil.walk_packages(tfp_flows.__path__, "tfp_flows.")]
    return [name for name in names if f"{name}.".startswith(tuple(f"{m}." for m in MODULES))]


def function_of(attribute):
    """The plain function behind an attribute of a class or a module, or `None`."""
    if isinstance(attribute, property):
        attribute = attribute.fget
    if isinstance(attribute, functools.cached_property):
        attribute = attribute.func
    attribute = inspect.unwrap(getattr(attribute, "__func__", attribute))
    return attribute if inspect.isfunction(attribute) else None


def functions(module):
    """Pairs of a name and a function: those defined in a module, and its classes' methods."""
    for name, value in vars(module).items():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            members = ((f"{name}.{key}", member) for key, member in vars(value).items())
        else:
            members = [(name, value)]
        for member_name, member in members:
            function = function_of(member)
            # What a metaclass, a decorator of TensorFlow or `NamedTuple` has made is not ours.
            if function is not None and function.__code__.co_filename == module.__file__:
                yield member_name, function


def unannotated(function):
    """Names of the parameters without an annotation, and "return" if that has none."""
    parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    names = [p.name for p in parameters if p.annotation is p.empty]
    # The first of a method needs none.
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    return names if "return" in function.__annotations__ else [*names, "return"]


@pytest.mark.parametrize("name", modules())
def test_every_function_is_annotated(name):
    module = importlib.import_module(name)
    found = {key: unannotated(function) for key, function in functions(module)}
    for _, function in functions(module):
        typing.get_type_hints(function)
    assert {key: missing for key, missing in found.items() if missing} == {}


@pytest.mark.parametrize("name", MODULES)
def test_annotations_of_every_public_callable_resolve(name):
    package = importlib.import_module(name)
    for exported in getattr(package, "__all__", ()):
        value = getattr(package, exported)
        if not callable(value):
            continue
        hints = typing.get_type_hints(value.__init__ if inspect.isclass(value) else value)
        if inspect.isclass(value):
            typing.get_type_hints(value)
            public = [key for key in vars(value) if not key.startswith("_")]
            for function in filter(None, (function_of(vars(value)[key]) for key in public)):
                assert "return" in typing.get_type_hints(function), (exported, function)
        else:
            assert set(inspect.signature(value).parameters) < set(hints), exported


def test_a_function_without_annotations_would_be_found():
    def bare(self, x, y: int = 0, *rest, **options) -> None:
        pass

    def free(x: int):
        pass

    assert unannotated(bare) == ["x", "rest", "options"]
    assert unannotated(free) == ["return"]
    assert len(list(functions(importlib.import_module("tfp_flows.bijectors.linear.qr_linear")))) > 4
