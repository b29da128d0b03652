"""Public clients of i'mport, installed as their authors published them, into a folder of their own.

The versions and their hashes lie beside this file. What is installed stays until one of them changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / ".clients"
MINUTES_MAX = 5


class CannotInstall(Exception):
    """No Node.js here, or no package registry can be reached."""


def python_clients() -> Path:
    """The interpreter that has the Python clients. Raises CannotInstall."""
    home, lock = FOLDER / "py", HERE / "requirements.txt"

    def install() -> None:
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
        _run([*pip, "--disable-pip-version-check", "-r", str(lock)])

    _once("py", lock, install)
    return home / "bin/python"


def node_clients() -> Path:
    """The folder whose `node_modules` has the JavaScript clients. Raises CannotInstall."""
    return node_packages("js", HERE / "js")


def node_packages(name: str, source: Path) -> Path:
    """The folder under `.clients` whose `node_modules` is what the lock file in `source` says.

    Raises CannotInstall.
    """
    home = FOLDER / name
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise CannotInstall("this machine has no Node.js")

    def install() -> None:
        home.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, home)
        # Scripts of packages are not run: they are other people's programs.
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=home)

    _once(name, source / "package-lock.json", install)
    return home


def _once(name: str, lock: Path, install: Callable[[], None]) -> None:
    """Install unless what is there was made from this very lock file; several may ask at once."""
    FOLDER.mkdir(exist_ok=True)
    mark, wanted = FOLDER / f"{name}.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    with (FOLDER / f"{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text("utf-8") == wanted:
            return
        mark.unlink(missing_ok=True)
        install()
        mark.write_text(wanted, "utf-8")


def _run(command: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=60 * MINUTES_MAX
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"{command[0]}: {type(error).__name__}") from None
    if done.returncode:
        raise CannotInstall(f"{' '.join(command[:3])}: {done.stderr.strip()[-300:]}")
