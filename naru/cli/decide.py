"""`naru decide …`: a person ends a doubt by what the PG's console shows."""

import argparse
import asyncio
import dataclasses
from datetime import datetime

from naru.cli import database, find
from naru.cli.payment import STEPS
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
        "PG사 관리자에서 확인한 결과를 기록합니다. Only for what is unknown (`naru doubts`) and cannot be\n"
        "under way any more. It counts like the PG's own answer: the order is paid or free again, the\n"
        "cancel is booked or given up, webhooks leave, the task is closed with your name and note.\n"
        "  approved, not-approved    the approval; look the PG's order number up (`naru payment IMP_UID`)\n"
        "  cancelled, not-cancelled  the cancel\n"
        "What has happened needs --tid and --at, as the console shows them. Where it shows another\n"
        "amount, undo it there and say not-approved.\n"
        "for example:  naru decide imp_123456789012 not-approved --by kim \\\n"
        '                --note "no such order in the console"\n'
        "              naru decide imp_123456789012 approved --by kim --tid T2026010212345 \\\n"
        '                --at 2026-01-02T12:04:05+09:00 --note "row 7 of today\'s approvals"'
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
    left = f"left {payment.balance.text()}" if payment.paid_at else "its order is free again"
    print(f"{payment.imp_uid} is {payment.step} {STEPS[payment.step]}, {left}")
    print(f"naru payment {payment.imp_uid} tells what was written and announced")
