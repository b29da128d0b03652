"""`naru schedules …`: charges that wait for their time, that are late, and that failed."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from naru.cli import database, find, lines
from naru.config import Settings
from naru.domain.payment import Step

if TYPE_CHECKING:
    from naru.store import Session
    from naru.store.schedules import Glance

ALONE = "list"
# What is asked for -> what it says when there is none.
KINDS = {
    "waiting": "No schedule waits for its time.",
    "late": "No schedule is late.",
    "checking": "No scheduled charge is being found out.",
    "failed": "No scheduled charge has failed.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru schedules`."""
    parser.epilog = "for example:  naru schedules list --only late"
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    listing = verbs.add_parser("list", help="schedules, the earliest first")
    listing.add_argument("merchant", nargs="?", help=find.MERCHANT_IF_ONE)
    listing.add_argument(
        "--only",
        choices=sorted(KINDS),
        default="waiting",
        help="waiting (the default), late (due, and not run), checking (the PG has not answered), failed",
    )
    listing.add_argument("--most", type=int, default=100, metavar="N", help="at most (100)")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the schedules that were asked for."""
    asyncio.run(list_schedules(arguments, settings))
    return 0


async def list_schedules(arguments: argparse.Namespace, settings: Settings) -> None:
    """Print them, one a line."""
    most = max(1, min(arguments.most, 10_000))
    async with database.open_store(settings) as store, store.direct() as session:
        merchant_id = await find.merchant_id(session, arguments.merchant)
        now = datetime.now(UTC)
        found = await session.schedules.overview(arguments.only, now, most, merchant_id)
        ends = [await _end(session, each) for each in found]
        failures = 0
        if arguments.only != "failed":
            failures = await session.schedules.failures(merchant_id)
    if not found:
        print(KINDS[arguments.only], file=sys.stderr)
    for each, (state, reason) in zip(found, ends, strict=True):
        print(
            f"{lines.when(each.schedule_at)}  {state:<9}  {each.amount.text():>14}  "
            f"{lines.plain(each.merchant_uid)}  customer {lines.plain(each.customer_uid)}  "
            f"merchant {each.merchant_id}  {lines.count(each.attempt, 'attempt')}  "
            f"{each.imp_uid or ''}  {lines.plain(reason)}".rstrip()
        )
    if failures:
        listed = " ".join(filter(None, ("naru schedules list", arguments.merchant)))
        many = lines.count(failures, "scheduled charge has", "scheduled charges have")
        print(f"{many} failed: `{listed} --only failed` lists them.", file=sys.stderr)


async def _end(session: "Session", schedule: "Glance") -> tuple[str, str]:
    """How it stands in one word, and the reason of a charge that failed."""
    match schedule.step:
        case Step.FAILED:
            assert schedule.imp_uid is not None, "a step is a payment's"
            payment = await session.payments.get(schedule.imp_uid)
            return "failed", (payment and payment.fail_reason) or ""
        case Step.APPROVING:
            return "checking", ""
    return schedule.state, ""
