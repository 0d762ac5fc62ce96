"""Pictures: axes in, axes out, and what is drawn on them."""

import builtins
import sys

import known_flows
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
d = tfpf.diagnostics
FLOW = known_flows.unconditional("shifted")
X = known_flows.X


def test_pairs():
    axes = d.pairs(X, X[:100] + 1.0, names=["a", "b"])
    assert axes.shape == (2, 2)
    samples, data = axes[1, 0].lines[1], axes[1, 0].lines[0]
    np.testing.assert_allclose(samples.get_xydata(), X)
    np.testing.assert_allclose(data.get_xydata(), X[:100] + 1.0)
    assert axes[1, 0].get_xlabel() == "a" and axes[1, 0].get_ylabel() == "b"
    assert not axes[0, 1].axison
    assert (d.pairs(X, axes=axes) == axes).all()
    wide = np.zeros([5, 30]) + np.arange(30)
    axes = d.pairs(wide, columns=[29, 3])
    assert axes[1, 0].get_xlabel() == "29"
    np.testing.assert_array_equal(axes[1, 0].lines[0].get_xydata()[0], [29, 3])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        ((np.zeros([5, 21]),), {}, ValueError, "columns"),
        ((X,), {"columns": [0, 0]}, ValueError, "columns"),
        ((X,), {"columns": [0, 2]}, ValueError, "columns"),
        ((X,), {"columns": [-1]}, ValueError, "columns"),
        ((X,), {"columns": [0.5]}, TypeError, "columns"),
        ((X,), {"columns": 1}, TypeError, "columns"),
        ((X,), {"columns": []}, ValueError, "columns"),
        ((X, X[:, :1]), {}, ValueError, "data"),
        ((X[:1],), {}, ValueError, "samples"),
        ((["a", "b"],), {}, TypeError, "samples"),
        ((X,), {"names": ["a"]}, ValueError, "names"),
        ((X,), {"axes": [None]}, ValueError, "axes"),
    ],
)
def test_pairs_refuses(arguments, options, error, word):
    with pytest.raises(error, match=f"`{word}`") as caught:
        d.pairs(*arguments, **options)
    assert "Received: " in str(caught.value)


def test_density_2d():
    ax = d.density_2d(FLOW, bounds=((-1.0, 2.0), (-1.5, 2.5)), num_points=4)
    drawn = ax.collections[0].get_array().reshape([4, 4])
    first, second = np.linspace(-1, 2, 4), np.linspace(-1.5, 2.5, 4)
    squares = (first - 0.5) ** 2 + (second[:, np.newaxis] - 0.5) ** 2
    np.testing.assert_allclose(drawn, np.exp(-squares / 2) / (2 * np.pi), rtol=1e-5)
    assert d.density_2d(FLOW, ax, num_points=10) is ax
    assert d.density_2d(known_flows.conditional(), context=[3.0], num_points=10).get_xlim()[1] > 4


@pytest.mark.parametrize(
    ("flow", "options", "error", "word"),
    [
        (tfd.Normal(0.0, 1.0), {}, ValueError, "flow"),
        (tfb.Exp(), {}, TypeError, "flow"),
        (known_flows.conditional(), {}, ValueError, "context"),
        (FLOW, {"bounds": (0, 1)}, ValueError, "bounds"),
        (FLOW, {"bounds": ((0, 1), (1, 0))}, ValueError, "bounds"),
        (FLOW, {"num_points": 1}, ValueError, "num_points"),
    ],
)
def test_density_2d_refuses(flow, options, error, word):
    with pytest.raises(error, match=f"`{word}`") as caught:
        d.density_2d(flow, **options)
    assert "Received: " in str(caught.value)


def test_learning_curve():
    history = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.5, 2.0]}
    ax = d.learning_curve(history)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), history["loss"])
    np.testing.assert_array_equal(ax.lines[2].get_xydata(), [[2, 1.5]])
    assert d.learning_curve({"elbo": [1.0], "val_elbo": [np.nan]}, ax) is ax
    with pytest.raises(TypeError, match="`history`.*Received"):
        d.learning_curve([1.0])
    with pytest.raises(ValueError, match="`history`.*Received"):
        d.learning_curve({"accuracy": [1.0]})


