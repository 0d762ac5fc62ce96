"""The tests with other versions of what the package needs, and the package as it is installed.

    nox -s suite             what is newest within the bounds of `setup.cfg`, on each Python
    nox -s lower_bounds      the lower bounds
    nox -s nightlies         what will be released next, whatever the bounds say, on each Python
    nox -s installed         the wheel and the sdist, each in an environment without this folder

One Python is chosen as in `nox -s suite-3.12`. What stands behind `--` goes to pytest in place of
`-m "not slow"`: `nox -s lower_bounds -- tests/models`. Each environment takes some 3 GB of disk; it
is kept, and used again with `-R`. `pip install nox` brings the command.
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

nox.options.sessions = []  # each is long: a bare `nox` runs none


def requirements():
    """What `setup.cfg` asks for, to run the package and to test it."""
    config = configparser.ConfigParser()
    config.read("setup.cfg")
    extras = config["options.extras_require"]
    parts = [config["options"]["install_requires"], *map(extras.get, ("plot", "examples", "test"))]
    found = [Requirement(line) for part in parts for line in part.strip().splitlines()]
    return [each for each in found if each.name != "tfp_flows"]


def run_tests(session):
    """Installs this folder beside what is there already, and runs the tests."""
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
    """Nightly builds of TensorFlow, TFP and Keras, with the bounds set aside."""
    # tfp-nightly imports `distutils`, which Python 3.12 has only from setuptools.
    session.install("--pre", "setuptools", *NIGHTLY.values())
    session.install(*(str(each) for each in requirements() if each.name not in NIGHTLY))
    run_tests(session)


@nox.session(python=PYTHONS)
@nox.parametrize("kind", ["wheel", "sdist"])
def installed(session, kind):
    """A package as users get it: complete, and without anything of this folder."""
    folder = pathlib.Path(session.create_tmp()).resolve()
    session.install("build")
    session.run("python", "-m", "build", f"--{kind}", "--outdir", str(folder))
    (package,) = folder.glob("tfp_flows-*.whl" if kind == "wheel" else "tfp_flows-*.tar.gz")
    session.install(str(package))
    script = pathlib.Path("tests/smoke.py").resolve()
    session.chdir(folder)
    session.run("python", str(script))
    package.unlink()
