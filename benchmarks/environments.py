"""A virtual environment for each framework, so that their dependencies cannot conflict."""

import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).parent
REQUIREMENTS = HERE / "requirements"


def python(framework, folder):
    """The interpreter that has `framework`; makes its environment if there is none.

    Args:
      framework: the name of a file of `workers`. If it has no file in `requirements`, it runs in
        the current interpreter.
      folder: the folder of the environments, `folder / framework`.
    """
    wanted = REQUIREMENTS / f"{framework}.txt"
    if not wanted.exists():
        return sys.executable
    environment = pathlib.Path(folder).expanduser() / framework
    interpreter = environment / "bin" / "python"
    # Written last, so that an interrupted installation is done again.
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
