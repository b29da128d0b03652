"""`naru decide …`: a person ends a doubt by what the PG's console shows."""

import argparse
import asyncio
import dataclasses
from datetime import datetime

from naru.cli import database, find
from naru.cli.trouble import CliError
from naru.config import Settings

SEEN = ("approved", "not-approved", "cancelled", "not-cancelled")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The payment, what was seen, and by whom."""
    parser.add_argument("imp_uid", help="the payment's id")
    parser.add_argument("what", choices=SEEN, help="what the PG's console shows")
    parser.add_argument("--tid", metavar="TID", help="the PG's number of what has happened")
    parser.add_argument("--at", metavar="TIME", help="when: 2026-01-02T03:04:05+09:00")
    parser.add_argument("--by", required=True, metavar="NAME", help="who looked")
    parser.add_argument("--note", required=True, metavar="TEXT", help="what was seen, and where")
    parser.epilog = (
        "Only for what is unknown and cannot be under way any more; --tid and --at belong to\n"
        "approved and cancelled. Where the console shows another amount, undo it there first.\n"
        "for example:  naru decide imp_123456789012 not-approved --by kim"
        ' --note "no such order in the console"'
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write it down; raises CliError when this doubt is not a person's to end."""
    asyncio.run(_decide(arguments, settings))
    return 0


async def _decide(arguments: argparse.Namespace, settings: Settings) -> None:
    from naru.app import open_gateway
    from naru.payments.decide_by_hand import Decision, NotForAPerson, Seen, decide_by_hand
    from naru.store import StoreUnavailable

    if not find.is_plain(arguments.imp_uid):
        raise CliError(f"There is no payment {arguments.imp_uid!r}.")
    try:
        at = None if arguments.at is None else datetime.fromisoformat(arguments.at)
    except ValueError as error:
        raise CliError("--at is a time such as 2026-01-02T03:04:05+09:00.") from error
    seen = Seen(arguments.what)
    decision = Decision(seen, arguments.by, arguments.note, arguments.tid, at)
    settings.need_secret()
    settings = dataclasses.replace(settings, database_url=database.address(settings))
    assert settings.database_url is not None
    await database.check_ready(settings.database_url)
    try:
        async with open_gateway(settings) as gateway:
            payment = await decide_by_hand(gateway, arguments.imp_uid, decision)
    except NotForAPerson as error:
        raise CliError(str(error)) from error
    except StoreUnavailable as error:
        raise CliError(f"{error}.") from error
    print(f"{payment.imp_uid} is {payment.step}, left {payment.balance.text()}")
