"""The report as JUnit XML, which every CI reads: a suite for each family, a case for each attack.

Written for the schema of Jenkins' xUnit plugin (junit-10.xsd), which GitLab, GitHub's reporters,
Azure and CircleCI accept as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from naru.certifier.report.clean import clean_run
from naru.certifier.report.score import PARTIES, families, won
from naru.certifier.result import Outcome, Run, Words


def text(run: Run) -> str:
    """The report as an XML document. A weakness that costs no money is told, and fails nothing."""
    run = clean_run(run)
    counts = _counts(run.outcomes)
    del counts["skipped"]  # the schema has it for a suite only
    suites = Element("testsuites", {"name": f"naru certify: {run.shop}", **counts})
    for family, outcomes in families(run).items():
        suite = SubElement(
            suites,
            "testsuite",
            {
                "name": family.ko,
                "timestamp": run.began.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
                "hostname": "localhost",
                **_counts(outcomes),
            },
        )
        properties = SubElement(suite, "properties")
        for name, value in (("shop", run.shop), ("url", run.url), ("seed", str(run.seed))):
            SubElement(properties, "property", name=name, value=value)
        for outcome in outcomes:
            _add_case(suite, outcome)
    indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suites, encoding="unicode")}\n'


def _counts(outcomes: Iterable[Outcome]) -> dict[str, str]:
    listed = list(outcomes)
    verdicts = [each.verdict for each in listed]
    return {
        "tests": str(len(listed)),
        "failures": str(verdicts.count("broken")),
        "errors": str(verdicts.count("trouble")),
        "skipped": str(verdicts.count("skipped")),
        "time": f"{sum(each.seconds for each in listed):.3f}",
    }


def _add_case(suite: Element, outcome: Outcome) -> None:
    name = f"{outcome.attack.name}: {outcome.attack.title.ko}"
    case = SubElement(
        suite,
        "testcase",
        classname=f"naru.certify.{outcome.attack.name}",
        name=name,
        time=f"{outcome.seconds:.3f}",
    )
    why = outcome.why or Words("", "")
    match outcome.verdict:
        case "skipped":
            SubElement(case, "skipped", message=_both(why))
        case "trouble":
            error = SubElement(case, "error", type="trouble", message=_both(why))
            error.text = _told(outcome)
        case "broken":
            failure = SubElement(
                case,
                "failure",
                type=" ".join(dict.fromkeys(breach.rule.id for breach in outcome.breaches)),
                message="; ".join(
                    f"{breach.why.ko} ({won(breach.cost).ko})" for breach in outcome.breaches
                ),
            )
            failure.text = _told(outcome)
        case "held":
            pass
    if outcome.warnings:
        SubElement(case, "system-out").text = _lines(map(_both, outcome.warnings))


def _told(outcome: Outcome) -> str:
    """What a person reads who opens the failure."""
    lines = [_both(outcome.attack.story)]
    for breach in outcome.breaches:
        lines += ["", f"[{breach.rule.id}] {_both(breach.rule.title)}", _both(breach.why)]
        lines.append(f"= {won(breach.cost).ko}")
    if outcome.steps:
        lines += ["", *(f"{number}. {_both(step)}" for number, step in enumerate(outcome.steps, 1))]
    for order in outcome.orders:
        lines.append(
            f"{order.name} ({order.merchant_uid}): {won(order.amount).ko}, {order.status}, "
            f"fulfilled {order.fulfilled}, received {won(order.received).ko}"
        )
    if outcome.tape:
        lines.append("")
    for each in outcome.tape:
        answer = "" if each.status is None else f" → {each.status}"
        sender, receiver = PARTIES[each.sender].en, PARTIES[each.receiver].en
        lines.append(f"{each.number}. {sender} → {receiver}: {each.title}{answer}")
    return _lines([*lines, "", outcome.repeat])


def _both(words: Words) -> str:
    return f"{words.ko} / {words.en}"


def _lines(lines: Iterable[str]) -> str:
    return "\n" + "\n".join(lines) + "\n"
