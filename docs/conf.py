"""Settings of Sphinx."""

import base64
import importlib.metadata
import inspect
import json
import os
import pathlib
import re
import shutil
import sys

from sphinx.domains.python import PyObject
from sphinx.ext import autosummary

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

_HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(_HERE))

from _groups import CONSTANTS, PAGES, groups  # noqa: E402
from _links import Links  # noqa: E402

project = "tfp_flows"
author = copyright = "The tfp_flows authors"
release = version = importlib.metadata.version(project)

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "jupyter_execute"]  # myst_nb writes the latter
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pages.css"]
templates_path = ["_templates"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]
nb_execution_mode = "off"  # notebooks come with their outputs
# The button copies what was typed, without prompts and results.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# The pages in api/ are made anew, so that none stays of a name that is gone.
shutil.rmtree(_HERE / "api", ignore_errors=True)


def _gallery(source, target):
    """Copies the notebooks in place of old ones, each with a thumbnail and a link to itself.

    The thumbnail is the last picture. The link leads to the notebook in the repository, which does
    not have the link.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in source.glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
        title, *text = "".join(cells[0]["source"]).splitlines()
        link = f"{{download}}`Download this notebook <../../{source.name}/{path.name}>`"
        cells[0]["source"] = "\n".join([title, "", link, *text])
        (target / path.name).write_text(json.dumps(notebook), encoding="utf-8")
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        pictures = [output.get("data", {}).get("image/png") for output in outputs]
        *_, last = filter(None, pictures)
        (target / f"{path.stem}.png").write_bytes(base64.b64decode(last))


_gallery(_HERE.parent / "tutorials", _HERE / "tutorials")

# A module's page lists what its `__all__` exports, whatever file that lies in.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autosummary_context = {"groups": groups()}
autosummary_filename_map = PAGES
autodoc_member_order = "bysource"
# Docstrings say what arguments are. In a signature `ArrayLike` would be a union of seven types.
autodoc_typehints = "none"
autodoc_preserve_defaults = True  # `Affine`, not `<class 'tfp_flows....Affine'>`
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# The fields of a named tuple are attributes already; a second entry would be a warning.
napoleon_use_ivar = True
napoleon_attr_annotations = False
# Sphinx calls them variables, a word that TensorFlow uses for something else.
next(f for f in PyObject.doc_field_types if f.name == "variable").label = "Attributes"
# Docstrings are plain text with the little Markdown of TFP's: `code`, also over the end of a
# line, and fenced blocks.
default_role = "code"

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_EXAMPLE = re.compile(r" *>>> ")
_FENCE = re.compile(r"^( *)```(\w*)$")


def _as_rst(app, what, name, obj, options, lines):
    """Fences, `code`, `$formulas$` and arXiv numbers as RST has them; examples as they are."""
    if name in CONSTANTS:  # Python shows the docstring of their class
        lines[:] = [CONSTANTS[name]]
    out, indent, example = [], None, False
    for line in lines:
        fence = _FENCE.match(line)
        example = _EXAMPLE.match(line) or (example and line.strip())
        if example:
            out.append(line)
        elif fence and indent is None:
            indent = fence[1]
            out += [f"{indent}.. code-block:: {fence[2] or 'text'}", ""]
        elif fence:
            indent = None
            out.append("")
        elif indent is not None:
            out.append(f"    {line}")
        else:
            texts_and_codes = re.split(r"`([^`]+)`", line)
            texts_and_codes[::2] = [_text(text) for text in texts_and_codes[::2]]
            # RST asks for a mark where a letter follows code, as in "`int`s".
            texts_and_codes[2::2] = [re.sub(r"^(?=\w)", r"\\ ", t) for t in texts_and_codes[2::2]]
            texts_and_codes[1::2] = [f"``{code}``" for code in texts_and_codes[1::2]]
            out.append("".join(texts_and_codes))
    lines[:] = out


def _text(text):
    """Plain text as RST has it: `$...$` is a formula, arXiv numbers are links."""
    texts_and_formulas = re.split(r"(?<!\w)\$([^$]+)\$(?!\w)", text)
    texts_and_formulas[::2] = [_prose(text) for text in texts_and_formulas[::2]]
    texts_and_formulas[1::2] = [f":math:`{formula}`" for formula in texts_and_formulas[1::2]]
    return "".join(texts_and_formulas)


def _prose(text):
    text = text.replace("|", r"\|")
    return _ARXIV.sub(r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", text)


def _of_init(app, what, name, obj, options, signature, return_annotation):
    """The signature of `__init__` where a class, as Keras's do, hides it behind `__new__`."""
    if what == "class" and signature == "(*args, **kwargs)":
        parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
        parameters = [p.replace(annotation=p.empty) for p in parameters]
        return str(inspect.Signature(parameters)), None
    return None


def _is_foreign(app, what, name, obj, skip, options):
    """Skips methods that TFP copies into subclasses, and fields that a list describes already."""
    is_of_tfp = (getattr(obj, "__module__", None) or "").startswith("tensorflow_probability")
    is_field = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    return True if is_of_tfp or is_field else None


def _in_words(lines, settings):
    """The summary of an overview: words, not the equation that a docstring opens with."""
    lines = list(lines)
    if lines and lines[0].startswith(":math:"):
        end = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
        lines = lines[end + 1 :] or lines
    return _SUMMARY(lines, settings)


# Sphinx has no setting for it.
_SUMMARY, autosummary.extract_summary = autosummary.extract_summary, _in_words


def setup(app):
    """Sphinx calls this; priority 400 comes before napoleon's 500."""
    app.connect("autodoc-process-docstring", _as_rst, priority=400)
    app.connect("autodoc-process-signature", _of_init)
    app.connect("autodoc-skip-member", _is_foreign)
    app.add_transform(Links)
