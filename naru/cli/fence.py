"""`naru fence`: nothing leaves this house any more, until `naru unfence`."""

import argparse
import asyncio

from naru.cli import database, lines
from naru.cli.trouble import CliError
from naru.config import Settings

CHARACTERS_MAX = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Why."""
    parser.add_argument("--because", required=True, metavar="TEXT", help="why, for who unfences")
    parser.epilog = (
        "For the script that restores a database, before anything else is started on it. Most copies\n"
        "are found without it; a copy of a stopped server's files is not (docs/how-to/backup.md).\n"
        "Processes that run notice it within two seconds. Safe to repeat.\n"
        'for example:  naru fence --because "restored from the snapshot of last night"'
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write it down. Raises CliError."""
    from naru.domain.text import is_storable

    because: str = arguments.because.strip()
    if not because or not is_storable(because) or len(because) > CHARACTERS_MAX:
        raise CliError(f"Say why in at most {CHARACTERS_MAX} characters: --because TEXT.")
    print(asyncio.run(_fence(settings, because)))
    return 0


async def _fence(settings: Settings, because: str) -> str:
    async with database.open_store(settings) as store, store.begin() as session:
        await session.house.adopt()
        if await session.house.fence(because):
            return "the house is fenced: nothing leaves it until `naru unfence`"
        standing = await session.house.look()
        assert standing is not None
        assert standing.fenced_at is not None
        return (
            f"the house was fenced already at {lines.when(standing.fenced_at)}: {standing.because}"
        )