def test_transport():
    """Panels from base to data; the last one is that of samples."""
    bijector = tfb.Chain([tfb.Scale([2.0, 3.0]), tfb.Permute([1, 0]), tfb.Shift([1.0, 5.0])])
    flow = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), bijector)
    axes = d.transport(flow, num_points=50)
    assert [ax.get_title() for ax in axes] == ["base", "shift", "permute", "scale"]
    points = [np.asarray(ax.collections[0].get_offsets()) for ax in axes]
    np.testing.assert_allclose(points[1], points[0] + [1.0, 5.0], rtol=1e-6)
    np.testing.assert_allclose(points[2], points[1][:, ::-1])
    np.testing.assert_allclose(points[3], points[2] * [2.0, 3.0], rtol=1e-6)
    assert (d.transport(flow, axes, num_points=5) == axes).all()
    assert len(d.transport(flow, num_points=5, max_panels=2)) == 2
    assert len(d.transport(known_flows.conditional(), context=[1.0], num_points=5)) == 2
    with_constraint = tfpf.distributions.Flow(flow, tfb.Exp())
    assert d.transport(with_constraint, num_points=5)[-1].get_title() == "exp"


@pytest.mark.parametrize(
    ("flow", "options", "error", "word"),
    [
        (tfd.Sample(tfd.Normal(0.0, 1.0), 2), {}, TypeError, "flow"),
        (tfb.Exp()(tfd.Normal(0.0, 1.0)), {}, ValueError, "flow"),
        (FLOW, {"columns": [0]}, ValueError, "columns"),
        (FLOW, {"columns": [0, 5]}, ValueError, "columns"),
        (FLOW, {"axes": plt.subplots()[1]}, ValueError, "axes"),
        (known_flows.conditional(), {}, ValueError, "context"),
        (known_flows.conditional(), {"context": [[1.0], [2.0]]}, ValueError, "context"),
    ],
)
def test_transport_refuses(flow, options, error, word):
    with pytest.raises(error, match=f"`{word}`") as caught:
        d.transport(flow, **options)
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("matplotlib", lambda: d.pairs(X)),
        ("matplotlib", lambda: d.density_2d(FLOW)),
        ("matplotlib", lambda: d.learning_curve({"loss": [1.0]})),
        ("matplotlib", lambda: d.transport(FLOW)),
        ("scipy", lambda: d.latent_normality(FLOW, X)),
        ("scipy", lambda: d.coverage(FLOW, X)),
        ("scipy", lambda: d.sbc(FLOW, X)),
        ("scikit-learn", lambda: d.c2st(FLOW, X)),
    ],
)
def test_a_package_that_is_missing_is_named(package, use, monkeypatch):
    name = {"scikit-learn": "sklearn"}.get(package, package)
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    original = builtins.__import__

    def without(module, *arguments, **options):
        if module.partition(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return original(module, *arguments, **options)

    finder = type("Without", (), {"find_spec": staticmethod(lambda m, *_: refuse(m, name))})
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as caught:
        use()
    message = str(caught.value)
    assert package in message and 'pip install "tfp_flows[plot]"' in message
    assert "Received: " in message


def refuse(module, name):
    if module.partition(".")[0] == name:
        raise ModuleNotFoundError(f"No module named {module!r}")


def test_diagnose_and_weights_need_no_further_package(monkeypatch):
    def missing(module):
        raise AssertionError(f"asked for {module}")

    monkeypatch.setattr("tfp_flows.diagnostics._optional.importlib.import_module", missing)
    assert "No fault" in str(tfpf.diagnose(known_flows.unconditional(), X))
    target = known_flows.unconditional("narrow").log_prob
    assert "Pareto" in str(d.importance(FLOW, target, num_samples=100))


def test_report_as_a_picture():
    report = tfpf.diagnose(FLOW, X)
    ax = report.plot()
    assert len(ax.lines) == len(report.rows) == 1
    assert report.plot(ax) is ax
