"""The report as a page: one file that needs nothing from anywhere, for a person and the boss.

There is no script in it and its CSP allows none: what a thief wrote cannot run. Language, filter and
what is open are plain HTML, and styles that ask what is checked.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from naru.certifier.report.clean import clean_run
from naru.certifier.report.compare import Compared
from naru.certifier.report.diagram import draw
from naru.certifier.report.score import (
    PARTIES,
    VERDICTS,
    count,
    families,
    kst,
    rules_in,
    skipped,
    won,
)
from naru.certifier.result import Run

_HERE = Path(__file__).parent
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def text(run: Run, compared: Compared | None = None, *, korean: bool = True) -> str:
    """The page, in both languages; `korean` says which of them shows first."""
    run = clean_run(run)
    style = (_HERE / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    numbers = {id(outcome): number for number, outcome in enumerate(run.outcomes, 1)}
    return _templates.get_template("page.html").render(
        run=run,
        score=count(run),
        skipped=skipped(run),
        families=[
            (family, [(numbers[id(outcome)], outcome) for outcome in outcomes])
            for family, outcomes in families(run).items()
        ],
        attacks={outcome.attack.name: numbers[id(outcome)] for outcome in run.outcomes},
        compared=compared,
        korean=korean,
        style=Markup(style),  # noqa: S704 - our own file
        style_source=f"sha256-{digest}",
        VERDICTS=VERDICTS,
        PARTIES=PARTIES,
        draw=draw,
        kst=kst,
        rules_in=rules_in,
        won=won,
    )
