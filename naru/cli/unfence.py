"""`naru unfence`: compare a restored copy with the PGs' books; then, by name, let it act again."""

import argparse
import asyncio
import contextlib
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from naru.cli import database, lines
from naru.cli.side_by_side import side_by_side
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from naru.domain.channel import Channel
    from naru.payments.compare_books import Comparison
    from naru.payments.gateway import Gateway
    from naru.payments.take_over import TakenOver

MARGIN = timedelta(hours=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who, and what was seen."""
    parser.add_argument("--by", metavar="NAME", help="who compared")
    parser.add_argument("--note", metavar="TEXT", help="where the copy comes from, what was seen")
    parser.add_argument(
        "--anyway", action="store_true", help="although a PG did not answer to the end"
    )
    parser.epilog = (
        "Without --by and --note it compares and shows, and the fence stays. Payments that a PG holds\n"
        "and the copy does not are booked; what cannot be booked becomes a task. No PG is asked to\n"
        "move money. Safe to repeat.\n"
        'for example:  naru unfence --by kim --note "backup of 03:00, PG console looked at"'
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Compare, show, and take the fence away if a name and a note are given. Raises CliError."""
    from naru.domain.text import is_storable

    given = [each.strip() for each in (arguments.by, arguments.note) if each is not None]
    if len(given) == 1 or "" in given or not is_storable(given):
        raise CliError("Say who compared and what was seen: --by NAME --note TEXT.")
    settings.need_secret()
    settings = dataclasses.replace(settings, database_url=database.address(settings))
    return asyncio.run(_unfence(settings, given, anyway=arguments.anyway))


async def _unfence(settings: Settings, given: list[str], *, anyway: bool) -> int:
    from naru.app import open_gateway
    from naru.store import StoreUnavailable
    from naru.store.house import why_fence

    assert settings.database_url is not None
    await database.check_ready(settings.database_url)
    try:
        async with open_gateway(settings, fenced=True) as gateway:
            async with gateway.store.begin() as session:
                standing = await session.house.look()
                if standing is not None and (because := why_fence(standing, None)):
                    # Nobody has served this copy yet.
                    await session.house.fence(because)
                    standing = await session.house.look()
            if standing is None or standing.fenced_at is None:
                print("the house is not fenced")
                return 0
            print(f"fenced since {lines.when(standing.fenced_at)}: {standing.because}")
            whole = await _compare(gateway)
            if not given:
                print("The fence stays. To take it away: --by NAME --note TEXT.")
                return 0 if whole else 1
            if not whole and not anyway:
                raise CliError(
                    "A PG did not answer to the end, so the fence stays: try again, or look into its"
                    " console and say --anyway."
                )
            async with gateway.store.begin() as session:
                held = await session.house.unfence(*given)
    except StoreUnavailable as error:
        raise CliError(f"{error}.") from error
    if held is None:
        print("somebody else has just taken the fence away")
        return 0
    print(
        f"the fence is taken away; {held} open questions are asked about before anything is undone"
    )
    return 0


@dataclasses.dataclass(slots=True)
class _Compared:
    """What one contract's PG said."""

    asked: "TakenOver | None"  # None: this version does not speak its connector
    book: "Comparison | None"  # None: this PG shows none

    @property
    def whole(self) -> bool:
        """Did the PG answer everything that it can be asked?"""
        return (
            self.asked is not None
            and not self.asked.silent
            and (self.book is None or self.book.broken is None)
        )


async def _compare(gateway: "Gateway") -> bool:
    """Compare every contract with its PG and print what was found. False: a PG did not answer."""
    from naru.payments.compare_books import contracts

    async with gateway.store.direct() as session:
        channels = await session.channels.every()
        newest = await session.house.newest()
    span = MARGIN + (timedelta() if newest is None else max(gateway.now() - newest, timedelta()))
    print(
        "the copy knows of nothing at all"
        if newest is None
        else f"the newest thing in the copy is of {lines.when(newest)}"
    )
    listed = contracts(gateway, channels)
    books = [next((each for each in listed if one in each), [one]) for one in channels]
    asked = [book for one, book in zip(channels, books, strict=True) if one is book[0]]
    results: list[_Compared] = []

    def compare(contract: "Sequence[Channel]") -> "Awaitable[_Compared]":
        return _compare_one(gateway, contract, span, shows_book=contract in listed)

    async with contextlib.aclosing(side_by_side(asked, compare)) as compared:
        async for contract, result in compared:
            results.append(result)
            _tell(contract[0], result)
    _sum(results)
    return all(each.whole for each in results)


async def _compare_one(
    gateway: "Gateway", contract: "Sequence[Channel]", span: timedelta, *, shows_book: bool
) -> _Compared:
    from naru.connectors import UnknownConnector
    from naru.payments.compare_books import compare_books
    from naru.payments.take_over import take_over_contract

    try:
        asked = await take_over_contract(gateway, contract)
    except UnknownConnector:
        return _Compared(None, None)
    book = await compare_books(gateway, contract, span, restored=True) if shows_book else None
    return _Compared(asked, book)


def _tell(channel: "Channel", result: _Compared) -> None:
    """One contract; nothing about one that answered everything, and agrees."""
    name = f"{channel.pg_code}.{channel.mid} ({channel.channel_key})"
    asked, book = result.asked, result.book
    if asked is None:
        print(f"{name}: this version does not speak {channel.connector}")
        return
    said = []
    if asked.asked or asked.silent or asked.cannot_ask:
        said.append(
            f"{lines.count(asked.asked, 'open payment')} asked about, {asked.booked} booked,"
            f" {asked.silent} not answered, {asked.cannot_ask} cannot be asked about"
        )
    if book is None:
        said.append("it shows no book: compare its console by hand")
    elif book.differences:
        said.append(f"its book differs in {lines.count(len(book.differences), 'place')}")
    if book is not None and book.broken is not None:
        said.append(f"not finished: {lines.plain(book.broken)}")
    if said:
        print(f"{name}: {'; '.join(said)}")
    for difference in book.differences if book is not None else ():
        print(f"  {difference.ending:<6}  {lines.plain(difference.text())}")


def _sum(results: "Sequence[_Compared]") -> None:
    read = [each.book for each in results if each.book is not None]
    print(
        f"{lines.count(sum(each.movements for each in read), 'movement')} in"
        f" {lines.count(len(read), 'book')}, "
        f"{lines.count(sum(len(each.differences) for each in read), 'difference')};"
        f" {sum(not each.whole for each in results)} of {lines.count(len(results), 'contract')}"
        " did not answer to the end"
    )
