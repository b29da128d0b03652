"""The plugin as a merchant's pytest loads it: isolated, quick to ignore, clear where it cannot work."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from tests.support.processes import BYTECODE

ROOT = Path(__file__).parents[2]
PLUGIN = "naru.testing.plugin"
IMPORT_MILLISECONDS_MAX = 15.0


def environ() -> dict[str, str]:
    """Ours, with bytecode that is kept: programs start three times as fast."""
    return os.environ | {"PYTHONPYCACHEPREFIX": str(BYTECODE), "PYTHONDONTWRITEBYTECODE": ""}


def run_pytest(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Pytest in a folder of a merchant's, with this plugin and nothing of ours."""
    (folder / "test_shop.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    installed = PLUGIN in {each.value for each in entry_points(group="pytest11")}
    named = [] if installed else ["-p", PLUGIN]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *named, "-q", *options],
        cwd=folder,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"naru": PLUGIN}


def test_where_the_gateway_is_not_installed_a_sentence_says_so_and_other_tests_run(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['asyncpg'] = None\n")
    text = "def test_pays(imp):\n    imp.pay('o', 1)\n\ndef test_else():\n    pass\n"
    done = run_pytest(tmp_path, text)
    assert "1 passed" in done.stdout
    assert "1 error" in done.stdout
    assert "lacks asyncpg: pip install './naru[server]'" in done.stdout
    assert "Traceback" not in done.stdout


def test_it_costs_nothing_when_unused(tmp_path: Path) -> None:
    text = """
import sys

def test_nothing_of_it_was_imported():
    ours = [name for name in sys.modules if name.startswith(("naru", "urllib3", "asyncpg"))]
    assert sorted(ours) == ["naru", "naru.testing", "naru.testing.plugin"]
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode == 0, done.stdout

    def milliseconds(what: str) -> float:
        """The quicker of two, the first of which keeps its bytecode: another test may have the other core."""
        program = f"import pytest, time; t = time.perf_counter(); import {what}; print((time.perf_counter() - t) * 1000)"
        runs = [
            subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True
            )
            for _ in range(5)
        ]
        return min(float(run.stdout) for run in runs)

    plugin, control = milliseconds(PLUGIN), milliseconds("naru.testing.imp")
    print(
        f"import of the plugin {plugin:.1f} ms; control, what it leaves for later: {control:.1f} ms"
    )
    assert plugin < IMPORT_MILLISECONDS_MAX < control
