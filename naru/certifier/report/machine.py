"""The report for machines: JSON. Its shape is kept by `schema_version`.

    schema_version 1
    tool           {name, version}
    shop, url, seed, began (ISO 8601, UTC), seconds, passed
    score          {held, tried, broken, trouble, skipped}
    cost_won       what all attacks together cost
    rules          those that were broken: [{id, title, text, safe_code}]
    attacks        [{name, family, title, story, verdict, why, cost_won, breaches, warnings, orders,
                     steps, shrunk_from, seconds, repeat, tape}]
      breaches     [{rule (an id), order (a name), why, cost_won}]
      orders       [{name, merchant_uid, amount, status, fulfilled, paid_amount, received}]  in won
      tape         [{number, sender, receiver, title, request, status, response, seconds, at_once}]

A text for people is {ko, en}. A field is never left out; what is not known is null.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC
from typing import Any

from naru.certifier.report.clean import clean_run
from naru.certifier.report.score import count, rules_in
from naru.certifier.result import Breach, Outcome, Run

SCHEMA_VERSION = 1


def text(run: Run) -> str:
    """The report as JSON, one line end at its end."""
    return json.dumps(document(run), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def document(run: Run) -> dict[str, Any]:
    """The same as plain values."""
    run = clean_run(run)
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "naru certify", "version": run.version},
        "shop": run.shop,
        "url": run.url,
        "seed": run.seed,
        "began": run.began.astimezone(UTC).isoformat(timespec="milliseconds"),
        "seconds": round(run.seconds, 3),
        "passed": run.passed,
        "score": asdict(count(run)),
        "cost_won": run.cost,
        "rules": [asdict(rule) for rule in rules_in(run.outcomes)],
        "attacks": [_attack(outcome) for outcome in run.outcomes],
    }


def _attack(outcome: Outcome) -> dict[str, Any]:
    return {
        **asdict(outcome.attack),
        "verdict": outcome.verdict,
        "why": asdict(outcome.why) if outcome.why else None,
        "cost_won": outcome.cost,
        "breaches": [_breach(breach) for breach in outcome.breaches],
        "warnings": [asdict(warning) for warning in outcome.warnings],
        "orders": [asdict(order) for order in outcome.orders],
        "steps": [asdict(step) for step in outcome.steps],
        "shrunk_from": outcome.shrunk_from,
        "seconds": round(outcome.seconds, 3),
        "repeat": outcome.repeat,
        "tape": [asdict(exchange) for exchange in outcome.tape],
    }


def _breach(breach: Breach) -> dict[str, Any]:
    return {
        "rule": breach.rule.id,
        "order": breach.order,
        "why": asdict(breach.why),
        "cost_won": breach.cost,
    }
