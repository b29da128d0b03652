"""`naru log …`: who changed what, and proof that nobody touched what is written there."""

import argparse
import asyncio
import json
import re
from datetime import datetime
from typing import Any

from naru.cli import database, find, lines
from naru.cli.trouble import CliError
from naru.config import Settings

ALONE = "show"
# As PostgreSQL writes a time into JSON.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d:\d\d")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru log`."""
    parser.epilog = (
        "for example:  naru log show imp12345678\n"
        "              naru log verify --anchor 12:5feceb66…\n"
        "Anchors are in the worker's log, one a day: keep that log on another machine."
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    show = verbs.add_parser("show", help="the newest changes, newest first")
    show.add_argument(
        "merchant", nargs="?", help="of this merchant (default: the installation's own)"
    )
    show.add_argument("--most", type=int, default=50, metavar="N", help="at most (50)")
    verify = verbs.add_parser(
        "verify", help="exit status 1 when a row was removed, changed or moved"
    )
    verify.add_argument("--anchor", metavar="PLACE:HASH", help="as a worker once logged it")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the verb says; print what a person needs to know."""
    return asyncio.run((_show if arguments.verb == "show" else _verify)(arguments, settings))


async def _show(arguments: argparse.Namespace, settings: Settings) -> int:
    async with database.open_store(settings) as store, store.direct() as session:
        chain = 0
        if arguments.merchant is not None:
            chain = (await find.merchant(session, arguments.merchant)).id
        for entry in await session.audit_log.newest(chain, max(1, min(arguments.most, 10_000))):
            came = f" from {entry.address}" if entry.address else ""
            print(
                f"{entry.place:>6}  {lines.when(entry.at)}  {lines.plain(entry.who)}{lines.plain(came)}  "
                f"{lines.plain(entry.what)}: {entry.change} {lines.plain(entry.subject)}"
            )
            for name in sorted({*(entry.before or {}), *(entry.after or {})}):
                before, after = ((side or {}).get(name) for side in (entry.before, entry.after))
                if before is None and after is None:
                    continue  # a new row's empty column
                print(f"        {name}: {_shown(before)} → {_shown(after)}")
    return 0


async def _verify(arguments: argparse.Namespace, settings: Settings) -> int:
    async with database.open_store(settings) as store, store.direct() as session:
        try:
            broken = await session.audit_log.broken(arguments.anchor)
        except ValueError as error:
            raise CliError(f"{error}.".capitalize()) from None
        rows, chains = await session.audit_log.size()
    for each in broken:
        where = "the installation" if each.chain == 0 else f"merchant {each.chain}"
        print(f"{where}, row {each.place}: {each.why}")
    print(f"{rows} rows in {chains} chains: {'broken' if broken else 'whole'}")
    return int(bool(broken))


def _shown(value: Any) -> str:
    if isinstance(value, str) and _TIME.fullmatch(value):
        return lines.when(datetime.fromisoformat(value))
    return "-" if value is None else lines.plain(json.dumps(value, ensure_ascii=False))[:200]
