"""`naru webhooks …`: what was announced to merchants, what became of it, and once more, please."""

import argparse
import asyncio
import sys

from naru.cli import database, find, lines
from naru.cli.trouble import CliError
from naru.config import Settings

ALONE = "list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru webhooks`."""
    parser.epilog = (
        "for example:  naru webhooks list --imp-uid imp_123456789012 --attempts\n"
        "              naru webhooks resend 42"
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    listing = verbs.add_parser("list", help="webhooks, newest first")
    listing.add_argument("merchant", nargs="?", help=find.MERCHANT_IF_ONE)
    listing.add_argument("--imp-uid", help="of this payment only")
    listing.add_argument("--state", choices=("waiting", "delivered", "parked"))
    listing.add_argument("--attempts", action="store_true", help="with every attempt")
    listing.add_argument("--most", type=int, default=50, metavar="N", help="at most (50)")
    resend = verbs.add_parser("resend", help="send one again: same address, body and id")
    resend.add_argument("delivery", type=int, help="its number in `naru webhooks list`")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the verb says; print what a person needs to know."""
    asyncio.run((_list if arguments.verb == "list" else _resend)(arguments, settings))
    return 0


async def _list(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.imp_uid is not None and not find.is_plain(arguments.imp_uid):
        raise CliError(f"{arguments.imp_uid!r} is no imp_uid.")
    most = max(1, min(arguments.most, 10_000))
    async with database.open_store(settings) as store, store.direct() as session:
        deliveries = await session.outbox.of_merchant(
            await find.merchant_id(session, arguments.merchant),
            imp_uid=arguments.imp_uid,
            state=arguments.state,
            most=most,
        )
        if not deliveries:
            print("No webhook was announced.", file=sys.stderr)
        for each in deliveries:
            print(
                f"{each.id:>6}  {lines.when(each.announced_at)}  {each.imp_uid}  "
                f"{lines.plain(each.merchant_uid or '')}  merchant {each.merchant_id}  "
                f"{each.status:<9}  {each.state:<9}  {lines.count(each.attempts, 'attempt')}  {each.url}"
            )
            if not arguments.attempts:
                continue
            for attempt in await session.outbox.attempts_of(each.id):
                came = attempt.error or f"HTTP {attempt.answer_status}"
                print(
                    f"        {lines.when(attempt.began_at)}  {attempt.duration_ms:>6} ms  {came}"
                )


async def _resend(arguments: argparse.Namespace, settings: Settings) -> None:
    from naru.webhooks.deliver import resend

    async with database.open_store(settings) as store:
        if not 0 < arguments.delivery < 2**63 or not await resend(store, arguments.delivery):
            raise CliError(f"There is no webhook number {arguments.delivery}.")
    print(f"webhook {arguments.delivery} leaves again")
