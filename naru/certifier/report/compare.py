"""This run beside the last one: what is newly broken, what was mended, what still is broken."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from naru.certifier.report.clean import clean_text
from naru.certifier.report.machine import SCHEMA_VERSION
from naru.certifier.result import Run

_FAILED = ("broken", "trouble")


class NotAReport(ValueError):
    """The file to compare with is no JSON report of `naru certify`, or of another schema."""


@dataclass(frozen=True)
class Compared:
    """Names of attacks, in the order in which they ran. `cost_before` in won.

    `not_tried` failed before and was not run now, or was tried before and is skipped now.
    `first_tried` was skipped before, or did not exist; it may stand in `newly_broken` as well.
    """

    began_before: datetime
    shop_before: str
    cost_before: int
    newly_broken: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    still_broken: tuple[str, ...] = ()
    not_tried: tuple[str, ...] = field(default=())
    first_tried: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """No attack of this run ended otherwise than before."""
        changed = (self.newly_broken, self.mended, self.not_tried, self.first_tried)
        return not any(changed)


def compare(before: str | bytes, run: Run) -> Compared:
    """Compare with the JSON report of an earlier run (machine.py).

    An attack that could not be tried (`trouble`) counts as broken, as it does for the verdict.
    Raises NotAReport.
    """
    report = _read(before)
    failed = {name for name, verdict in report["verdicts"] if verdict in _FAILED}
    tried = {name for name, verdict in report["verdicts"] if verdict != "skipped"}
    now = {outcome.attack.name: outcome.verdict for outcome in run.outcomes}
    failing = [name for name, verdict in now.items() if verdict in _FAILED]
    return Compared(
        began_before=report["began"],
        shop_before=report["shop"],
        cost_before=report["cost"],
        newly_broken=tuple(name for name in failing if name not in failed),
        mended=tuple(name for name, verdict in now.items() if verdict == "held" and name in failed),
        still_broken=tuple(name for name in failing if name in failed),
        not_tried=tuple(
            dict.fromkeys(
                name
                for name, verdict in report["verdicts"]
                if (verdict in _FAILED and name not in now)
                or (verdict != "skipped" and now.get(name) == "skipped")
            )
        ),
        first_tried=tuple(
            name for name, verdict in now.items() if verdict != "skipped" and name not in tried
        ),
    )


def _read(before: str | bytes) -> dict[str, Any]:
    """The few values that are compared; a file that somebody else wrote is not believed."""
    try:
        match json.loads(before):
            case {
                "schema_version": int(version),
                "shop": str(shop),
                "began": str(began),
                "cost_won": int(cost),
                "attacks": list(attacks),
            } if version == SCHEMA_VERSION:
                return {
                    "shop": clean_text(shop, 200),
                    "began": _moment(began),
                    "cost": cost,
                    "verdicts": [_verdict(attack) for attack in attacks],
                }
            case {"schema_version": version} if version != SCHEMA_VERSION:
                raise NotAReport(f"schema_version {version!r}: this version reads {SCHEMA_VERSION}")
            case _:
                raise NotAReport("no JSON report of naru certify")
    except (ValueError, RecursionError) as error:
        if isinstance(error, NotAReport):
            raise
        raise NotAReport("no JSON report of naru certify") from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _verdict(attack: object) -> tuple[str, str]:
    match attack:
        case {"name": str(name), "verdict": str(verdict)}:
            return clean_text(name, 200), verdict
    raise ValueError("an attack has a name and a verdict")
