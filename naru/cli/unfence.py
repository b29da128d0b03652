"""`naru unfence`: compare a restored copy with the PGs' books; then, by name, let it act again."""

import argparse
import asyncio
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from naru.cli import database
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from naru.payments.gateway import Gateway

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
            print(f"fenced since {standing.fenced_at:%Y-%m-%d %H:%M:%S}Z: {standing.because}")
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


async def _compare(gateway: "Gateway") -> bool:
    """Compare every contract with its PG and print what was found. False: a PG did not answer."""
    from naru.connectors import UnknownConnector
    from naru.payments.compare_books import compare_books, contracts
    from naru.payments.take_over import take_over_contract

    async with gateway.store.direct() as session:
        channels = await session.channels.every()
        newest = await session.house.newest()
    span = MARGIN + (timedelta() if newest is None else max(gateway.now() - newest, timedelta()))
    print(
        "the copy knows of nothing at all"
        if newest is None
        else f"the newest thing in the copy is of {newest:%Y-%m-%d %H:%M:%S}Z"
    )
    whole = True
    listed = contracts(gateway, channels)
    for channel in channels:
        contract = next((each for each in listed if channel in each), [channel])
        if channel is not contract[0]:
            continue
        try:
            asked = await take_over_contract(gateway, contract)
        except UnknownConnector:
            whole = False
            print(f"{channel.channel_key}: this version does not speak {channel.connector}")
            continue
        whole = whole and not asked.silent
        print(
            f"{channel.channel_key}: {asked.asked} open payments asked about, {asked.booked} booked,"
            f" {asked.silent} not answered, {asked.cannot_ask} cannot be asked about"
        )
        if contract not in listed:
            print("  this PG shows no book: compare its console by hand")
            continue
        result = await compare_books(gateway, contract, span, restored=True)
        print(f"  {result.movements} movements in its book, {len(result.differences)} differences")
        for difference in result.differences:
            print(f"  {difference.ending:<6}  {difference.text()}")
        if result.broken is not None:
            whole = False
            print(f"  not finished: {result.broken}")
    return whole
