"""Diagnostics of what `table_flow` returns: whole numbers and angles."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
d = tfpf.diagnostics
SMALL = {"num_layers": 1, "hidden_units": (4,), "seed": 1}
TESTS = [d.latent_normality, d.coverage, d.c2st, d.sbc]
RNG = np.random.default_rng(2)
DICE = np.stack([RNG.integers(0, 6, size=300), RNG.uniform(size=300)], axis=1)


def dice(high=5):
    """Whole numbers from 0 to 5, or other ones, and a number from 0 to 1: the density of DICE."""
    uniform = tfd.Sample(tfd.Uniform(0.0, 1.0), 2)
    flow = tfpf.distributions.Flow(uniform, tfb.Scale([high + 1.0, 1.0]))
    return tfpf.distributions.WholeColumns(flow, columns=[0], low=[0], high=[high])


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_whole_numbers_fit_or_do_not(test):
    """Uniform on 0 to 5 they are, and on 0 to 11 they are not."""
    assert test(dice(), DICE).p_value > 0.05
    assert test(dice(11), DICE).p_value < 0.01 or test is d.coverage  # all levels are the same


def test_layers_below_whole_numbers_are_examined():
    report = tfpf.diagnose(dice(), DICE)
    assert [row.layer for row in report.rows] == ["0 scale"] and report.faults == ()
    low, high = report.rows[0].values
    assert 0 < low < 0.01 and 0.99 < high < 1  # the noise fills the gaps between numbers
    table = tfpf.table_flow(["real", tfpf.Column("integer", 0, 5)], **SMALL)
    assert len(tfpf.diagnose(tfpf.FlowModel(table), DICE[:, ::-1]).rows) > 3
    assert d.transport(table, num_points=20).size > 1


@pytest.mark.parametrize("test", [*TESTS, tfpf.diagnose], ids=lambda test: test.__name__)
def test_values_that_are_not_whole_are_refused(test):
    with pytest.raises(ValueError, match="`x` must hold whole numbers.*Received: 6"):
        test(dice(), DICE + [1.0, 0.0])
    with pytest.raises(ValueError, match="`x` must have shape.*Received: "):
        test(dice(), DICE[:, :1])


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_pixels_are_tested_too(test):
    uniform = tfd.Sample(tfd.Uniform(0.0, 1.0), 3)
    flow = tfpf.distributions.Flow(uniform, tfb.Shift(-0.5))
    pixels = tfpf.distributions.Dequantized(flow, num_values=8, alpha=None)
    x = np.random.default_rng(3).integers(0, 8, size=(200, 3))
    assert test(pixels, x).p_value > 0.01
    with pytest.raises(ValueError, match="`x` must hold whole numbers.*Received: .[.]5"):
        test(pixels, x + 0.5)


def cylinder(context_size=0):
    columns = ["real", "real", tfpf.Column("angle", 0, 24)]
    flow = tfpf.table_flow(columns, context_size=context_size, recipe=tfpf.flows.maf, **SMALL)
    perturb(flow.trainable_variables, scale=0.3)
    return flow


HOURS = np.concatenate([RNG.normal(size=(100, 2)), RNG.uniform(0, 24, size=(100, 1))], axis=1)


def test_layers_of_numbers_and_of_angles_are_examined():
    flow = cylinder()
    report = tfpf.diagnose(flow, HOURS)
    names = [row.layer.split(" ", 1)[1] for row in report.rows]
    assert "autoregressive (numbers)" in names and report.faults == (), str(report)
    assert any(name.endswith("(angles)") for name in names)
    assert [int(row.layer.split()[0]) for row in report.rows] == list(range(len(names)))
    of_numbers = [row for row in report.rows if row.layer.endswith("(numbers)")]
    assert all(row.log_det_error < 1e-3 and row.round_trip < 1e-3 for row in of_numbers)
    assert any((row.context_effect or 0.0) > 0.0 for row in of_numbers)  # angles are a context
    # Alone it is examined as well.
    alone = tfpf.diagnose(flow.distribution, HOURS / 12 - 1)
    inner = [row.layer.split(" ", 1)[1] for row in alone.rows]
    assert inner == names[-len(inner) :] and len(inner) < len(names)


def test_a_fault_below_angles_is_named():
    flow = cylinder()
    numbers = flow.distribution.numbers
    numbers.trainable_variables[0].assign(np.nan * numbers.trainable_variables[0])
    layer, word = tfpf.diagnose(flow, HOURS).first_fault
    assert layer.endswith("(numbers)") and word == "weights not finite"


def test_a_context_of_angles_reaches_both():
    report = tfpf.diagnose(cylinder(2), HOURS, np.random.default_rng(3).normal(size=(100, 2)))
    assert report.faults == (), str(report)
    moved = {row.layer.split(" ", 1)[1] for row in report.rows if row.context_effect}
    assert any("(angles)" in name for name in moved) and any("(numbers)" in name for name in moved)


def test_layers_within_a_base_are_said_to_be_left_out():
    coupling = tfpf.flows.nice(2, num_layers=1, hidden_units=(4,))
    base = tfd.MixtureSameFamily(
        tfd.Categorical([0.0, 0.0]),
        tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros([2, 2])), tfb.Scale(2.0)),
    )
    note = "The base holds layers of its own, which were not examined."
    flow = tfpf.distributions.Flow(base, tfb.Shift(1.0))
    assert note in str(tfpf.diagnose(flow, HOURS[:, :2]))
    assert note not in str(tfpf.diagnose(coupling, HOURS[:, :2]))


@pytest.mark.parametrize("test", [*TESTS, tfpf.diagnose], ids=lambda test: test.__name__)
def test_a_layer_of_a_model_is_taken_for_its_distribution(test):
    flow = tfpf.flows.nice(2, num_layers=1, hidden_units=(4,), seed=1)
    x = HOURS[:, :2]
    assert str(test(tfpf.DistributionLayer(flow), x)) == str(test(flow, x))
