"""What the documentation's pages are made of: groups of names, and links from code."""

import importlib
import pathlib
import re
import sys

import pytest

import tfp_flows as tfpf

DOCS = pathlib.Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def docs_module():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module
    for name in ("_groups", "_names"):
        sys.modules.pop(name, None)


def test_api_pages_list_every_public_name_once(docs_module):
    groups = docs_module("_groups")
    listed = re.findall(r"^   (\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    # `models` is a module whose classes `tfp_flows` exports.
    assert sorted(listed) == sorted([*tfpf.__all__, "models"])
    for module in groups.MODULES:
        of_module = groups.groups()[f"tfp_flows.{module}"]
        names = [name for _, _, names in of_module for name in names]
        assert sorted(names) == sorted(groups.names_of(module)), f"docs/_groups.py: {module}"


TENSORFLOW = "https://www.tensorflow.org/api_docs/python/tf"
TFP = "https://www.tensorflow.org/probability/api_docs/python/tfp"


@pytest.mark.parametrize(
    ("code", "link"),
    [
        ("tfpf.flows.maf", "tfp_flows.flows.maf"),
        ("maf", "tfp_flows.flows.maf"),
        ("neural_spline(autoregressive=True)", "tfp_flows.flows.neural_spline"),
        ("c2st", "tfp_flows.diagnostics.c2st"),
        ("diagnose", "tfp_flows.diagnose"),
        ("tfp_flows.flows", "tfp_flows.flows"),
        ("Coupling", "tfp_flows.bijectors.Coupling"),
        ("B.Coupling(network, B.Affine, mask=mask)", "tfp_flows.bijectors.Coupling"),
        ("Recurrent", "tfp_flows.layers.Recurrent"),
        ("tfpf.math.linear_spline", "tfp_flows.math.linear_spline"),
        ("tfpf.models.FlowModel", "tfp_flows.FlowModel"),
        ("FlowModel.adapt", "tfp_flows.FlowModel.adapt"),
        ("B.Affine.new", "tfp_flows.bijectors.Affine.new"),
        ("tfpf.diagnostics.diagnose", "tfp_flows.diagnose"),
        ("tfb.Sigmoid(low, high)", f"{TFP}/bijectors/Sigmoid"),
        ("tfp.vi.fit_surrogate_posterior", f"{TFP}/vi/fit_surrogate_posterior"),
        ("tf.distribute.MirroredStrategy()", f"{TENSORFLOW}/distribute/MirroredStrategy"),
        ("tf.Variable.assign", f"{TENSORFLOW}/Variable#assign"),
        ("keras.optimizers.Adam(1e-3)", f"{TENSORFLOW}/keras/optimizers/Adam"),
    ],
)
def test_a_name_in_code_is_a_link(docs_module, code, link):
    names = docs_module("_names")
    name = names.name_in(code)
    assert (names.target_of(name, "guide") or names.address_of(name)) == link


@pytest.mark.parametrize(
    "code",
    ["x", "context_size=3", "tf.float32", "tfb.NoSuchThing", "tfp._impl", "num_layers", "residual"],
)
def test_other_code_is_none(docs_module, code):
    names = docs_module("_names")
    name = names.name_in(code)
    page = "api/tfp_flows.flows.residual"
    assert name is None or (names.target_of(name, page) or names.address_of(name)) is None


def test_no_two_pages_differ_by_case_alone(docs_module):
    groups = docs_module("_groups")
    names = [f"tfp_flows.{name}" for name in [*tfpf.__all__, *groups.MODULES]]
    for module in groups.MODULES:
        names += [f"tfp_flows.{module}.{name}" for name in groups.names_of(module)]
    files = {groups.PAGES.get(name, name).lower() for name in names}
    assert len(files) == len(set(names))
    assert set(groups.PAGES) <= set(names)


def test_a_bare_name_of_two_modules_is_none(docs_module, monkeypatch):
    monkeypatch.setattr(tfpf.layers, "__all__", [*tfpf.layers.__all__, "Coupling"])
    names = docs_module("_names")
    monkeypatch.setattr(names, "_OURS", names._ours())
    assert names.target_of("Coupling", "guide") is None
    assert names.target_of("tfpf.layers.Coupling", "guide") == "tfp_flows.layers.Coupling"
