"""Errors that say what to do."""

import numpy as np
import pytest

import tfp_flows as tfpf

X = np.zeros([4, 2], "float32")


@pytest.mark.parametrize(
    ("size", "hint"), [(3, r"one-hot rows, `np.eye\(3\)\[labels\]`"), (1, r"np.newaxis\]`")]
)
def test_labels_as_contexts_are_told_to_be_one_hot(size, hint):
    flow = tfpf.flows.maf(2, context_size=size, num_layers=1, hidden_units=(2,))
    model = tfpf.FlowModel(flow)
    for use in (model.fit, model.evaluate, lambda c, x: model.predict((c, x))):
        with pytest.raises(ValueError, match=rf"`context` must .*{hint}. Received: "):
            use(np.arange(4), X)


@pytest.mark.parametrize("name", ["nice", "real_nvp", "neural_spline", "flow_plus_plus"])
def test_couplings_of_one_dimension_are_told_of_what_takes_one(name):
    hint = "`autoregressive=True`" if name == "neural_spline" else "`maf`"
    with pytest.raises(ValueError, match=f"at least 2.*one dimension .*{hint}.*Received: "):
        getattr(tfpf.flows, name)(1)
    flow = tfpf.flows.neural_spline(1, autoregressive=True, num_layers=1, hidden_units=(2,))
    assert flow.event_shape == [1]


SERIES = {"wavenet": (6, 1), "parallel_wavenet": (6, 1), "waveglow": (16, 1)}
IMAGES = ("glow", "multiscale", "mintnet")


def with_contexts_of_two_axes(name):
    shape = SERIES.get(name, (4, 4, 2) if name in IMAGES else 2)
    return getattr(tfpf.flows, name)(shape, context_size=(2, 3))


@pytest.mark.parametrize("name", SERIES)
def test_recipes_of_series_take_contexts_of_several_axes(name):
    flow = with_contexts_of_two_axes(name)
    assert tfpf.conditioning.context_size(flow) == (2, 3)


@pytest.mark.parametrize(
    "name", sorted(set(tfpf.flows.__all__) - set(SERIES) - {"variational_dequantization"})
)
def test_other_recipes_say_how_to_flatten_them(name):
    with pytest.raises(TypeError, match=r"`context.reshape\(\[N, -1\]\)`.*Received: .*\(2, 3\)"):
        with_contexts_of_two_axes(name)
