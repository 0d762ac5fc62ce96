"""The gallery holds every recipe for vectors, with small pictures and sound numbers."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

import tfp_flows as tfpf

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images" / "gallery"
RESULTS = json.loads((FOLDER / "gallery.json").read_text())
# Of angles, images, series and sets, and what only goes into another one.
OTHERS = {"circular_spline", "glow", "mintnet", "multiscale", "parallel_wavenet", "pointflow"}
OTHERS |= {"variational_dequantization", "waveglow", "wavenet"}


@pytest.fixture(scope="module")
def gallery():
    path = ROOT / "tutorials" / "gallery.py"
    spec = importlib.util.spec_from_file_location("gallery", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_has_every_recipe_for_vectors(gallery):
    assert list(RESULTS) == list(gallery.RECIPES)
    expected = set(tfpf.flows.__all__) - OTHERS | {"neural_spline_autoregressive"}
    assert set(RESULTS) == expected


def test_pictures_are_there_and_small():
    pictures = {path.stem: path.stat().st_size for path in FOLDER.glob("*.png")}
    assert set(pictures) == {"truth", *RESULTS}
    assert max(pictures.values()) < 15_000


def test_flows_are_between_the_truth_and_a_normal_distribution():
    for result in RESULTS.values():
        nats, error = result["nats_from_truth"], result["standard_error"]
        assert -3 * error < nats < 1.2  # a normal distribution is 1.55 away


def test_each_says_what_it_was_made_with(gallery):
    for name, result in RESULTS.items():
        made = json.loads(json.dumps(gallery.RECIPES[name]))
        assert result["arguments"] == made
        assert result["num_steps"] == gallery.STEPS.get(name, gallery.NUM_STEPS)
        assert result["learning_rate"] == gallery.RATES.get(name, gallery.RATE)


def test_only_flows_that_keep_volume_or_bend_little_are_far_away():
    far = {name for name, result in RESULTS.items() if result["nats_from_truth"] > 0.6}
    assert far <= {"nice", "radial"}


def test_the_density_of_the_pinwheel_has_the_integral_one(gallery):
    axis = np.linspace(-4.0, 4.0, 300)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape([-1, 2])
    density = np.exp(gallery.pinwheel_log_prob(points))
    assert abs(density.sum() * (axis[1] - axis[0]) ** 2 - 1) < 1e-4


def test_points_have_that_density(gallery):
    """The mean of -log p(x) over draws is the entropy."""
    surprise = -gallery.pinwheel_log_prob(gallery.draw(20_000, seed=5))
    assert abs(surprise.mean() - 1.2761) < 5 * surprise.std() / np.sqrt(20_000)
