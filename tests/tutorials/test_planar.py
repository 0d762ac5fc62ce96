"""The planar tutorial in its short mode, and its parts."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

PATH = pathlib.Path(__file__).parents[2] / "tutorials" / "planar.py"


@pytest.fixture(scope="module")
def planar():
    spec = importlib.util.spec_from_file_location("planar_tutorial", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_short_run_fits_and_draws(planar, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    planar.main(["--short"])
    assert (tmp_path / "planar.png").stat().st_size > 10_000
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("U")]
    assert [row[0] for row in rows] == ["U1", "U2"]
    for _, _, elbo, log_z, gap in rows:
        # A bound, up to the error of 50,000 samples.
        assert -0.05 < float(gap) < 5.0
        assert abs(float(log_z) - float(elbo) - float(gap)) < 2e-3


def test_energies_are_those_of_the_paper(planar):
    z = np.array([1.3, -0.4])
    w1 = np.sin(2.0 * np.pi * z[0] / 4.0)
    w2 = 3.0 * np.exp(-0.5 * ((z[0] - 1.0) / 0.6) ** 2)
    w3 = 3.0 / (1.0 + np.exp(-(z[0] - 1.0) / 0.3))

    def bump(x, width):
        return np.exp(-0.5 * (x / width) ** 2)

    expected = {
        "U1": 0.5 * ((np.hypot(*z) - 2.0) / 0.4) ** 2
        - np.log(bump(z[0] - 2.0, 0.6) + bump(z[0] + 2.0, 0.6)),
        "U2": 0.5 * ((z[1] - w1) / 0.4) ** 2,
        "U3": -np.log(bump(z[1] - w1, 0.35) + bump(z[1] - w1 + w2, 0.35)),
        "U4": -np.log(bump(z[1] - w1, 0.4) + bump(z[1] - w1 + w3, 0.35)),
    }
    for name, energy in planar.ENERGIES.items():
        np.testing.assert_allclose(energy(tf.constant(z)), expected[name], rtol=1e-12)


def test_log_normalizer_of_a_normal_density(planar):
    log_z = planar.log_normalizer(lambda z: 0.5 * tf.reduce_sum(tf.square(z - 1.0), -1))
    np.testing.assert_allclose(log_z, np.log(2.0 * np.pi), rtol=1e-8)
