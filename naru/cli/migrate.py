"""`naru migrate`: bring the database to this version."""

import argparse
import asyncio

from naru.cli import database
from naru.cli.trouble import CliError
from naru.config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Migrating takes no arguments; run it before the new version's processes start."""
    parser.epilog = "Safe to repeat, and to run from several machines at once: one of them works."


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Apply what is missing and say what it was. Raises CliError."""
    from naru.store.migrate import StillRunning

    try:
        applied = asyncio.run(database.migrate(database.address(settings), settings.secret))
    except StillRunning as error:
        raise CliError(f"{error}.") from error
    for name in applied:
        print(f"applied {name}")
    print("the database is up to date" if not applied else f"{len(applied)} applied")
    return 0
