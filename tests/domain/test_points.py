"""Points: nothing in a house that runs, death in a test that asked for it."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from naru.domain import points

NARU = Path(points.__file__).parent.parent


def test_every_point_of_the_table_is_in_the_code_once_or_more_and_no_other() -> None:
    reached = {
        name
        for path in NARU.rglob("*.py")
        for name in re.findall(r'\breach\(\s*"([^"]+)"', path.read_text("utf-8"))
    }
    assert reached == set(points.POINTS)


def test_nothing_happens_unless_somebody_listens() -> None:
    heard: list[str] = []
    points.reach("claim.after_commit")
    points.listen(heard.append)
    try:
        points.reach("claim.after_commit")
    finally:
        points.listen(None)
    points.reach("claim.after_commit")
    assert heard == ["claim.after_commit"]


@pytest.mark.parametrize("order", ["", "nowhere", "claim.after_commit:0", "claim.after_commit:x"])
def test_an_order_that_names_no_point_is_refused(order: str) -> None:
    with pytest.raises(ValueError):
        points.arm(order)


def test_an_armed_process_dies_at_the_pass_it_was_told() -> None:
    program = (
        "from naru.domain.points import arm, reach\n"
        "arm('settle.before_commit:2')\n"
        "for name in ('settle.before_commit', 'settle.after_commit', 'settle.before_commit'):\n"
        "    print(name, flush=True)\n"
        "    reach(name)\n"
        "print('alive', flush=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == [
        "settle.before_commit",
        "settle.after_commit",
        "settle.before_commit",
    ]
