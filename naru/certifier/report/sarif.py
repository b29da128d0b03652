"""The report as SARIF 2.1.0: one result for each rule that an order broke, for code scanning.

A shop has no line to point at that we know of, so a result names the attack and the order as its
logical location, and as its physical one the adapter, without which GitHub accepts nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from naru.certifier.report.clean import clean_run
from naru.certifier.report.score import rules_in, won
from naru.certifier.result import Breach, Outcome, Rule, Run, Words

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
    fence = "`" * max(3, 1 + _longest_fence(rule.safe_code))
    code = f"\n\n{fence}python\n{rule.safe_code}\n{fence}" if rule.safe_code else ""
    return {
        "id": rule.id,
        "shortDescription": {"text": f"{rule.title.ko} / {rule.title.en}"},
        "fullDescription": {"text": told},
        "defaultConfiguration": {"level": _level(rule)},
        "help": {"text": f"{told}\n\n{rule.safe_code}".strip(), "markdown": f"{told}{code}"},
    }


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


def _results(run: Run, outcome: Outcome, adapter: str) -> Iterator[dict[str, Any]]:
    """What one attack found. A breach and a trouble are errors, a weakness is a warning."""
    found = list(outcome.breaches)
    if outcome.verdict == "trouble":
        found.append(Breach(_TROUBLE, "", outcome.why or _TROUBLE.title, 0))
    found += [Breach(_WEAKNESS, "", weakness, 0) for weakness in outcome.warnings]
    seen: Counter[str] = Counter()
    for breach in found:
        seen[breach.rule.id] += 1
        yield _result(run, outcome, adapter, breach, seen[breach.rule.id])


def _result(
    run: Run, outcome: Outcome, adapter: str, breach: Breach, number: int
) -> dict[str, Any]:
    """One result: the `number`th time that this attack broke this rule."""
    attack, rule, why = outcome.attack, breach.rule, breach.why
    lines = [f"{attack.title.ko}: {why.ko}", f"{attack.title.en}: {why.en}", outcome.repeat]
    if breach.cost:
        lines.insert(1, f"= {won(breach.cost).ko}")
    same = "\n".join((run.shop, attack.name, rule.id, str(number)))
    digest = hashlib.sha256(same.encode()).hexdigest()
    place = "/".join(part for part in (run.shop, attack.name, breach.order) if part)
    return {
        "ruleId": rule.id,
        "level": _level(rule),
        "message": {"text": "\n".join(line for line in lines if line)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _address(adapter)},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [
                    {"name": attack.name, "fullyQualifiedName": place, "kind": "resource"}
                ],
            }
        ],
        # The same breach of two runs is one alert, whatever the seed; and two breaches are two,
        # though both point at the adapter. GitHub looks at this key only.
        "partialFingerprints": {"primaryLocationLineHash": f"{digest[:16]}:1"},
        "properties": {"costWon": breach.cost, "attack": attack.name, "order": breach.order},
    }


def _level(rule: Rule) -> str:
    return "warning" if rule is _WEAKNESS else "error"
