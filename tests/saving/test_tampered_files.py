"""A file that was tampered with runs nothing, and is refused by the name of what is foreign."""

import json
import os
import sys
import zipfile

import keras
import numpy as np
import pytest
from saving_cases import X, made_model

from tfp_flows import saving


def tampered(path, edit):
    """A copy of the file whose configuration has gone through `edit(config)`."""
    target = path.with_name("tampered.keras")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as result:
        for entry in source.namelist():
            data = source.read(entry)
            if entry == "config.json":
                config = json.loads(data)
                edit(config)
                data = json.dumps(config)
            result.writestr(entry, data)
    return target


def entries(value, key):
    """Every `dict` below `value` that has the key."""
    if isinstance(value, dict):
        if key in value:
            yield value
        for item in value.values():
            yield from entries(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from entries(item, key)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = made_model("real_nvp")
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 40)))
    path = tmp_path_factory.mktemp("tampered") / "m.keras"
    model.save(path)
    return model, path


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that can be imported, and leaves a mark when it is, or when it is called."""
    mark = tmp_path / "mark"
    (tmp_path / "foreign_module.py").write_text(
        f"import pathlib\n\npathlib.Path({str(mark)!r}).touch()\n\n\n"
        "class Foreign:\n    def __init__(self, *args, **kwargs):\n        pass\n\n"
        "    @classmethod\n    def from_config(cls, config):\n        return cls()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(os, "system", lambda *args, **kwargs: mark.touch())
    yield mark
    assert not mark.exists()
    assert "foreign_module" not in sys.modules


def first_entry(config, key):
    return next(entries(config["config"]["distribution"], key))


def test_untouched_copy_loads(saved, tmp_path):
    """The tampering below fails for what it changes, not for how it is done."""
    model, path = saved
    loaded = keras.saving.load_model(tampered(path, lambda config: None))
    np.testing.assert_array_equal(loaded(X), model(X))


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "foreign_module.Foreign",
        "registered:foreign_module.Foreign",
        "registered:Foreign",
        "registered:os.system",
        "registered:tfp_flows>MLP",
        "builtins.eval",
        "tfp.distributions.os.system",
        "tfp.bijectors.tf.io.write_file",
        "tfp_flows.bijectors.coupling.np.load",
        "tfp_flows.bijectors.__builtins__",
        "tfp.distributions.Unknown",
        "tf.linalg.matmul",
        "system",
        "",
    ],
)
@pytest.mark.parametrize("key", ["object", "class"])
def test_swapped_class_is_refused_by_name(saved, trap, key, name):
    def edit(config):
        first_entry(config, key)[key] = name

    with pytest.raises((ValueError, TypeError)) as info:
        keras.saving.load_model(tampered(saved[1], edit))
    if key == "class" and name == "registered:tfp_flows>MLP":
        # What is registered may stand here, but a layer is no transformer.
        assert "transformer" in str(info.value)
    else:
        assert name in str(info.value) or name.removeprefix("registered:") in str(info.value)


def test_function_that_is_not_registered_is_refused_by_name(saved, trap):
    def edit(config):
        entry = first_entry(config, "layer")
        entry.clear()
        entry["function"] = "os.system"

    with pytest.raises(ValueError, match="'os.system'"):
        keras.saving.load_model(tampered(saved[1], edit))


@pytest.mark.parametrize(
    ("module", "class_name"),
    [
        ("foreign_module", "Foreign"),
        ("os", "system"),
        ("builtins", "eval"),
        ("tfp_flows.layers.mlp", "np"),
        ("keras.utils", "get_file"),
    ],
)
@pytest.mark.parametrize("place", ["layer", "activation", "optimizer", "schedule", "model"])
def test_swapped_keras_object_is_refused(saved, trap, place, module, class_name):
    swapped = {
        "module": module,
        "class_name": class_name,
        "config": {"command": "touch", "name": "swapped"},
        "registered_name": class_name,
    }

    def edit(config):
        layer = first_entry(config, "layer")
        if place == "layer":
            layer["layer"] = swapped
        elif place == "activation":
            layer["layer"]["config"]["kernel_initializer"] = swapped
        elif place == "optimizer":
            config["compile_config"]["optimizer"] = swapped
        elif place == "schedule":
            config["compile_config"]["optimizer"]["config"]["learning_rate"] = swapped
        else:
            config.update(swapped)

    with pytest.raises((TypeError, ValueError), match=class_name):
        keras.saving.load_model(tampered(saved[1], edit))


def test_lambda_layer_in_a_file_is_refused(saved, trap):
    lambda_layer = keras.layers.Lambda(lambda x: os.system("touch") or x)
    swapped = keras.saving.serialize_keras_object(lambda_layer)

    def edit(config):
        first_entry(config, "layer")["layer"] = swapped

    with pytest.raises(ValueError, match="[Ll]ambda"):
        keras.saving.load_model(tampered(saved[1], edit))


def test_lambda_layer_in_a_config_is_refused(trap):
    """Also by `decode` alone, when no `load_model` of Keras says what is safe."""
    lambda_layer = keras.layers.Lambda(lambda x: os.system("touch") or x)
    config = {"index": 0, "layer": keras.saving.serialize_keras_object(lambda_layer)}
    with pytest.raises(ValueError, match="[Ll]ambda"):
        saving.decode(config)


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, [1]])
def test_unknown_format_version_is_refused(saved, version):
    def edit(config):
        config["config"]["format_version"] = version

    with pytest.raises(ValueError, match="format_version=") as info:
        keras.saving.load_model(tampered(saved[1], edit))
    assert repr(version) in str(info.value)


def test_missing_format_version_is_refused(saved):
    with pytest.raises(ValueError, match="format_version=None"):
        keras.saving.load_model(
            tampered(saved[1], lambda config: config["config"].pop("format_version"))
        )


def test_unknown_entry_is_refused(saved):
    def edit(config):
        entry = first_entry(config, "layer")
        entry.clear()
        entry["pickle"] = "gASV"

    with pytest.raises(ValueError, match="pickle"):
        keras.saving.load_model(tampered(saved[1], edit))
