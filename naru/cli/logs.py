"""One shape of log line for every process: time, level, who, what."""

import logging
import time

from naru.config import Settings


def set_up(settings: Settings) -> None:
    """Send the logs of this process to stderr in UTC. Called once, before anything logs."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)sZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    # Libraries speak of every request below this level, with addresses and their queries.
    for name in ("asyncio", "aiohttp", "pgqueuer", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
