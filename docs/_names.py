"""Which page documents a name: one of the API pages, or one of TensorFlow, Keras or TFP.

TensorFlow, TFP and Keras publish no inventory for intersphinx. The addresses of their pages follow
from the names.
"""

import importlib
import inspect
import re

import tensorflow as tf
import tensorflow_probability as tfp
from _groups import MODULES

import tfp_flows as tfpf

_TENSORFLOW = "https://www.tensorflow.org/api_docs/python/tf/"
_TFP = "https://www.tensorflow.org/probability/api_docs/python/tfp/"
# Where a prefix begins in Python, and on the web.
_OTHERS = {
    "tf": (tf, _TENSORFLOW),
    "keras": (tf.keras, f"{_TENSORFLOW}keras/"),
    "tfp": (tfp, _TFP),
    "tfb": (tfp.bijectors, f"{_TFP}bijectors/"),
    "tfd": (tfp.distributions, f"{_TFP}distributions/"),
}
# A name, and perhaps a call of it: `tfb.Sigmoid(low, high)`.
_NAME = re.compile(r"([A-Za-z_][\w.]*)(\(.*\))?", re.DOTALL)


def _ours():
    """The documented name of each public object, by each name that pages and docstrings use."""
    found = {}
    for module in MODULES:
        names = importlib.import_module(f"tfp_flows.{module}").__all__
        for prefix in ("tfp_flows", "tfpf"):
            found[f"{prefix}.{module}"] = f"tfp_flows.{module}"
        for name in names:
            # A name that `tfp_flows` exports itself is documented there.
            full = f"tfp_flows.{name}" if name in tfpf.__all__ else f"tfp_flows.{module}.{name}"
            for prefix in (f"tfp_flows.{module}", f"tfpf.{module}", module):
                found[f"{prefix}.{name}"] = full
            if module == "bijectors":
                found[f"B.{name}"] = full  # the pages' short name
            if name[0].isupper():
                # A bare name that two modules have is no link.
                found[name] = full if found.get(name, full) == full else None
    for name in tfpf.__all__:
        if name not in MODULES:
            found[f"tfpf.{name}"] = found[f"tfp_flows.{name}"] = f"tfp_flows.{name}"
            found[name] = f"tfp_flows.{name}"
    return found


_OURS = _ours()


def name_in(code):
    """The name in code that is a name or a call, such as `tfb.Sigmoid(low, high)`; or `None`."""
    match = _NAME.fullmatch(code)
    return match and match[1]


def target_of(name, page):
    """The documented name of an object or a method of this package, or `None`.

    Args:
      name: as a page or a docstring has it, such as `tfpf.flows.maf` or `FlowModel.adapt`.
      page: of the documentation. In a docstring, `residual` may be an argument, so that bare names
        of recipes and diagnostics count on other pages only.
    """
    for module in ("flows", "diagnostics"):
        if name.islower() and name in getattr(tfpf, module).__all__ and name not in tfpf.__all__:
            return None if page.startswith("api/") else f"tfp_flows.{module}.{name}"
    if name in _OURS:
        return _OURS[name]
    owner, _, method = name.rpartition(".")
    owner = _OURS.get(owner)
    return f"{owner}.{method}" if owner and _is_documented(owner, method) else None


def _is_documented(owner, method):
    """Whether the page of a class has the method: autodoc leaves out those of bases."""
    module, _, name = owner.rpartition(".")
    cls = getattr(importlib.import_module(module), name, None)
    own = vars(cls).get(method) if inspect.isclass(cls) else None
    own = getattr(own, "__func__", own)  # of a class method or a static one
    return inspect.isfunction(own) and not method.startswith("_") and bool(own.__doc__)


def address_of(name):
    """The address that documents a class, function or module of TensorFlow, Keras or TFP."""
    prefix, _, rest = name.partition(".")
    if not rest or prefix not in _OTHERS:
        return None
    found, address = _OTHERS[prefix]
    owner = None
    for part in rest.split("."):
        owner, found = found, getattr(found, part, None)
        if found is None or part.startswith("_"):
            return None
    if inspect.isclass(owner):  # a method has no page, but a place on that of its class
        page, _, method = rest.rpartition(".")
        return f"{address}{page.replace('.', '/')}#{method}"
    if inspect.isclass(found) or inspect.isroutine(found) or inspect.ismodule(found):
        return address + rest.replace(".", "/")
    return None  # a number or a dtype, which has no page of its own
