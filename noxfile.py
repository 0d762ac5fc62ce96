"""Tests the package with other versions of its dependencies, and as users install it.

    nox -s suite             the newest versions within the bounds of `setup.cfg`, on each Python
    nox -s lower_bounds      the oldest versions within the bounds
    nox -s nightlies         nightly builds, whatever the bounds say, on each Python
    nox -s installed         the wheel and the sdist, each in an environment without this folder

Choose one Python as in `nox -s suite-3.12`. Arguments after `--` replace pytest's `-m "not slow"`,
as in `nox -s lower_bounds -- tests/models`. Each environment takes about 3 GB of disk. It is kept;
`-R` uses it again. `pip install nox` installs the command.
"""

import configparser
import pathlib

import nox
from packaging.requirements import Requirement

PYTHONS = ["3.11", "3.12", "3.13"]
NIGHTLY = {
    "tensorflow": "tf-nightly",
    "tensorflow-probability": "tfp-nightly",
    "tf_keras": "tf_keras-nightly",
    "keras": "keras-nightly",
}

nox.options.sessions = []  # each takes long, so a bare `nox` runs none


def requirements():
    """The requirements in `setup.cfg` for running and testing the package."""
    config = configparser.ConfigParser()
    config.read("setup.cfg")
    extras = config["options.extras_require"]
    parts = [config["options"]["install_requires"], *map(extras.get, ("plot", "examples", "test"))]
    found = [Requirement(line) for part in parts for line in part.strip().splitlines()]
    return [each for each in found if each.name != "tfp_flows"]


def run_tests(session):
    """Installs this folder into an environment with its dependencies, and runs the tests."""
    session.install("--no-deps", "-e", ".")
    session.run("pip", "list", "--format=freeze", silent=False)
    session.run("pytest", *(session.posargs or ["-m", "not slow"]))


@nox.session(python=PYTHONS)
def suite(session):
    """The newest versions within the bounds."""
    session.install(*map(str, requirements()))
    run_tests(session)


@nox.session(python=PYTHONS[0])
def lower_bounds(session):
    """The oldest versions within the bounds, on the oldest Python."""
    oldest = []
    for each in requirements():
        bounds = {bound.operator: bound.version for bound in each.specifier}
        oldest.append(f"{each.name}=={bounds['>=']}" if ">=" in bounds else str(each))
    session.install(*oldest)
    run_tests(session)


@nox.session(python=PYTHONS)
def nightlies(session):
    """Nightly builds of TensorFlow, TFP and Keras, whatever the bounds say."""
    # tfp-nightly imports `distutils`, which Python 3.12 gets only from setuptools.
    session.install("--pre", "setuptools", *NIGHTLY.values())
    session.install(*(str(each) for each in requirements() if each.name not in NIGHTLY))
    run_tests(session)


@nox.session(python=PYTHONS)
@nox.parametrize("kind", ["wheel", "sdist"])
def installed(session, kind):
    """Tests the package as users get it: complete, and without this folder."""
    folder = pathlib.Path(session.create_tmp()).resolve()
    session.install("build")
    session.run("python", "-m", "build", f"--{kind}", "--outdir", str(folder))
    (package,) = folder.glob("tfp_flows-*.whl" if kind == "wheel" else "tfp_flows-*.tar.gz")
    session.install(str(package))
    script = pathlib.Path("tests/smoke.py").resolve()
    session.chdir(folder)
    session.run("python", str(script))
    package.unlink()
