"""Each of the five checks is needed: without it, in a copy of the kit, its robbery succeeds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.robberies import ROBBERIES, succeeded

ROOT = Path(__file__).parents[2]

# What the check is, in naru/kit/verify.py, and what stands there when somebody forgot it.
CHECKS = {
    "status": (
        "        return Forged(payment, tuple(reasons))\n",
        "        return Forged(payment, tuple(reasons))\n    return Paid(payment)\n",
    ),
    "amount": (
        "if payment.amount is None or payment.amount != order.amount:",
        "if payment.amount is None:",
    ),
    "currency": ("if payment.currency != order.currency:", "if payment.currency is None:"),
    "merchant_uid": (
        "if payment.merchant_uid != order.merchant_uid:",
        "if payment.merchant_uid is None:",
    ),
    "imp_uid": ("if order.was_used(payment.imp_uid):", "if payment.imp_uid is None:"),
}


@pytest.mark.promise("P5")
def test_nobody_is_robbed() -> None:
    assert succeeded() == []


@pytest.mark.parametrize("check", CHECKS)
def test_without_this_check_its_robbery_succeeds(check: str, tmp_path: Path) -> None:
    assert CHECKS.keys() == ROBBERIES.keys()
    (tmp_path / "naru").mkdir()
    shutil.copy(ROOT / "naru" / "__init__.py", tmp_path / "naru")
    shutil.copytree(ROOT / "naru" / "kit", tmp_path / "naru" / "kit")
    source = tmp_path / "naru" / "kit" / "verify.py"
    text, (before, after) = source.read_text(), CHECKS[check]
    assert text.count(before) == 1
    source.write_text(text.replace(before, after))
    run = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "import logging; logging.disable()\n"
        "import naru.kit\n"
        f"assert naru.kit.__file__.startswith({str(tmp_path)!r})\n"
        "from tests.kit.robberies import succeeded\n"
        "print(*succeeded())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", run], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [check]
