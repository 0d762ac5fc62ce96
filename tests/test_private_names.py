"""What the package takes from others that they do not promise to keep: all of it, one test each.

A release of TensorFlow, TFP or Keras that lets go of such a name fails here first, and says what
it is needed for. Names that a library tells its users to override (`_forward` of a bijector,
`_sample_n` of a distribution) are its promise, and the contract tests see to them.
"""

import ast
import importlib
import operator
import pathlib

import keras
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

PACKAGE = pathlib.Path(tfpf.__file__).parent
INTERNAL = "tensorflow_probability.python.internal"
BIJECTORS = "tensorflow_probability.python.bijectors"
DISTRIBUTIONS = "tensorflow_probability.python.distributions"
PREFER_STATIC = (
    "broadcast_shape cast concat convert_to_shape_tensor equal logical_not not_equal ones rank "
    "reduce_prod shape size smart_where"
).split()

# Modules, and what is taken from them: why nothing public will do.
FROM_MODULES = {
    **{
        (f"{INTERNAL}.prefer_static", name): "sizes that are known stay Python's, which XLA needs"
        for name in PREFER_STATIC
    },
    (f"{INTERNAL}.parameter_properties", "SHAPE_FN_NOT_IMPLEMENTED"): "how a parameter says it",
    (f"{INTERNAL}.parameter_properties", "NO_EVENT_NDIMS"): "how a parameter says it",
    (f"{INTERNAL}.parameter_properties", "BIJECTOR_NOT_IMPLEMENTED"): "how a parameter says it",
    (f"{INTERNAL}.dtype_util", "common_dtype"): "the dtype of parameters that a bijector is given",
    (f"{INTERNAL}.dtype_util", "eps"): "the rounding of a dtype, of bfloat16 too",
    (f"{INTERNAL}.tensor_util", "convert_nonref_to_tensor"): "variables stay what they are",
    (f"{INTERNAL}.tensor_util", "is_ref"): "a variable is followed, a tensor is not",
    (f"{INTERNAL}.cache_util", "BijectorCacheWithGreedyAttrs"): "one pass computes value and "
    "log-det; TFP's own memory gives stale ones",
    (
        f"{INTERNAL}.auto_composite_tensor",
        "is_composite_tensor",
    ): "a mixture of what is none is none",
    (f"{BIJECTORS}.blockwise", "_Blockwise"): "its parts are looked into, composite or not",
    (f"{BIJECTORS}.chain", "_Chain"): "the class of a chain of parts that are not composite",
    (f"{BIJECTORS}.invert", "_Invert"): "the class of the inverse of a part that is not composite",
    (f"{BIJECTORS}.composition", "Composition"): "the base of `tfb.Chain`, which walks its parts",
    (f"{DISTRIBUTIONS}.transformed_distribution", "_TransformedDistribution"): "`Flow` is one, and "
    "a composite tensor would lose its networks",
    (f"{DISTRIBUTIONS}.mixture_same_family", "_MixtureSameFamily"): "as for `Flow`",
    **{
        (f"{DISTRIBUTIONS}.{module}", name): "its parts are looked into, composite or not"
        for module, name in (
            ("batch_broadcast", "_BatchBroadcast"),
            ("independent", "_Independent"),
            ("mixture", "_Mixture"),
            ("mvn_linear_operator", "MultivariateNormalLinearOperator"),
            ("sample", "_Sample"),
        )
    },
    ("tensorflow.python.eager.forwardprop_util", "pack_tangents"): "whether forward mode is on",
    ("tensorflow.python.eager.record", "stop_recording"): "no tape records a solver's steps",
    ("tensorflow.__internal__.distribute.interim", "maybe_merge_call"): "an update that may not "
    "happen, on several devices, as Keras does it",
}

# Public classes, and their private members.
OF_CLASSES = {
    (keras.Model, "_flatten_layers"): "layers within layers, each of which may be frozen",
    (keras.Model, "_clear_losses"): "penalties of the step before are dropped",
    (keras.optimizers.Adam, "_clip_gradients"): "clips gradients as the optimizer was told",
    (keras.optimizers.Adam, "_filter_empty_gradients"): "warns of gradients that are missing",
    (keras.optimizers.Adam, "_get_variable_index"): "finds the moments of a weight",
    (tf.Module, "_no_dependency"): "a tuple stays a tuple when it is assigned",
    (tfp.bijectors.Chain, "_call_walk_forward"): "parts are visited in their order",
    (tfp.bijectors.Chain, "_call_walk_inverse"): "parts are visited in their order",
    (tfp.distributions.Distribution, "_call_sample_n"): "samples keep their pass in memory",
    (tfp.distributions.Distribution, "_batch_shape_tensor"): "the batch of a uniform base",
    (tfp.bijectors.Bijector, "_is_injective"): "`Flow` has densities of what is injective",
    **{
        (tfp.distributions.MixtureSameFamily, name): "a mixture that draws by Philox"
        for name in ("_get_distributions_with_broadcast_batch_shape", "_reparameterize_sample")
    },
    **{
        (importlib.import_module(f"{INTERNAL}.cache_util").BijectorCacheWithGreedyAttrs, name): (
            "entries are keyed by their graph"
        )
        for name in ("_attributes", "_get_or_create_edge", "_invoke", "_lookup")
    },
}

