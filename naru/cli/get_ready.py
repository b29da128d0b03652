"""Before serving or working: look at everything, and wait for a database that is not there yet.

When a machine boots, or `docker compose up` starts all at once, we are ready before PostgreSQL is.
"""

import asyncio
import logging
import signal
from types import FrameType

from naru.cli import database, doctor
from naru.cli.trouble import CliError
from naru.config import Settings

log = logging.getLogger("naru.cli")

LOOK_SECONDS = 0.5


async def get_ready(settings: Settings, url: str) -> None:
    """Return when the database answers and everything is as it must be. Raises CliError.

    What ends by itself is waited for, NARU_START_WAIT seconds at the most. A wrong password, a
    missing database and missing migrations do not: they are told at once. Migrations come first and
    processes after them (docs/how-to/upgrade.md), so there is nobody whom waiting would help.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    waited = False
    while True:
        try:
            await database.check_ready(url)
            await database.check_root_key(settings, url)
            await doctor.refuse_risks(settings, url)
            break
        except Exception as error:
            sentence = str(error) if isinstance(error, CliError) else database.explain(error)
            if not database.is_away(error) or loop.time() - began >= settings.start_wait:
                raise CliError(sentence) from error
            if not waited:
                log.warning("waiting for the database, %d s: %s", settings.start_wait, sentence)
                waited = True
            await asyncio.sleep(LOOK_SECONDS)
    if waited:
        log.warning("the database is there, after %.1f s", loop.time() - began)


def end_at_sigterm() -> None:
    """From now on SIGTERM ends this process at once with status 0, until somebody else listens.

    The default would do as much, but not for the first process of a container, and not with 0.
    """
    signal.signal(signal.SIGTERM, _end)


def _end(kind: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
