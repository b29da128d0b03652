"""Addresses that strangers name never lead into our own network (G17).

Measured at the far end: canaries on every forbidden address, in a network namespace where all
addresses are this machine's own (tests/attacks/ssrf_bed.py). The control asks Python's `is_global`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.scale import often

if TYPE_CHECKING:
    from tests.support.postgres import Databases


def _can_have_a_network() -> bool:
    try:
        done = subprocess.run(
            ["unshare", "--net", "--mount", "ip", "link", "set", "lo", "up"],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


needs_network = pytest.mark.skipif(
    not _can_have_a_network(),
    reason="NOT TESTED: SSRF needs root, unshare and ip for a network namespace of its own",
)


def attack(dsn: str, how_many: int, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, "-m", "tests.attacks.ssrf_bed",
         dsn, str(how_many), *words],
        capture_output=True,
        text=True,
        timeout=often(120, 900),
        # A proxy in the environment must not be asked.
        env={**os.environ, "http_proxy": "http://10.0.0.5:80", "HTTP_PROXY": "http://10.0.0.5:80"},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@needs_network
def test_no_spelling_of_a_forbidden_address_is_ever_connected_to(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    how_many = often(500, 1_000_000)
    guarded = attack(databases.new(), how_many)
    control = attack(databases.new(), how_many, "is_global")
    with capsys.disabled():
        print(
            f"\nSSRF: {guarded['addresses']} addresses x {guarded['spellings']} spellings"
            f" ({guarded['fewest_spellings']} or more each), tries {guarded['tries']}:"
            f" {guarded['connections']} connections at the canaries"
            f" ({guarded['reachable_unguarded']} of them can be reached without a guard;"
            f" allowed hosts reached {guarded['allowed_reached']} of 3)."
            f" Control is_global: calls {len(control['called_public'])} addresses public,"
            f" connects to {len(control['canaries_reached'])} of them"
        )
    assert (guarded["canaries_reached"], guarded["connections"]) == ([], 0)
    assert guarded["called_public"] == []
    assert guarded["confirmed"] == []
    # The bed can see what the guard prevents, and the guard does not prevent everything.
    assert guarded["allowed_reached"] == 3
    assert guarded["allowed_host_connections"] > 0
    assert guarded["addresses"] >= 41
    assert guarded["fewest_spellings"] >= 12
    assert guarded["reachable_unguarded"] >= 35
    assert len(control["called_public"]) >= 13
    assert len(control["canaries_reached"]) >= 10
