"""The energies of the first tutorial."""

import pathlib

import jupytext
import numpy as np
import pytest
import tensorflow as tf

PATH = pathlib.Path(__file__).parents[2] / "tutorials" / "what_a_flow_is.py"


@pytest.fixture(scope="module")
def names():
    found = {"np": np, "tf": tf}
    for cell in jupytext.read(PATH).cells:
        if cell.source.startswith(("def wave", "def log_normalizer")):
            exec(compile(cell.source, PATH.name, "exec"), found)
    return found


def test_energies_are_those_of_the_paper(names):
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
    assert expected.keys() == names["ENERGIES"].keys()
    for name, energy in names["ENERGIES"].items():
        np.testing.assert_allclose(energy(tf.constant(z)), expected[name], rtol=1e-12)


def test_log_normalizer_of_a_normal_density(names):
    log_z = names["log_normalizer"](lambda z: 0.5 * tf.reduce_sum(tf.square(z - 1.0), -1))
    np.testing.assert_allclose(log_z, np.log(2.0 * np.pi), rtol=1e-8)
