"""`python -m tests.certifier [SHOP …]`: every attack on every small shop. See campaign.py."""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

from naru.certifier.attacks import ATTACKS
from naru.certifier.attacks.storms import STORMS
from naru.certifier.report import html
from naru.certifier.report.score import won
from naru.certifier.result import Run
from tests.certifier.campaign import certified, complaints, found
from tests.certifier.express import express
from tests.certifier.shops import SmallShop, small_shops
from tests.clients.install import CannotInstall

PICTURED = "sample_python"  # what the official sample's logic costs
HEAD = """\
# Certified: the certifier tried on small shops

Every attack of `naru certify` on every shop of `tests/certifier/shops`. The broken ones make one mistake each and are careful
otherwise; they must be failed for that mistake, the correct ones must pass everything, and every attack must be failed by some shop: one that nobody can fail proves nothing.

"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.certifier", description=__doc__)
    parser.add_argument("shops", nargs="*", metavar="SHOP", help="only these")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write what was found as a page")
    parser.add_argument("--picture", type=Path, metavar="FILE", help=f"picture {PICTURED}'s report")
    arguments = parser.parse_args()
    wrong: list[str] = []
    done: list[tuple[SmallShop, Run]] = []
    for shop in small_shops():
        if arguments.shops and shop.name not in arguments.shops:
            continue
        if shop.needs_node:
            try:
                express()
            except CannotInstall as error:
                print(f"{shop.name:18} SKIPPED: {error}", flush=True)
                continue
        run = certified(shop)
        told = complaints(shop, run)
        wrong += [f"{shop.name}: {each}" for each in told]
        verdict = "correct" if run.passed else " ".join(sorted(shop.breaks))
        tried = sum(outcome.verdict != "skipped" for outcome in run.outcomes)
        print(
            f"{shop.name:18} {tried:3} attacks, {len(found(run)):3} broke it, {won(run.cost).en:>16}, "
            f"{run.seconds:5.1f} s  {verdict}{'  WRONG' if told else ''}",
            flush=True,
        )
        done.append((shop, run))
    if not arguments.shops:
        wrong += _toothless(done)
    for each in wrong:
        print(each)
    if arguments.page is not None:
        arguments.page.write_text(_page(done), "utf-8")
    for shop, run in done:
        if arguments.picture is not None and shop.name == PICTURED:
            _picture(html.text(run), arguments.picture)
    return 1 if wrong else 0


def _toothless(done: list[tuple[SmallShop, Run]]) -> list[str]:
    failed = {name for _, run in done for name in found(run)}
    # What a storm meets is its seed's choice: as a family they must find something.
    storms = {attack.name for attack in STORMS.attacks}
    failed |= storms if failed & storms else set()
    return [
        f"{attack.name} is failed by no shop" for attack in ATTACKS if attack.name not in failed
    ]


def _picture(page: str, file: Path) -> None:
    """The report as people see it first, for the README."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("NARU_CHROMIUM"))
        seen = browser.new_page(viewport={"width": 1200, "height": 860})
        seen.set_content(page)
        seen.screenshot(path=file)
        browser.close()


def _page(done: list[tuple[SmallShop, Run]]) -> str:
    lines = [
        "| shop | mistake | rules it breaks | attacks that broke it | lost |",
        "|---|---|---|---|---|",
    ]
    by_attack: dict[str, list[str]] = defaultdict(list)
    for shop, run in done:
        broke = found(run)
        for name in broke:
            by_attack[name].append(shop.name)
        tried = sum(outcome.verdict != "skipped" for outcome in run.outcomes)
        rules = " ".join(f"`{rule}`" for rule in sorted(shop.breaks)) or "none: correct"
        lines.append(
            f"| {shop.name} | {shop.why} | {rules} | {len(broke)} of {tried} | {won(run.cost).en} |"
        )
    lines += ["", "## Who fails which attack", "", "| attack | broken shops |", "|---|---|"]
    lines += [f"| `{attack.name}` | {', '.join(by_attack[attack.name])} |" for attack in ATTACKS]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
