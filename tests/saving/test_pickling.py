"""`pickle`, `copy.copy` and what goes their way: `joblib`, `multiprocessing`."""

import copy
import pickle
import pickletools

import numpy as np
import pytest
import set_cases
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb
from saving_cases import CONTEXT, FLOWS, X, made_model, network, standard_normal, with_conditioner

import tfp_flows as tfpf

tfd = tfp.distributions
NAMES = [name for name in FLOWS if name != "no_flow"]


def scored(name, flow):
    flow = tfpf.condition(flow, CONTEXT) if name == "conditional" else flow
    return flow.log_prob(tf.constant(X, flow.dtype)).numpy()


def as_flow(distribution):
    if isinstance(distribution, tfpf.distributions.Flow):
        return distribution
    return tfpf.distributions.Flow(distribution.distribution, distribution.bijector)


@pytest.mark.parametrize("name", NAMES)
def test_of_flows(name):
    flow = as_flow(FLOWS[name]())
    perturb(flow.variables)
    pickled = pickle.dumps(flow)
    again = pickle.loads(pickled)
    assert type(again) is type(flow) and again.name == flow.name
    np.testing.assert_array_equal(scored(name, again), scored(name, flow))
    assert [v.trainable for v in again.variables] == [v.trainable for v in flow.variables]
    assert not {id(v) for v in again.variables} & {id(v) for v in flow.variables}
    # No class of ours, and of the package one name that stays.
    strings = {arg for _, arg, _ in pickletools.genops(pickled) if isinstance(arg, str)}
    assert "tfp_flows.saving" in strings
    assert not any(string.startswith("tfp_flows.") and "._" in string for string in strings)


@pytest.mark.parametrize("library", ["joblib", "cloudpickle"])
def test_by_other_libraries(library, tmp_path):
    library = pytest.importorskip(library)
    flow = FLOWS["bound"]()
    perturb(flow.variables)
    with open(tmp_path / "flow", "wb") as file:
        library.dump(flow, file)
    with open(tmp_path / "flow", "rb") as file:
        again = library.load(file)
    np.testing.assert_array_equal(again.log_prob(X), flow.log_prob(X))


def test_of_bijectors_and_other_distributions():
    flow = FLOWS["real_nvp"]()
    perturb(flow.variables)
    for bijector in (flow.bijector, flow.bijector.bijectors[0]):
        again = pickle.loads(pickle.dumps(bijector))
        np.testing.assert_array_equal(again.inverse(X), bijector.inverse(X))
    base = tfpf.distributions.ConditionalNormal(network(2, 6), 3, 2)
    perturb(base.variables)
    both = base, pickle.loads(pickle.dumps(base))
    np.testing.assert_array_equal(*(tfpf.condition(d, CONTEXT).log_prob(X) for d in both))
    mixture = tfpf.distributions.mixture_of_gaussians(3, 2, seed=1)
    for again in (pickle.loads(pickle.dumps(mixture)), copy.deepcopy(mixture)):
        np.testing.assert_array_equal(again.log_prob(X), mixture.log_prob(X))
        assert again.variables[0] is not mixture.variables[0]
    around = pickle.loads(pickle.dumps(tfd.Independent(flow, 0)))
    np.testing.assert_array_equal(around.log_prob(X), flow.log_prob(X))
    whole = tfpf.distributions.Dequantized(flow, 17)
    pixels = np.random.default_rng(0).integers(17, size=[5, 3])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(whole)).elbo(pixels), whole.elbo(pixels)
    )
    sets = set_cases.pointflow(solver="euler", num_steps=1)
    points = set_cases.sets()
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(sets)).elbo(points, seed=1), sets.elbo(points, seed=1)
    )


def test_of_a_model():
    model = made_model("real_nvp")
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.distribution.log_prob(X), model.distribution.log_prob(X))


def test_frozen_variables_stay_frozen():
    flow = FLOWS["real_nvp"]()
    layer = flow.bijector.bijectors[0].conditioner
    list(layer._flatten_layers())[1].trainable = False
    trainable = [[v.trainable for v in layer.variables]]
    again = pickle.loads(pickle.dumps(flow)).bijector.bijectors[0].conditioner
    assert [[v.trainable for v in again.variables]] == trainable
    assert not all(trainable[0]) and any(trainable[0])


class Doubled(tfpf.bijectors.FlowBijector):
    """Of the user, and not registered with Keras: `pickle` finds the class by its name."""

    def __init__(self, scale, name="doubled"):
        parameters = dict(locals())
        self.scale = scale
        super().__init__(
            forward_min_event_ndims=0, dtype=scale.dtype, parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x):
        return self.scale * x, tf.math.log(self.scale) * tf.ones_like(x)

    def _inverse_and_log_det(self, y):
        return y / self.scale, -tf.math.log(self.scale) * tf.ones_like(y)


def repeated(x):
    return tf.concat([x, x], axis=-1)[..., :2]


def test_classes_of_the_user():
    flow = tfpf.distributions.Flow(standard_normal(), Doubled(tf.Variable(3.0)))
    again = pickle.loads(pickle.dumps(flow))
    np.testing.assert_array_equal(again.log_prob(X), flow.log_prob(X))


def test_functions():
    """A bijector alone is pickled as before; a flow says what cannot be saved, and where."""
    flow = as_flow(with_conditioner(repeated))
    bijector = flow.bijector.bijectors[1]
    again = pickle.loads(pickle.dumps(bijector))
    np.testing.assert_array_equal(again.inverse(X), bijector.inverse(X))
    with pytest.raises(ValueError, match=r"bijectors\[1\].conditioner` cannot be saved.*Received"):
        pickle.dumps(flow)


def test_another_version_is_refused():
    function, arguments = FLOWS["planar"]().__reduce_ex__(4)
    with pytest.raises(ValueError, match="format version 1.*Received: format_version=99"):
        function(99, *arguments[1:])


def test_a_shallow_copy_shares_variables():
    flow = FLOWS["real_nvp"]()
    for original in (flow, flow.bijector.bijectors[0]):
        copied = copy.copy(original)
        assert type(copied) is type(original) and copied is not original
        assert {id(v) for v in copied.variables} == {id(v) for v in original.variables}
