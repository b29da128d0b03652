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

ISOLATED = '''
"""Two tests that would see each other if they shared anything."""
import pytest
from naru.kit import NotFound

seen = []

@pytest.mark.parametrize("turn", [1, 2])
def test_alone(imp, turn):
    assert imp.user_code not in seen
    seen.append(imp.user_code)
    with pytest.raises(NotFound):
        imp.client.find_payment("order-1")
    imp.pay("order-1", 1000)
    assert imp.approve().success
    assert len(imp.webhooks.arrived) == 1

async def test_alone_too(async_imp):
    await async_imp.pay("order-1", 1000)
    assert (await async_imp.approve()).success
'''


def run_pytest(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Pytest in a folder of a merchant's, with this plugin and nothing of ours."""
    (folder / "test_shop.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    installed = PLUGIN in {each.value for each in entry_points(group="pytest11")}
    named = [] if installed else ["-p", PLUGIN]
    environ = os.environ | {"PYTHONPYCACHEPREFIX": str(BYTECODE), "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *named, "-q", *options],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"naru": PLUGIN}


def test_tests_do_not_see_each_other_also_side_by_side(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, ISOLATED, "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_where_the_gateway_is_not_installed_a_sentence_says_so_and_other_tests_run(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['asyncpg'] = None\n")
    text = "def test_pays(imp):\n    imp.pay('o', 1)\n\ndef test_else():\n    pass\n"
    done = run_pytest(tmp_path, text)
    assert "1 passed" in done.stdout
    assert "1 error" in done.stdout
    assert "lacks asyncpg: pip install 'naru[server]'" in done.stdout
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
        """The quickest of five: another test may have the other core."""
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
