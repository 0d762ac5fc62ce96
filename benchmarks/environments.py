"""A virtual environment for each framework, so that none decides what another is installed with."""

import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).parent
REQUIREMENTS = HERE / "requirements"


def python(framework, folder):
    """The interpreter that has `framework`; its environment is made if it is not there.

    Args:
      framework: the name of a file of `workers`. One without a file in `requirements` runs in
        the interpreter that runs this.
      folder: where environments are, `folder / framework`.
    """
    wanted = REQUIREMENTS / f"{framework}.txt"
    if not wanted.exists():
        return sys.executable
    environment = pathlib.Path(folder).expanduser() / framework
    interpreter = environment / "bin" / "python"
    # Written last, so that an installation that broke off is done again.
    installed = environment / "installed.txt"
    if installed.exists() and installed.read_text() == wanted.read_text():
        return str(interpreter)
    print(f"Installs {framework} in {environment}.", file=sys.stderr)
    if not interpreter.exists():
        venv.EnvBuilder(with_pip=True).create(environment)
    command = [interpreter, "-m", "pip", "install", "--quiet", "--requirement", wanted]
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)
    installed.write_text(wanted.read_text())
    return str(interpreter)
