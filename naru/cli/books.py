"""`naru books …`: is what the PGs have booked what we have booked?"""

import argparse
import asyncio
import contextlib
import dataclasses
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from naru.cli import database, lines
from naru.cli.side_by_side import side_by_side
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from naru.domain.channel import Channel
    from naru.payments.compare_books import Comparison


ALONE = "list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru books`."""
    parser.epilog = (
        "The worker compares every day. Exits 1 when the books differ or cannot be read.\n"
        "for example:  naru books compare --days 7\n"
        "              naru books list"
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    compare = verbs.add_parser("compare", help="compare now; what only a PG knows is booked")
    compare.add_argument("--days", type=int, default=2, metavar="N", help="back from now (2)")
    compare.add_argument("--channel", metavar="KEY", help="the book of this channel only")
    listing = verbs.add_parser("list", help="the differences found so far, newest first")
    listing.add_argument("--most", type=int, default=50, metavar="N", help="at most (50)")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the verb says; 0 when the books agree."""
    if arguments.verb == "list":
        asyncio.run(_list(arguments, settings))
        return 0
    return asyncio.run(_compare(arguments, settings))


async def _list(arguments: argparse.Namespace, settings: Settings) -> None:
    most = max(1, min(arguments.most, 10_000))
    async with database.open_store(settings) as store, store.direct() as session:
        found = await session.pg_books.differences(most)
        if not found:
            print("No difference was found so far.", file=sys.stderr)
        for found_at, difference in found:
            print(
                f"{lines.when(found_at)}  {difference.ending:<6}  {lines.plain(difference.text())}"
            )


async def _compare(arguments: argparse.Namespace, settings: Settings) -> int:
    from naru.app import open_gateway
    from naru.payments.compare_books import FRESH, compare_books, contracts
    from naru.store import StoreUnavailable

    if not 1 <= arguments.days <= 3650:
        raise CliError("--days is a number from 1 to 3650.")
    settings.need_secret()
    settings = dataclasses.replace(settings, database_url=database.address(settings))
    assert settings.database_url is not None
    await database.check_ready(settings.database_url)
    results = []
    try:
        async with open_gateway(settings) as gateway:
            async with gateway.store.direct() as session:
                channels = await session.channels.every()
            chosen = [
                contract
                for contract in contracts(gateway, channels)
                if arguments.channel in (None, *(channel.channel_key for channel in contract))
            ]
            if arguments.channel is not None and not chosen:
                raise CliError("There is no such channel, or its PG shows no book.")

            def compare(contract: "Sequence[Channel]") -> "Awaitable[Comparison]":
                return compare_books(gateway, contract, timedelta(days=arguments.days))

            async with contextlib.aclosing(side_by_side(chosen, compare)) as compared:
                async for contract, result in compared:
                    results.append(result)
                    _tell(contract[0], result)
    except StoreUnavailable as error:
        raise CliError(f"{error}.") from error
    since = datetime.now(UTC) - timedelta(days=arguments.days)
    unfinished = sum(result.broken is not None for result in results)
    print(
        f"{_sum(results)} in {lines.count(len(results), 'book')} since {lines.when(since)}"
        + (f", {unfinished} not read to the end" if unfinished else "")
        + f"; the last {FRESH // timedelta(minutes=1)} minutes are not compared yet"
    )
    return 0 if all(result.agrees for result in results) else 1


def _tell(channel: "Channel", result: "Comparison") -> None:
    """One book; nothing about one in which nothing moved, that agrees."""
    if result.agrees and not (result.movements or result.pending):
        return
    print(f"{channel.pg_code}.{channel.mid} ({channel.channel_key}): {_sum([result])}")
    for difference in result.differences:
        print(f"  {difference.ending:<6}  {lines.plain(difference.text())}")
    if result.broken is not None:
        print(f"  not finished: {lines.plain(result.broken)}")


def _sum(results: "Sequence[Comparison]") -> str:
    return ", ".join(
        (
            lines.count(sum(each.movements for each in results), "movement"),
            lines.count(sum(len(each.differences) for each in results), "difference"),
            f"{sum(each.pending for each in results)} under way",
        )
    )
