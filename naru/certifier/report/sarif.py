"""The report as SARIF 2.1.0: one result for each rule that an order broke, for code scanning.

A shop has no line to point at that we know of, so a result names the attack and the order as its
logical location, and as its physical one the adapter, without which GitHub accepts nothing.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from naru.certifier.report.clean import clean_run
from naru.certifier.report.score import rules_in, won
from naru.certifier.result import Outcome, Rule, Run, Words

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

_WEAKNESS = Rule(
    "weakness",
    Words("돈은 지켰지만 약한 곳", "A weakness that cost no money"),
    Words(
        "적대적인 요청에 5xx로 답하거나, 끝난 주문의 웹훅에 끝내 2xx로 답하지 않았습니다.",
        "A hostile request was answered 5xx, or a webhook of a finished order never 2xx.",
    ),
    "",
)
_TROUBLE = Rule(
    "not-tried",
    Words("시도하지 못한 공격", "An attack that could not be tried"),
    Words(
        "시도하지 못한 공격은 막았다고 할 수 없으므로 실패로 셉니다.",
        "What could not be tried has not held, and counts as a failure.",
    ),
    "",
)


def text(run: Run, adapter: str = "shop.toml") -> str:
    """The report as a SARIF document. `adapter`: its path, relative to the repository's root."""
    run = clean_run(run)
    rules = rules_in(run.outcomes)
    if any(outcome.verdict == "trouble" for outcome in run.outcomes):
        rules.append(_TROUBLE)
    if any(outcome.warnings for outcome in run.outcomes):
        rules.append(_WEAKNESS)
    index = {rule.id: number for number, rule in enumerate(rules)}
    results = [
        {**result, "ruleIndex": index[result["ruleId"]]}
        for outcome in run.outcomes
        for result in _results(run, outcome, adapter)
    ]
    ended = run.began + timedelta(seconds=run.seconds)
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "naru certify",
                        "version": run.version,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "automationDetails": {"id": f"naru-certify/{run.shop}/"},
                "language": "ko-KR",
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": _TROUBLE not in rules,
                        "startTimeUtc": run.began.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                        "endTimeUtc": ended.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    }
                ],
                "properties": {"seed": run.seed, "url": run.url, "costWon": run.cost},
                "results": results,
            }
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    told = f"{rule.text.ko}\n\n{rule.text.en}"
    shown: dict[str, Any] = {
        "id": rule.id,
        "shortDescription": {"text": f"{rule.title.ko} / {rule.title.en}"},
        "fullDescription": {"text": told},
        "defaultConfiguration": {"level": "warning" if rule is _WEAKNESS else "error"},
    }
    if rule.safe_code:
        fence = "`" * max(3, 1 + _longest_fence(rule.safe_code))
        shown["help"] = {
            "text": f"{told}\n\n{rule.safe_code}",
            "markdown": f"{told}\n\n{fence}python\n{rule.safe_code}\n{fence}",
        }
    return shown


def _longest_fence(code: str) -> int:
    longest = run = 0
    for letter in code:
        run = run + 1 if letter == "`" else 0
        longest = max(longest, run)
    return longest


def _address(path: str) -> str:
    """A relative path as it is, which GitHub reads from the repository's root."""
    pure = Path(path)
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())


def _results(run: Run, outcome: Outcome, adapter: str) -> list[dict[str, Any]]:
    """What one attack found. A breach and a trouble are errors, a weakness is a warning."""
    found = [
        _result(
            run, outcome, adapter, breach.rule.id, "error", breach.why, breach.order, breach.cost
        )
        for breach in outcome.breaches
    ]
    if outcome.verdict == "trouble":
        why = outcome.why or _TROUBLE.title
        found.append(_result(run, outcome, adapter, _TROUBLE.id, "error", why))
    return found + [
        _result(run, outcome, adapter, _WEAKNESS.id, "warning", weakness)
        for weakness in outcome.warnings
    ]


def _result(
    run: Run,
    outcome: Outcome,
    adapter: str,
    rule: str,
    level: str,
    why: Words,
    order: str = "",
    cost: int = 0,
) -> dict[str, Any]:
    attack = outcome.attack
    same = "\n".join((run.shop, attack.name, rule, order or why.en))
    lines = [f"{attack.title.ko}: {why.ko}", f"{attack.title.en}: {why.en}", outcome.repeat]
    if cost:
        lines.insert(1, f"= {won(cost).ko}")
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": "\n".join(line for line in lines if line)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _address(adapter)},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [
                    {
                        "name": attack.name,
                        "fullyQualifiedName": "/".join(
                            part for part in (run.shop, attack.name, order) if part
                        ),
                        "kind": "resource",
                    }
                ],
            }
        ],
        # The same weakness of two runs is one alert, whatever the seed.
        "partialFingerprints": {"attackRuleOrder/v1": hashlib.sha256(same.encode()).hexdigest()},
        "properties": {"costWon": cost, "attack": attack.name, "order": order},
    }
