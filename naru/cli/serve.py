"""`naru serve`: the gateway, in one process or several."""

import argparse
import asyncio
import os
from typing import TypedDict

from naru.cli import crash, database, doctor, logs, ports
from naru.config import Settings

GRACE_SECONDS = 15  # What is under way may end: longer than a PG's answer takes (wire: 10 s).


class WhomToBelieve(TypedDict):
    """Two options of uvicorn."""

    proxy_headers: bool
    forwarded_allow_ips: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Serving takes no arguments: all is in the environment."""
    parser.epilog = (
        "Needs NARU_DATABASE_URL and NARU_SECRET; run `naru migrate` first and `naru worker` beside.\n"
        "NARU_PROCESSES processes share the port; one per CPU is right. SIGTERM lets what is under\n"
        f"way end, for {GRACE_SECONDS} s at the most. Put TLS in front and name it in "
        "NARU_TRUSTED_PROXIES."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Serve until a signal comes. Raises CliError, ConfigError before it begins."""
    settings.need_secret()
    url = database.address(settings)
    ports.check(settings.host, settings.port, "NARU_PORT")
    asyncio.run(database.check_ready(url))
    asyncio.run(database.check_root_key(settings, url))
    asyncio.run(doctor.refuse_risks(settings, url))
    logs.set_up(settings)
    # The processes read the environment themselves; the embedded server's address is not in it.
    os.environ["NARU_DATABASE_URL"] = url

    import uvicorn

    uvicorn.run(
        "naru.cli.serve:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        # A line per request would hold tokens: V1 lets them be in the query.
        access_log=False,
        server_header=False,
        **whom_to_believe(settings),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


def whom_to_believe(settings: Settings) -> WhomToBelieve:
    """Whose X-Forwarded-For and X-Forwarded-Proto uvicorn believes: the named proxies', else nobody's.

    Left to itself it would believe whoever calls from this machine.
    """
    proxies = [str(network) for network in settings.trusted_proxies]
    return {"proxy_headers": bool(proxies), "forwarded_allow_ips": proxies}


def create_app() -> object:
    """The ASGI application of one process."""
    from naru import app

    settings = Settings.read()
    logs.set_up(settings)
    if settings.processes > 1:
        # Several processes are started by uvicorn, not by `naru`, which would have armed them.
        crash.arm(os.environ)
    return app.create_app(settings)
