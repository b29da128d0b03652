"""`naru worker`: what happens because its time has come."""

import argparse
import asyncio
import dataclasses
import signal

from naru.cli import database, logs
from naru.cli.get_ready import end_at_sigterm, get_ready
from naru.config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Working takes no arguments: all is in the environment."""
    parser.epilog = (
        "Delivers webhooks, finds out what became of doubtful payments, lets due dates pass.\n"
        "Run as many as you like: they share the work, and a dead one's work goes on elsewhere.\n"
        "Waits NARU_START_WAIT seconds for a database that is not there yet."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Work until SIGTERM or Ctrl-C; what runs then is finished first. Raises CliError."""
    settings.need_secret()
    settings = dataclasses.replace(settings, database_url=database.address(settings))
    logs.set_up(settings)
    end_at_sigterm()
    asyncio.run(_work(settings))
    return 0


async def _work(settings: Settings) -> None:
    from naru.app import open_gateway
    from naru.jobs.worker import work

    assert settings.database_url is not None
    await get_ready(settings, settings.database_url)
    stop = asyncio.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    async with open_gateway(settings, at_once=False) as gateway:
        await work(gateway, settings.database_url, stop)
