"""A shop that imports the kit pays for the kit: quickly, and for nobody's framework."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.processes import BYTECODE

SECONDS_MAX = 0.150
FOREIGN = ("aiohttp", "asyncpg", "django", "fastapi", "flask", "sqlalchemy", "starlette", "urllib3")
# Time of this process alone, so that a crowded machine does not look like a slow kit.
MEASURE = """
import sys, time
began = time.process_time()
import {module}
print(time.process_time() - began, *sorted(name for name in {foreign!r} if name in sys.modules))
"""


def measured(module: str) -> tuple[float, list[str]]:
    """Seconds of processor for an import, the best of five, and what came along with it."""
    hidden = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    best, came = 60.0, list[str]()
    for _ in range(6):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE.format(module=module, foreign=FOREIGN)],
            env=hidden | {"PYTHONPYCACHEPREFIX": str(BYTECODE)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        seconds, *came = done.stdout.split()
        best = min(best, float(seconds))
    return best, came


def test_the_bare_kit_is_imported_fast_and_alone(capsys: pytest.CaptureFixture[str]) -> None:
    kit, came = measured("naru.kit, naru.kit.receive, naru.kit.orders.memory")
    beside, with_it = measured("aiohttp")
    with capsys.disabled():
        print(f"\nimport: kit {kit * 1000:.0f} ms, aiohttp {beside * 1000:.0f} ms", end=" ")
    assert came == []
    # The control: what would have come along is seen.
    assert with_it == ["aiohttp"]
    assert kit < SECONDS_MAX


@pytest.mark.parametrize(
    ("module", "status"), [("naru.kit.orders.sqlalchemy", 0), ("sqlalchemy.ext.asyncio", 1)]
)
def test_a_blocking_shop_needs_no_greenlet(module: str, status: int) -> None:
    """SQLAlchemy no longer brings it along. The control: what does need it, fails."""
    program = f"import sys; sys.modules['greenlet'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == status, done.stderr
