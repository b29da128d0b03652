"""`naru worker`: what happens because its time has come."""

import argparse
import asyncio
import dataclasses
import signal

from naru.cli import database, doctor, logs
from naru.cli.trouble import CliError
from naru.config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Working takes no arguments: all is in the environment."""
    parser.epilog = (
        "Delivers webhooks, finds out what became of doubtful payments, lets due dates pass.\n"
        "Run as many as you like: they share the work, and a dead one's work goes on elsewhere."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Work until SIGTERM or Ctrl-C; what runs then is finished first. Raises CliError."""
    settings.need_secret()
    settings = dataclasses.replace(settings, database_url=database.address(settings))
    asyncio.run(_work(settings))
    return 0


async def _work(settings: Settings) -> None:
    from naru.app import open_gateway
    from naru.jobs.worker import work
    from naru.store import StoreUnavailable

    assert settings.database_url is not None
    await database.check_ready(settings.database_url)
    await database.check_root_key(settings, settings.database_url)
    await doctor.refuse_risks(settings, settings.database_url)
    logs.set_up(settings)
    stop = asyncio.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    try:
        async with open_gateway(settings) as gateway:
            await work(gateway, settings.database_url, stop)
    except StoreUnavailable as error:
        raise CliError(f"{error}.") from error
