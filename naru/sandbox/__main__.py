"""`python -m naru.sandbox`: run the sandbox PG."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from starlette.types import ASGIApp

from naru.sandbox.app import create_app
from naru.sandbox.server import server
from naru.sandbox.watched import DieBeforeAnswer, RequestLog, read_moment


def main() -> int:
    """Serve until a signal; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m naru.sandbox",
        description="A pretend PG with card companies, banks, windows and a ledger of its own.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8802, help="port to listen on")
    parser.add_argument(
        "--database", type=Path, default=Path("sandbox.sqlite3"), help="file of the ledger"
    )
    parser.add_argument(
        "--public-url",
        help="what browsers see, such as https://pg.example (default: host and port)",
    )
    parser.add_argument(
        "--request-log", type=Path, help="file that gets a line for every question about money"
    )
    parser.add_argument(
        "--die-before-answer",
        metavar="PATH:N",
        type=read_moment,
        help="for tests: kill this process when the N-th answer of that path is ready, unsent",
    )
    given = parser.parse_args()
    public_url = given.public_url or f"http://{given.host}:{given.port}"
    try:
        app: ASGIApp = create_app(given.database, public_url)
        if given.die_before_answer:
            app = DieBeforeAnswer(app, *given.die_before_answer)
        if given.request_log:
            app = RequestLog(app, given.request_log)
        server(app, given.host, given.port).run()
    except (OSError, sqlite3.Error) as error:
        sys.stderr.write(f"sandbox: cannot start with {given.database}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
