"""Names in code that are known to the API pages, TensorFlow or TFP become links to them.

TensorFlow, TFP and Keras publish no inventory for intersphinx. Their pages follow from the names.
"""

import importlib

import tensorflow as tf
import tensorflow_probability as tfp
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

import tfp_flows as tfpf

_TENSORFLOW = "https://www.tensorflow.org"
# Where a prefix begins in Python, and on the web.
_OTHERS = {
    "tf": (tf, f"{_TENSORFLOW}/api_docs/python/tf/"),
    "tfp": (tfp, f"{_TENSORFLOW}/probability/api_docs/python/tfp/"),
    "tfb": (tfp.bijectors, f"{_TENSORFLOW}/probability/api_docs/python/tfp/bijectors/"),
    "tfd": (tfp.distributions, f"{_TENSORFLOW}/probability/api_docs/python/tfp/distributions/"),
}
_MODULES = ("flows", "bijectors", "layers", "distributions", "models", "diagnostics", "math")


def _ours():
    """The full name of each public object, by `tfpf.module.Name` and, of classes, `Name` alone."""
    found = {}
    for module in _MODULES:
        for name in importlib.import_module(f"tfp_flows.{module}").__all__:
            full = f"tfp_flows.{module}.{name}"
            found[f"tfpf.{module}.{name}"] = found[f"{module}.{name}"] = full
            if name[0].isupper():
                # `Recurrent` and others stand in two modules: then the bare name is no link.
                found[name] = full if name not in found else None
    for name in tfpf.__all__:
        if name in ("condition", "diagnose", "surrogate_posterior", "table_flow", "Column"):
            found[f"tfpf.{name}"] = f"tfp_flows.{name}"
        elif name not in _MODULES:
            found[f"tfpf.{name}"] = f"tfp_flows.models.{name}"
    return found


class Links(SphinxTransform):
    """Wraps literals that are such names."""

    default_priority = 210
    known = _ours()

    def apply(self):
        """Called by Sphinx for each page."""
        for literal in list(self.document.findall(nodes.literal)):
            link = None if self._within(literal) else self._link(literal.astext().rstrip("()"))
            if link is not None:
                literal.replace_self(link)
                link += literal

    def _within(self, node):
        """Whether the node is part of a link or a heading already."""
        while node := node.parent:
            if isinstance(node, (nodes.reference, addnodes.pending_xref, nodes.title)):
                return True
        return False

    def _link(self, name):
        if full := self.known.get(name):
            return addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=full,
                refexplicit=True,
                refdoc=self.env.docname,
                refwarn=True,
            )
        prefix, _, rest = name.partition(".")
        if rest and prefix in _OTHERS:
            found, address = _OTHERS[prefix]
            for part in rest.split("."):
                found = getattr(found, part, None)
            if found is not None:
                return nodes.reference("", "", refuri=address + rest.replace(".", "/"))
        return None
