"""The import rule (.importlinter) holds, and it still has teeth."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the house in this folder."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_imports_only_go_down() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("domain/money.py", "import naru.store"),
        ("kit/verify.py", "import naru.domain.money"),
        ("payments/approve.py", "import naru.connectors.sandbox"),
        ("rest/envelope.py", "import naru.checkout"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, room: str, line: str) -> None:
    shutil.copytree(ROOT / "naru", tmp_path / "naru", ignore=shutil.ignore_patterns("static"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    with (tmp_path / "naru" / room).open("a") as file:
        file.write(f"\n{line}\n")

    done = lint(tmp_path)

    assert done.returncode == 1
    assert "BROKEN" in done.stdout
