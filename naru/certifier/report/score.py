"""What every report counts and calls alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from naru.certifier.result import Outcome, Party, Rule, Run, Verdict, Words

KST = timezone(timedelta(hours=9), "KST")

VERDICTS: dict[Verdict, Words] = {
    "broken": Words("뚫림", "broken"),
    "trouble": Words("시도 못 함", "not tried"),
    "held": Words("막음", "held"),
    "skipped": Words("건너뜀", "skipped"),
}

PARTIES: dict[Party, Words] = {
    "buyer": Words("구매자", "Buyer"),
    "thief": Words("도둑", "Thief"),
    "shop": Words("상점", "Shop"),
    "gateway": Words("게이트웨이", "Gateway"),
    "staff": Words("상점 직원", "Staff"),
    "certifier": Words("점검기", "Certifier"),
}


@dataclass(frozen=True)
class Score:
    """How many attacks. `tried` = held + broken + trouble."""

    held: int
    tried: int
    broken: int
    trouble: int
    skipped: int


def count(run: Run) -> Score:
    """Count the verdicts of a run."""
    found = Counter(outcome.verdict for outcome in run.outcomes)
    return Score(
        held=found["held"],
        tried=found["held"] + found["broken"] + found["trouble"],
        broken=found["broken"],
        trouble=found["trouble"],
        skipped=found["skipped"],
    )


def families(run: Run) -> dict[Words, list[Outcome]]:
    """The outcomes by family, in the order in which they ran."""
    grouped: dict[Words, list[Outcome]] = {}
    for outcome in run.outcomes:
        grouped.setdefault(outcome.attack.family, []).append(outcome)
    return grouped


def failures(run: Run) -> list[Outcome]:
    """What makes a run fail, the dearest first; storms after all, as nobody would try them first."""
    failed = [each for each in run.outcomes if each.verdict in ("broken", "trouble")]
    return sorted(failed, key=lambda each: (each.attack.name.startswith("storm-"), -each.cost))


def skipped(run: Run) -> dict[Words, list[Outcome]]:
    """What was skipped, by its reason, in the order in which it ran."""
    grouped: dict[Words, list[Outcome]] = {}
    for outcome in run.outcomes:
        if outcome.verdict == "skipped":
            grouped.setdefault(outcome.why or Words("", ""), []).append(outcome)
    return grouped


def rules_in(outcomes: Iterable[Outcome]) -> list[Rule]:
    """Every rule that was broken, once."""
    found = {breach.rule.id: breach.rule for each in outcomes for breach in each.breaches}
    return list(found.values())


def won(amount: int) -> Words:
    """An amount of won in both languages: 64,900원, ₩64,900."""
    return Words(f"{amount:,}원", f"₩{amount:,}" if amount >= 0 else f"-₩{-amount:,}")


def kst(moment: datetime) -> str:
    """`2026-11-23 15:34 KST`"""
    return moment.astimezone(KST).strftime("%Y-%m-%d %H:%M KST")
