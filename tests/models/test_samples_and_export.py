"""`FlowModel.sample` and `log_prob`, a SavedModel with endpoints, `repr`, and fits that repeat."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.models import _draws

X = np.random.default_rng(0).normal(size=[40, 2]).astype("float32")
C = np.random.default_rng(1).normal(size=[40, 3]).astype("float32")


def made(context_size=0, recipe=tfpf.flows.real_nvp):
    flow = recipe(2, context_size=context_size, num_layers=1, hidden_units=(4,), seed=1)
    perturb(flow.trainable_variables)
    return tfpf.FlowModel(flow)


def test_samples_come_in_batches_and_follow_from_the_seed():
    model = made()
    draws = model.sample(7, seed=3, batch_size=3)
    assert isinstance(draws, np.ndarray) and draws.shape == (7, 2)
    assert len(np.unique(draws[:, 0])) == 7
    np.testing.assert_array_equal(draws, model.sample(7, seed=3, batch_size=3))
    assert np.any(draws != model.sample(7, seed=4, batch_size=3))
    keras.utils.set_random_seed(1)
    first = model.sample(4)
    assert np.any(first != model.sample(4))
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(first, model.sample(4))
    many = model.sample(4000, seed=1)
    expected = model.distribution.sample(4000, seed=[9, 9])
    np.testing.assert_allclose(many.mean(0), np.mean(expected, axis=0), atol=0.15)


def test_samples_under_xla_are_those_of_eager_mode_and_compile_once():
    model = made()
    eager = model.sample(5, seed=3, batch_size=2)
    model.compile()
    np.testing.assert_allclose(model.sample(5, seed=3, batch_size=2), eager, rtol=1e-5)
    program = model._programs._by_key["sample", 2]
    model.sample(8, seed=5, batch_size=2)
    assert program.experimental_get_tracing_count() == 1


def test_samples_of_a_context():
    model = made(context_size=3)
    assert model.sample(5, C[0], seed=1, batch_size=2).shape == (5, 2)
    draws = model.sample(5, C[:4], seed=1)
    assert draws.shape == (5, 4, 2)
    with pytest.raises(ValueError, match="`context` must be given to a cond.*Received: "):
        model.sample(5)
    with pytest.raises(ValueError, match="`context` must not be given. Received: "):
        made().sample(5, C[0])


def test_log_prob_of_rows():
    model = made()
    np.testing.assert_allclose(model.log_prob(X), model.distribution.log_prob(X), rtol=1e-5)
    model = made(context_size=3)
    expected = tfpf.condition(model.distribution, C).log_prob(X)
    np.testing.assert_allclose(model.log_prob(X, C), expected, rtol=1e-5)


def test_a_bar_shows_what_takes_long(monkeypatch, capsys):
    made().sample(6, batch_size=2)
    assert not capsys.readouterr().out
    monkeypatch.setattr(_draws, "_SECONDS_IN_SILENCE", -1.0)
    made().sample(6, batch_size=2)
    assert "3/3" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "name"), [((0,), "n"), ((1, None, -1), "seed")])
def test_numbers_that_are_none(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: "):
        made().sample(*arguments)


SERVED = """
import sys, numpy as np, tensorflow as tf
served, conditional = (tf.saved_model.load(path) for path in sys.argv[1:3])
x, c = (np.load(path) for path in sys.argv[3:5])
np.save(sys.argv[5], served.log_prob(x))
draws = [served.sample(tf.constant([1, 2]), n) for n in (3, 5)]
assert [draw.shape for draw in draws] == [[3, 2], [5, 2]]
np.save(sys.argv[6], conditional.log_prob((c, x)))
assert conditional.sample(c, tf.constant([1, 2]), 3).shape == [3, 40, 2]
assert "tfp_flows" not in sys.modules
"""


@pytest.mark.slow  # It starts another process, which imports TensorFlow.
def test_exported_endpoints_are_served_without_the_package(tmp_path):
    models = made(recipe=tfpf.flows.maf), made(context_size=3)
    for i, model in enumerate(models):
        model.export(tmp_path / str(i), verbose=False)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "c.npy", C)
    names = ("0", "1", "x.npy", "c.npy", "of_x.npy", "of_c.npy")
    paths = [str(tmp_path / name) for name in names]
    subprocess.run([sys.executable, "-c", SERVED, *paths], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(paths[4]), models[0].log_prob(X), rtol=1e-5)
    np.testing.assert_allclose(np.load(paths[5]), models[1].log_prob(X, C), rtol=1e-5)


def test_repr_shows_layers_sizes_and_weights():
    flow = tfpf.distributions.Flow(
        tfpf.flows.iaf(2, num_layers=1, hidden_units=(4,), seed=1), tfpf.bijectors.Standardize(2)
    )
    text = repr(flow)
    assert text.startswith("<tfp.distributions.Flow ")
    lines = [line.split() for line in text.splitlines()[1:]]
    number = sum(int(np.prod(v.shape)) for v in flow.trainable_variables)
    assert lines[0] == ["Standardize", "0", "weights"]
    assert lines[-1] == ["all", str(number), "weights"]
    text = repr(flow.distribution)
    assert "Invert Autoregressive of Affine  MADE (4,)" in text


def test_repr_shows_what_is_within_other_distributions():
    small = {"num_layers": 1, "hidden_units": (4,), "seed": 1}
    columns = {"n": tfpf.Column("integer", 0, 3), "hour": tfpf.Column("angle"), "x": "real"}
    table = tfpf.table_flow(columns, recipe=tfpf.flows.maf, **small)
    pixels = tfpf.distributions.Dequantized(tfpf.flows.maf(2, **small), 4)
    scaled = tfpf.distributions.Flow(tfpf.flows.maf(2, **small), tfpf.bijectors.Standardize(2))
    for flow, names in (
        (table, ("Affine (numbers)", "CircularSpline (angles)", "Uniform (angles)")),
        (pixels, ("Autoregressive of Affine  MADE (4,)", "SampleNormal")),
        (scaled, ("Standardize", "Autoregressive of Affine  MADE (4,)", "SampleNormal")),
    ):
        text = repr(flow)
        assert text.startswith(f"<tfp.distributions.{type(flow).__name__} ")
        lines = [line.split() for line in text.splitlines()[1:]]
        numbers = [int(line[-2].replace(",", "")) for line in lines]
        assert lines[-1][0] == "all" and sum(numbers[:-1]) == numbers[-1]
        assert numbers[-1] == sum(int(np.prod(v.shape)) for v in flow.trainable_variables)
        assert all(name in text for name in names), text


def test_repr_cuts_long_default_names():
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), 2)
    chain = tfp.bijectors.Chain([tfpf.bijectors.LULinear(2) for _ in range(9)])
    inner = tfpf.distributions.Flow(base, chain)
    assert len(inner.name) > 90
    flow = tfpf.distributions.Flow(inner, tfpf.bijectors.Standardize(2))
    for each in (inner, flow):
        text = repr(each)
        assert max(map(len, text.splitlines())) <= 115
        assert f"'{each.name[:37]}...'" in text


@pytest.mark.slow  # Two trainings, each compiled: six seconds.
def test_two_fits_of_one_seed_end_with_equal_weights():
    def reached(seed):
        keras.utils.set_random_seed(seed)
        network = tfpf.layers.MLP(2, (4,), dropout=0.3)
        network.build((None, 1))
        coupling = tfpf.bijectors.Coupling(network)
        base = tfpf.flows.real_nvp(2, num_layers=1, hidden_units=(4,))
        model = tfpf.FlowModel(tfpf.distributions.Flow(base, coupling))
        model.compile(jit_compile=False)
        model.fit(X, epochs=2, batch_size=16, verbose=0)
        return np.concatenate([np.ravel(tf.identity(w.value)) for w in model.trainable_weights])

    first = reached(1)
    np.testing.assert_array_equal(reached(1), first)
    assert np.any(reached(2) != first)
