"""A configuration that was cut off, mixed up or inflated ends in one `ValueError` that says so.

No input here would harm where a guard is missing: what is "too large" is small, by a machine of
little memory.
"""

import copy
import functools
import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from saving_cases import SMALL, made_model

import tfp_flows as tfpf
from tfp_flows import saving
from tfp_flows.saving import _limits

tfb = tfp.bijectors


@functools.cache
def saved(name):
    """The configuration of a model, as it stands in a file."""
    if name == "variational":
        flow = tfpf.flows.real_nvp(2, **SMALL)
        model = tfpf.VariationalModel(flow, lambda x: -x[..., 0])
    else:
        model = made_model(name)
    return type(model), json.dumps(model.get_config())


def places(value, path=()):
    """The path of every item within plain data."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def at(value, path):
    return functools.reduce(lambda value, key: value[key], path, value)


def reload(name, edit):
    cls, text = saved(name)
    config = json.loads(text)
    edit(config)
    return cls.from_config(config)


def nested(depth):
    entry = {"list": []}
    for _ in range(depth):
        entry = {"list": [entry]}
    return entry


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["frozen_layers"], [99], "`frozen_layers` must hold integers below"),
        (["frozen_weights"], [-1], "`frozen_weights` must hold integers below"),
        (["frozen_weights"], [0.5], "`frozen_weights` must hold integers below"),
        (["frozen_layers"], 3, "saved model.*TypeError"),
        (["distribution"], None, "must be a TFP distribution"),
        (["distribution"], {"again": 7}, "must refer only to objects.*again=7"),
        (["distribution"], {"again": [7]}, "'again'.*TypeError"),
        (["distribution"], {"object": 7}, "'object'.*AttributeError"),
        (["distribution"], {"layer": {}}, "must be a Keras layer"),
        (["distribution"], {"dict": [[1]]}, "not enough values"),
        (["distribution"], {"dtype": "float33"}, "'dtype'.*float33"),
        (["distribution"], nested(200), "at most 100 levels deep"),
        (["distribution"], [1], "must hold plain values"),
    ],
)
def test_an_entry_that_is_wrong_is_named(path, value, said):
    def edit(config):
        at(config, path[:-1])[path[-1]] = value

    with pytest.raises(ValueError, match=f"(?s){said}.*") as info:
        reload("no_flow", edit)
    assert "Received: " in str(info.value) or "unpack" in str(info.value)


@pytest.mark.parametrize("key", ["distribution", "frozen_layers", "frozen_weights"])
def test_a_missing_key_is_named(key):
    with pytest.raises(ValueError, match=f"saved model cannot be made.*{key}"):
        reload("no_flow", lambda config: config.pop(key))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [3, 3]),
        ("shape", [-1]),
        ("shape", [10**13]),
        ("base64", "AAAA"),
        ("base64", "not base64"),
        ("dtype", "string"),
        ("dtype", "float64"),
    ],
)
def test_an_array_has_as_many_numbers_as_its_shape_says(key, value):
    entry = saving.encode(np.ones([3], "float32"))
    assert np.array_equal(saving.decode(entry), np.ones([3]))
    entry["array"][key] = value
    with pytest.raises(ValueError, match="Received: "):
        saving.decode(entry)


MUTATIONS = [None, "x", -1, 1.5, True, [], {}]


@pytest.mark.parametrize(
    "name", ["real_nvp", "on_mixture_base", "made_with_random_order", "standardized", "variational"]
)
def test_whatever_is_changed_a_model_or_a_value_error_comes_out(name):
    """One place at a time: what stands there is gone, or something else."""
    cls, text = saved(name)
    paths = list(places(json.loads(text)))
    rng, outcomes = random.Random(name), {True: 0, False: 0}
    for path in rng.sample(paths, 15):
        config = json.loads(text)
        parent = at(config, path[:-1])
        value = rng.choice(["gone", *MUTATIONS])
        if value == "gone":
            del parent[path[-1]]
        else:
            parent[path[-1]] = copy.copy(value)
        try:
            cls.from_config(config)
            outcomes[True] += 1
        except ValueError:
            outcomes[False] += 1
        except Exception as error:
            raise AssertionError(f"{value!r} at {path} ended in {error!r}") from error
    assert min(outcomes.values()) > 0


# --- Sizes ------------------------------------------------------------------------------------


@pytest.fixture
def small_memory(monkeypatch):
    """A machine with a memory of a few thousand bytes."""
    monkeypatch.setattr(_limits, "_memory", lambda: 4000)


def first(config, key):
    """The first `dict` with the key, wherever it stands."""
    (path, *_) = [path for path in places(config) if path[-1] == key]
    return at(config, path[:-1])


@pytest.mark.parametrize("key", ["hidden_units", "output_size", "context_size", "x_size"])
def test_a_size_beyond_the_memory_is_refused(key, small_memory):
    def edit(config):
        entry = first(config, key)
        entry[key] = [10**3] if key == "hidden_units" else 10**3

    with pytest.raises(ValueError, match=f"must fit into memory. Received: {key}=1000"):
        reload("real_nvp", edit)


def test_variables_beyond_the_memory_are_refused_before_they_are_made(small_memory):
    """Each size would do by itself; `made` counts the variables that are made."""
    made = []

    def counted(next_creator, **kwargs):
        made.append(kwargs["name"])
        return next_creator(**kwargs)

    with tf.variable_creator_scope(counted), pytest.raises(ValueError, match="kernel.*missing"):
        reload("real_nvp", lambda config: first(config, "hidden_units").update(hidden_units=[250]))
    assert made == ["kernel", "bias"], "the first layer alone had room"


def test_seeds_may_be_large(monkeypatch):
    monkeypatch.setattr(_limits, "_memory", lambda: 10**5)
    flow = tfpf.flows.real_nvp(2, hidden_units=(8,), num_layers=1, seed=2**31 - 1)
    config = tfpf.FlowModel(flow).get_config()
    assert isinstance(tfpf.FlowModel.from_config(config), tfpf.FlowModel)


def test_numbers_of_a_users_class_may_be_large():
    config = {"registered_name": "mine>Stamped", "config": {"time": 10**18}}
    _limits.check_sizes([config])
    with pytest.raises(ValueError, match="Received: time=1000000000000000000"):
        _limits.check_sizes([{"registered_name": "tfp_flows>MLP", "config": {"time": 10**18}}])


def test_the_size_of_a_variable_is_known_before_it_is_made():
    value = tf.ones([3, 4], tf.float64)
    assert _limits._size(initial_value=value) == 96
    assert _limits._size(initial_value=lambda: tf.ones([2**40, 2**10]), dtype="float32") == 2**52
    assert _limits._size(initial_value=1.0, dtype=tf.float16) == 2
    initializer = keras.initializers.GlorotUniform(seed=1)
    assert _limits._size(initial_value=lambda: initializer([2**30, 8]), dtype=None) == 2**35


def test_what_would_not_be_read_is_not_written():
    bijector = tfb.Scale(2.0)
    for _ in range(60):
        bijector = tfb.Invert(tfb.Chain([bijector]))
    with pytest.raises(ValueError, match="at most 100 levels deep"):
        saving.encode(bijector)
