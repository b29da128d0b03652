"""Write naru/store/migrations/schema.sql: what all migrations add up to, for people to read.

Run it after adding a migration: `.venv/bin/python -m tools.dump_schema`. A test compares the file
with the migrations, so it cannot grow old. The job library's own tables are not in it.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
from pathlib import Path

import asyncpg

from naru.cli.postgres import Postgres
from naru.store.migrate import files

SCHEMA = Path(__file__).parent.parent / "naru" / "store" / "migrations" / "schema.sql"
_HEAD = "-- What all migrations add up to. Written by tools/dump_schema.py; do not edit.\n\n"


def dump_schema(server: Postgres, database: str) -> str:
    """The schema of an empty database after all migrations. Makes and fills `database`."""
    server.create_database(database)
    asyncio.run(_apply(server.url(database)))
    return read_schema(server, server.url(database))


def read_schema(server: Postgres, url: str) -> str:
    """The schema of this database in PostgreSQL's own words, without settings and comments."""
    done = subprocess.run(
        [server.program("pg_dump"), "--schema-only", "--no-owner", "--no-privileges", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [
        line
        for line in done.stdout.splitlines()
        if not re.match(r"--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict", line)
    ]
    body = re.sub(r"\n{2,}", "\n\n", "\n".join(lines)).strip()
    return _HEAD + body.replace("public.", "") + "\n"


async def _apply(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for _, sql in files():
            await connection.execute(sql)
    finally:
        await connection.close()


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory(prefix="naru-schema-") as folder:
        home = Path(folder)
        # Root lends the server to another user, who must be able to pass through.
        home.chmod(0o711)
        with Postgres(home, durable=False) as server:
            SCHEMA.write_text(dump_schema(server, "naru_schema"), "utf-8")
    print(f"written: {SCHEMA.name}")


if __name__ == "__main__":
    main()
