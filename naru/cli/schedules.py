"""`naru schedules …`: charges that wait for their time, that are late, and that failed."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from naru.cli import database, lines
from naru.config import Settings

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
    listing = verbs.add_parser("list", help="schedules of every merchant, the earliest first")
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
        found = await session.schedules.overview(arguments.only, datetime.now(UTC), most)
    if not found:
        print(KINDS[arguments.only], file=sys.stderr)
    for each in found:
        print(
            f"{lines.when(each.schedule_at)}  {each.state:<9}  {each.amount.text():>14}  "
            f"{lines.plain(each.merchant_uid)}  customer {lines.plain(each.customer_uid)}  "
            f"merchant {each.merchant_id}  attempts {each.attempt}  {each.imp_uid or ''}".rstrip()
        )
