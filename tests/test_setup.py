"""Setting up says what is missing, in one sentence, and is done at once when nothing has changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh copy of what setting up reads."""
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "bootstrap.py", tmp_path / "tools")
    return tmp_path


def make(project: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run make without this machine's index settings and without uv."""
    settings = ("PIP_", "UV_", "MAKE", "MFLAGS", "NARU_")
    plain = {name: text for name, text in os.environ.items() if not name.startswith(settings)}
    return subprocess.run(
        ["make", *words],
        cwd=project,
        env=plain | {"PATH": os.defpath, "PIP_CONFIG_FILE": os.devnull} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_help_names_every_command_of_the_makefile(project: Path) -> None:
    said = make(project, "help").stdout

    for target in ("setup", "demo", "serve", "test", "check", "bench", "format", "lock", "clean"):
        assert f"make {target} " in said


def test_without_a_python_that_is_new_enough_there_is_one_sentence(project: Path) -> None:
    done = make(project, "setup", "PYTHON=")

    assert done.returncode != 0
    assert done.stderr.startswith("naru: Python 3.11 or newer is needed; install one, or name it")
    assert not (project / ".venv").exists()


def test_without_a_network_there_is_one_sentence(project: Path) -> None:
    done = make(
        project,
        "setup-demo",
        f"PYTHON={sys.executable}",
        PIP_INDEX_URL="http://127.0.0.1:1/",
        PIP_RETRIES="0",
    )

    assert done.returncode != 0
    assert "naru: the packages could not be downloaded: check this machine's network" in done.stderr
    assert not (project / ".venv" / "naru-setup.json").exists()


def test_what_is_set_up_is_not_set_up_again(project: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, 'tools'); import bootstrap\n"
        "bootstrap.PYTHON.parent.mkdir(parents=True); bootstrap.PYTHON.touch()\n"
        "import json; bootstrap.STAMP.write_text(json.dumps([bootstrap._fingerprint('demo')]))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=project, check=True)

    first = make(project, "setup-demo", f"PYTHON={sys.executable}")
    assert (first.returncode, first.stdout) == (0, "")

    # Another lock is another set of packages.
    with (project / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    second = make(
        project, "setup-demo", f"PYTHON={sys.executable}", PIP_INDEX_URL="http://127.0.0.1:1/"
    )
    assert second.returncode != 0
    assert "naru: making .venv" in second.stdout
