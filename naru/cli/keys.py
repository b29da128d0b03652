"""`naru keys …`: the keys under which secrets and personal data are sealed, and their rotation."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from naru.cli import database, lines
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from naru.store import Store


ALONE = "list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru keys`."""
    parser.epilog = (
        "A new data key:  naru keys rotate, two minutes later naru keys reseal and retire ID\n"
        "A new root key:  set NARU_SECRET to the new one and NARU_SECRET_OLD to the old one\n"
        "                 everywhere, then naru keys rewrap, then take NARU_SECRET_OLD away\n"
        "Nothing has to be stopped. docs/how-to/keys.md tells it step by step."
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    verbs.add_parser("list", help="every data key, and how much it seals")
    verbs.add_parser("rotate", help="a new data key, which seals from now on")
    reseal = verbs.add_parser(
        "reseal", help="seal everything with the newest data key; goes on where it was stopped"
    )
    reseal.add_argument(
        "--batch", type=int, default=500, metavar="N", help="rows per transaction (500)"
    )
    retire = verbs.add_parser("retire", help="remove a data key that seals nothing any more")
    retire.add_argument("id", type=int)
    verbs.add_parser("rewrap", help="seal the data keys themselves with a new root key")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the verb says. 1 when something sealed does not open."""
    settings.need_secret()
    if arguments.verb == "rotate" and settings.secret_old is not None:
        # Processes that still run with the old root key could not open the new data key.
        raise CliError(
            "The root key is being changed: run `naru keys rewrap`, take NARU_SECRET_OLD away "
            "everywhere, then rotate."
        )
    return asyncio.run(_run(arguments, settings))


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from naru.store.keys import KeyInUse

    async with database.open_store(settings) as store:
        try:
            match arguments.verb:
                case "reseal":
                    return await _reseal(store, arguments.batch)
                case "list":
                    await _list(store)
                case "rotate":
                    # A transaction says who acts; a statement by itself would be the gateway's.
                    async with store.begin() as session:
                        made = await session.keys.rotate()
                    print(f"data key {made} seals from now on")
                case "retire":
                    async with store.begin() as session:
                        await session.keys.retire(arguments.id)
                    print(f"data key {arguments.id} is gone for ever")
                case "rewrap":
                    async with store.begin() as session:
                        print(f"{await session.keys.rewrap()} data keys are under NARU_SECRET")
        except KeyInUse as error:
            raise CliError(f"{error}.") from error
    return 0


async def _list(store: "Store") -> None:
    async with store.direct() as session:
        for key in await session.keys.used():
            counts = ", ".join(f"{count} {name}" for name, count in key.sealed.items() if count)
            print(f"{key.id:>4}  {lines.when(key.made_at)}  {counts or 'seals nothing'}")


async def _reseal(store: "Store", batch: int) -> int:
    from naru.store.keys import reseal

    moved, broken = await reseal(store, max(1, min(batch, 10_000)))
    print(f"{moved} sealed anew")
    for sentence in broken:
        print(f"left as it is: {sentence}")
    return 1 if broken else 0