# Attributes that only an instance has.
OF_INSTANCES = {
    ("adam", "_momentums"): "the first moments, for the update by one kernel",
    ("adam", "_velocities"): "the second moments, for the update by one kernel",
    ("mixture", "_reparameterize"): "whether samples are to have gradients",
}


def made_adam():
    optimizer = keras.optimizers.Adam()
    optimizer.build([keras.Variable([0.0])])
    return optimizer


def made_mixture():
    normal = tfp.distributions.Normal([0.0, 1.0], 1.0)
    return tfp.distributions.MixtureSameFamily(tfp.distributions.Categorical([0.0, 0.0]), normal)


def gone(owner, name, why):
    return f"`{owner}` has no `{name}` any more, which the package needs: {why}"


@pytest.mark.parametrize(("module", "name"), FROM_MODULES)
def test_module_has(module, name):
    if module.startswith("tensorflow.__internal__."):  # no module, but an attribute of one
        owner = operator.attrgetter(module.removeprefix("tensorflow."))(tf)
    else:
        owner = importlib.import_module(module)
    assert hasattr(owner, name), gone(module, name, FROM_MODULES[module, name])


@pytest.mark.parametrize(
    ("cls", "name"), OF_CLASSES, ids=lambda part: getattr(part, "__name__", part)
)
def test_class_has(cls, name):
    assert hasattr(cls, name), gone(cls.__name__, name, OF_CLASSES[cls, name])


@pytest.mark.parametrize(("kind", "name"), OF_INSTANCES)
def test_instance_has(kind, name):
    instance = {"adam": made_adam, "mixture": made_mixture}[kind]()
    assert hasattr(instance, name), gone(type(instance).__name__, name, OF_INSTANCES[kind, name])


def test_keras_calls_its_own_models_by_its_own_code():
    """How a ready-made network is told from a class of the user's (`bijectors/_networks.py`)."""
    x = keras.Input((2,))
    for network in (keras.Sequential([x]), keras.Model(x, keras.layers.Dense(1)(x))):
        assert type(network).call.__module__.startswith("keras."), type(network)


@pytest.mark.parametrize("name", ["ParameterProperties", "BatchedComponentProperties"])
def test_properties_of_parameters_are_public(name):
    assert hasattr(tfp.util, name)


# --- The list is complete ---------------------------------------------------------------------


# `tf.__internal__.distribute.interim.maybe_merge_call` is four attributes, and the last counts.
PLACES_ON_THE_WAY = ("distribute", "interim")


def private_imports(tree):
    """`(module, name)` of what a file takes from modules that a library does not offer."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and {"python", "src"} & {
            *(node.module or "").split(".")
        }:
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    owners = {ast.unparse(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    yield from (tuple(modules[name].rsplit(".", 1)) for name in modules if name not in owners)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner in modules:
                yield modules[owner], node.attr
            elif owner.startswith("tf.__internal__.") and node.attr not in PLACES_ON_THE_WAY:
                yield owner.replace("tf.", "tensorflow.", 1), node.attr


def private_attributes(tree):
    """The private attributes that a file uses, and the names that it defines."""
    used, defined = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.keyword):
            defined.add(f"_{node.arg}")  # `FlowBijector` sets parameters by name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            defined.add(node.attr)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            used.add(node.attr)
    return used, defined


TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def test_every_private_import_is_listed():
    found = {each for tree in TREES.values() for each in private_imports(tree)}
    assert found == set(FROM_MODULES)


def test_every_private_attribute_of_others_is_listed():
    pairs = [private_attributes(tree) for tree in TREES.values()]
    used, defined = (set().union(*parts) for parts in zip(*pairs, strict=True))
    used -= defined | {path.stem for path in TREES}
    used = {name for name in used if not name.startswith("__")} - {"_replace"}  # of named tuples
    listed = {name for _, name in (*FROM_MODULES, *OF_CLASSES, *OF_INSTANCES)}
    assert used <= listed


def test_a_private_name_would_be_found():
    source = """
from keras.src.utils import tracking as t
from keras.src.utils.naming import to_snake_case
t.Tracker(x._hidden)
self._own = to_snake_case("A")
"""
    tree = ast.parse(source)
    assert set(private_imports(tree)) == {
        ("keras.src.utils.tracking", "Tracker"),
        ("keras.src.utils.naming", "to_snake_case"),
    }
    assert private_attributes(tree) == ({"_hidden"}, {"_own"})
