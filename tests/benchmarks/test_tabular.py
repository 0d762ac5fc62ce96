"""The benchmark on tabular data: what it refuses, how it resumes, what its presets are made of."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.bijectors import Coupling, LULinear
from tfp_flows.layers import MLP

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"


def small_flow(size, settings, seed):
    # With dropout, whose random numbers have to go on, too.
    network = MLP(2, (8,), dropout=0.2, seed=seed)
    network.build((None, size - 1))
    layers = [Coupling(network, mask=[True] * (size - 1) + [False]), LULinear(size)]
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), [size])
    return tfpf.distributions.Flow(base, tfp.bijectors.Chain(layers))


@pytest.fixture
def tabular(monkeypatch):
    """The script, with a small set of data and a small flow for it."""
    monkeypatch.syspath_prepend(FOLDER)
    import tabular
    import tabular_data
    import tabular_presets

    rng = np.random.default_rng(0)
    x = rng.normal(size=[400, 3])
    x[:, 1] += x[:, 0] ** 2
    toy = tabular_data.Dataset(
        lambda path: tabular_data.Rows(*tabular_data.split(x), "made up"), (324, 36, 40), 3
    )
    monkeypatch.setitem(tabular_data.DATASETS, "toy", toy)
    power = tabular_presets.PRESETS["neural_spline"]["coupling"]["power"]
    small = {**power, "batch_size": 64, "steps": 6}
    monkeypatch.setitem(tabular_presets.PRESETS["neural_spline"]["coupling"], "toy", small)
    monkeypatch.setattr(tabular, "make_flow", small_flow)
    return tabular


def run(tabular, folder, *options):
    tabular.main(
        ["toy", "neural_spline", "--output", str(folder), "--interval", "2", "--no-jit", *options]
    )
    return json.loads((folder / "results.json").read_text())


class KilledError(Exception):
    pass


def kill_at(monkeypatch, tabular, written):
    """Ends the process, as it were, before a file of that name is written the second time."""
    save, count = tabular.write_json, []

    def write_json(path, values):
        count.append(path.name)
        if count.count(written) == 2:
            raise KilledError
        save(path, values)

    monkeypatch.setattr(tabular, "write_json", write_json)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tabular, tmp_path, monkeypatch, capsys):
    compile_model = tfpf.FlowModel.compile
    monkeypatch.setattr(
        tfpf.FlowModel,
        "compile",
        lambda *args, **options: compile_model(*args, **options, run_eagerly=True),
    )
    # Six steps, the last of a second epoch; a checkpoint after every other one.
    whole = run(tabular, tmp_path / "whole")
    assert whole["finished"] and whole["steps"] == 6
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        kill_at(patch, tabular, "record.json")
        run(tabular, tmp_path / "parts")
    # Ended by the clock after one more interval.
    part = run(tabular, tmp_path / "parts", "--minutes", "1e-9")
    assert not part["finished"] and part["steps"] == 4
    assert "goes on" in capsys.readouterr().out
    parts = run(tabular, tmp_path / "parts")
    assert [call["from_step"] for call in parts["calls"]] == [0, 2, 4]
    assert parts["finished"] and parts["steps"] == 6
    for key in ("train", "validation"):
        np.testing.assert_allclose(
            [entry[key] for entry in parts["curve"]],
            [entry[key] for entry in whole["curve"]],
            rtol=1e-5,
        )
    assert parts["test_log_likelihood"] == pytest.approx(whole["test_log_likelihood"], rel=1e-5)
    with pytest.raises(SystemExit):
        run(tabular, tmp_path / "parts", "--batch-size", "16")
    assert "batch_size was 64. Received: batch_size=16" in capsys.readouterr().err


def test_order_is_new_in_every_epoch_and_follows_from_the_step(tabular):
    x = np.arange(10.0, dtype="float32")[:, np.newaxis]

    def rows(steps):
        return np.stack([batch[0].numpy()[:, 0] for batch in tabular.batches(x, 3, 7, steps)])

    nine = rows(range(9)).reshape(3, 9)  # three epochs of three steps
    assert all(len(set(epoch)) == 9 for epoch in nine)
    assert not (nine[0] == nine[1]).all() and not (nine[1] == nine[2]).all()
    np.testing.assert_array_equal(rows(range(4, 6)), nine.reshape(9, 3)[4:6])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["iris", "maf"], "There are: power, gas, hepmass, miniboone, bsds300"),
        (["power", "glow"], "There are: neural_spline, maf, real_nvp"),
        (["power", "maf", "--preset", "maf7"], "There are: maf10, maf5"),
        (["power", "maf", "--steps", "0"], "--steps must be at least 1. Received: 0"),
        (["gas", "maf", "--data", "nowhere"], "zenodo.org/record/1161203"),
        (["hepmass", "maf"], "hepmass/1000_train.csv"),
        (["miniboone", "maf"], "miniboone/data.npy"),
        (["bsds300", "maf"], "www2.eecs.berkeley.edu"),
    ],
)
def test_what_is_unknown_or_missing_is_said(tabular, arguments, message, monkeypatch, capsys):
    from tabular_data import DATASETS

    monkeypatch.delitem(DATASETS, "toy")
    with pytest.raises(SystemExit):
        tabular.main(arguments)
    assert message in capsys.readouterr().err


def test_sets_of_other_sizes_are_refused(tabular, tmp_path):
    from tabular_data import load

    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone/data.npy", np.random.default_rng(0).normal(size=[100, 43]))
    with pytest.raises(ValueError, match=r"29556.*Received: \(81, 9, 10\)"):
        load("miniboone", tmp_path)


def test_preparation_of_gas_and_hepmass(tabular):
    from tabular_data import prepare_gas, prepare_hepmass

    rng = np.random.default_rng(0)
    x = rng.normal(size=[300, 4])
    x[:, 2] = x[:, 0] + 0.01 * rng.normal(size=300)  # the first of the two goes
    gas = prepare_gas(x)
    np.testing.assert_allclose(gas, (x[:, 1:] - x[:, 1:].mean(0)) / x[:, 1:].std(0, ddof=1))

    label = np.arange(300) % 3 == 0
    x[:, 3] = np.maximum(x[:, 3], 0.0)  # the minimum repeats
    table = np.column_stack([label, x])
    train, validation, test = prepare_hepmass(table, table[:30])
    assert train.shape == (90, 3) and validation.shape == (10, 3) and test.shape == (10, 3)
    np.testing.assert_allclose(np.concatenate([train, validation]).mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(test, np.concatenate([train, validation])[:10])


def test_patches_have_no_mean_and_stand_as_the_image_does(tabular):
    from tabular_data import patches

    # Rows grow along one axis: a transposed image shows it.
    image = np.arange(32, dtype="uint8")[:, np.newaxis] * np.ones([1, 40], "uint8") * 8
    x = patches(image[np.newaxis], np.array([False]), 5, np.random.default_rng(0))
    assert x.shape == (5, 63) and x.dtype == np.float32
    whole = np.concatenate([x, -x.sum(axis=1, keepdims=True)], axis=1).reshape(5, 8, 8)
    assert (whole.mean(axis=2)[:, 1:] > whole.mean(axis=2)[:, :-1]).all()
    turned = patches(image[np.newaxis], np.array([True]), 5, np.random.default_rng(0))
    # But for noise of up to 1 / 256; the next row is 8 / 256 away.
    np.testing.assert_allclose(turned[:, 1], whole[:, 1, 0], atol=5e-3)


def test_presets_are_flows(tabular):
    from tabular_presets import PRESETS, make_flow

    for recipe, presets in PRESETS.items():
        for name, settings in presets.items():
            hidden_units = 8 if recipe == "neural_spline" else [8, 8]
            small = {**settings["power"], "num_layers": 2, "hidden_units": hidden_units}
            flow = make_flow(6, small, seed=1)
            assert np.isfinite(flow.log_prob(tf.ones([3, 6]))).all(), name
            assert flow.trainable_variables


def test_weights_of_the_coupling_preset(tabular):
    from tabular_presets import PRESETS, make_flow

    settings = {**PRESETS["neural_spline"]["coupling"]["power"], "num_layers": 1}
    flow = make_flow(6, settings, seed=1)
    network = (3 * 256 + 256) + 4 * (256 * 256 + 256) + (256 * 69 + 69)
    linear = 2 * (6 * 6 + 6)
    identity = 3 * 23
    count = sum(int(np.prod(v.shape)) for v in flow.trainable_variables)
    assert count == network + linear + identity


@pytest.mark.slow
def test_the_script_runs_on_its_own(tmp_path):
    command = [sys.executable, FOLDER / "tabular.py", "power", "neural_spline", "--steps", "2"]
    subprocess.run([*command, "--output", tmp_path, "--num-validation", "100"], check=True)
    assert json.loads((tmp_path / "results.json").read_text())["steps"] == 2
