"""The parts of the quickstart; `.ci/run` runs the whole of it in its short mode."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow_probability as tfp

PATH = pathlib.Path(__file__).parents[2] / "tutorials" / "quickstart.py"


@pytest.fixture(scope="module")
def quickstart():
    spec = importlib.util.spec_from_file_location("quickstart", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_equal_to_those_of_the_day_before_are_dropped(quickstart, tmp_path):
    rng = np.random.default_rng(0)
    measured = np.round(rng.uniform(size=[1500, 7]), 3)
    measured[1445:1450] = measured[5:10]  # filled gaps
    lines = ["date_time,a,b,c,d,e,f,g"]
    for minute, row in enumerate(measured):
        time = f"2007-01-{1 + minute // 1440:02d} {minute % 1440 // 60:02d}:{minute % 60:02d}:00"
        lines.append(",".join([time, *map(str, row)]))
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    rows, minutes = quickstart.read_rows(path)
    kept = np.r_[0:1445, 1450:1500]
    np.testing.assert_array_equal(rows, measured[kept])
    np.testing.assert_array_equal(minutes, kept % 1440)


def test_preparation_standardises_and_splits(quickstart):
    rng = np.random.default_rng(1)
    rows, minutes = rng.uniform(size=[1000, 7]), rng.integers(1440, size=1000)
    power = quickstart.prepare(rows, minutes)
    assert [len(part) for part in power[:3]] == [810, 90, 100]
    fit = np.concatenate([power.train, power.validation])
    np.testing.assert_allclose(fit.mean(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(fit.std(0), 1.0, atol=1e-6)
    every_minute = np.concatenate(power[:3])[:, 5] * power.scale[5] + power.mean[5]
    np.testing.assert_allclose(np.sort(every_minute), np.sort(minutes), atol=1e-3)


def test_gaussian_baseline_is_the_normal_of_train(quickstart):
    rng = np.random.default_rng(2)
    train = rng.normal(size=[500, 3]) @ rng.normal(size=[3, 3]) + 1.0
    normal = tfp.distributions.MultivariateNormalFullCovariance(train.mean(0), np.cov(train.T))
    np.testing.assert_allclose(
        quickstart.gaussian_log_prob(train, train[:10]), normal.log_prob(train[:10]), rtol=1e-6
    )


def test_picture_is_written(quickstart, tmp_path):
    rng = np.random.default_rng(3)
    power = quickstart.prepare(rng.uniform(size=[1000, 7]), rng.integers(1440, size=1000))
    quickstart.draw(power, rng.normal(size=[100, 6]), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
