"""The bijector of masked convolutions: its order, what it reports, what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
from image_cases import perturb_image, points

from tfp_flows.bijectors import MaskedConvolution
from tfp_flows.layers import MLP, MaskedConvNet
from tfp_flows.math.solvers import _masked_network

SHAPE = (3, 4, 2)


def network(scale=0.3):
    made = MaskedConvNet((3,), seed=1, dtype="float64")
    made.build((None, *SHAPE))
    perturb_image(made.variables, scale)
    return made


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("channel", [0, 1])
def test_order_is_by_rows_columns_and_channels(channel, reverse):
    bijector = MaskedConvolution(network(), reverse)
    y = points(SHAPE, (1,))
    moved = y.numpy()
    moved[0, 1, 2, channel] += 1.0
    changed = np.ravel(bijector.inverse(y) != bijector.inverse(moved))
    at = np.ravel_multi_index((1, 2, channel), SHAPE)
    before, after = changed[:at], changed[at + 1 :]
    assert changed[at] and before.any() == reverse and after.any() == (not reverse)


def test_the_density_takes_one_evaluation_and_no_sweep(monkeypatch):
    calls = []
    convolution = _masked_network._convolution
    monkeypatch.setattr(
        _masked_network, "_convolution", lambda *args: calls.append(0) or convolution(*args)
    )
    monkeypatch.setattr(_masked_network, "_sweeps", None)
    bijector = MaskedConvolution(network())
    y = points(SHAPE, (2,))
    x = bijector.inverse(y)
    bijector.forward_log_det_jacobian(x, 3)
    assert len(calls) == 2  # layers


def test_what_is_not_found_is_nan_or_an_error(monkeypatch):
    monkeypatch.setattr(_masked_network, "NEWTON_SWEEPS", 1)
    monkeypatch.setattr(_masked_network, "_roots", lambda layers, log_linear, x, y: x)
    x = points(SHAPE, (2,))
    y = MaskedConvolution(network()).forward(x)
    assert np.isnan(y).any()
    strict = MaskedConvolution(network(), validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="found no y for some x"):
        strict.forward(x)


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="`network` must be a .*MaskedConvNet.*Received: "):
        MaskedConvolution(MLP(2))
    with pytest.raises(ValueError, match="`network` must be built .*Received: "):
        MaskedConvolution(MaskedConvNet())
    with pytest.raises(ValueError, match=r"images of shape \(3, 4, 2\).*Received: "):
        MaskedConvolution(network()).inverse(tf.zeros([2, 3, 4, 1], tf.float64))
    with pytest.raises(ValueError, match="takes no `context` .*Received: "):
        MaskedConvolution(network(), context=np.zeros([2]))
