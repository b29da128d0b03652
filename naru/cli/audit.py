"""`naru audit`: is every promise kept, over the whole database?"""

import argparse
import asyncio
import json
import re
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from naru.cli import database, lines
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from naru.store.audit import Report

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SECONDS_MAX = 366 * 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to look at, and how to tell it."""
    parser.epilog = (
        "Reads only, on one snapshot, and blocks nobody. Exit status: 0 all is well, 1 something is\n"
        "broken (named with its ids) or the database cannot be read.\n"
        "for example:  naru audit                 nightly\n"
        "              naru audit --recent 15m    every ten minutes"
    )
    parser.add_argument(
        "--recent",
        type=_span,
        metavar="TIME",
        help="only payments that changed in the last 90s, 15m, 2h or 1d",
    )
    parser.add_argument("--timings", action="store_true", help="how long each check took")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Check, tell, and answer 1 when a promise is broken."""
    report = asyncio.run(_audit(database.address(settings), arguments.recent))
    if arguments.json:
        print(json.dumps({**asdict(report), "broken": report.broken}, ensure_ascii=False))
    else:
        _tell(report, arguments.timings)
    return 1 if report.broken else 0


async def _audit(url: str, recent: timedelta | None) -> "Report":
    import asyncpg

    from naru.store.audit import audit

    await database.check_ready(url)
    try:
        return await audit(url, recent=recent)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise CliError(f"The audit could not be finished: {type(error).__name__}.") from error


def _tell(report: "Report", timings: bool) -> None:
    for check in report.checks:
        mark = "✗" if check.broken else "✓"
        print(f"{mark} {check.promise:<4}{check.name:<22}{check.sentence}")
        if timings:
            speed = f"{report.payments / check.seconds:,.0f} payments/s" if check.seconds else "–"
            print(f"        {check.seconds * 1000:,.0f} ms, {speed}")
        for each in check.examples:
            print(f"        {lines.plain(f'{each.id}: {each.why}')}")
        if (more := check.broken - len(check.examples)) > 0:
            print(f"        and {more:,} more")
        if check.broken:
            print(f"        → {check.remedy}")
    ending = f"{report.broken:,} broken" if report.broken else "nothing is broken"
    print(f"{report.payments:,} payments in {report.seconds:.1f} s: {ending}")


def _span(text: str) -> timedelta:
    """A time such as 15m. Raises argparse's error."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII)
    if found is None or (seconds := int(found[1]) * _UNITS[found[2]]) > SECONDS_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 90s, 15m, 2h or 1d (a year at most)"
        )
    return timedelta(seconds=seconds)
