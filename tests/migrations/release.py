"""Trees of other versions, and a house whose gateway and worker come from one of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.killing.house import (
    BYTECODE,
    ROOT,
    START_SECONDS,
    Database,
    Program,
    _free_ports,
)

PREVIOUS = (Path(__file__).parent / "previous_release.txt").read_text("ascii").strip()

# Run by the tree's own code: what a merchant is in the database differs from version to version.
SEED = """
import asyncio, sys
from naru.cli import seed
from naru.config import Settings
from naru.store import Store

async def main(database, sandbox, shop):
    key = Settings.read().need_secret()
    try:
        store = await Store.open(database, 2, root_key=key)
    except TypeError:
        store = await Store.open(database, 2)
    merchant = await seed.demo_merchant(store, sandbox_url=sandbox, shop_url=shop, root_key=key)
    async with store.begin() as tx:
        channels = await tx.channels.of_merchant(merchant.id)
        old = await tx.merchants.add("오래된 상점", ["imp99999999"], live=False, webhook_secret="whsec_b2xk")
        await seed.sandbox_channels(tx, old, sandbox, key)
        channel = (await tx.channels.of_merchant(old))[0]
    await seed.join_sandbox(channels)
    await store.close()
    print(old, channel.id)

asyncio.run(main(*sys.argv[1:]))
"""

# A life for each: paid, a third of them partly given back, as the store's own statements would.
ROWS = """
INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface,
    pay_method, step, event, amount, currency, pg_order_no, started_at)
SELECT 'imp_99' || lpad(n::text, 10, '0'), $1, 'old-' || n, $2, 'kakaopay', 'TC0ONETIME', true, 'pc',
    'card', 'opened', 'opened', 1000 + n % 9000, 'KRW', 'old-' || n, now()
  FROM generate_series($3::bigint, $4::bigint) n;
INSERT INTO intents (imp_uid, kind, number, amount, opened_at)
SELECT imp_uid, 'approve', pg_order_no, amount, now() FROM payments
 WHERE merchant_id = $1 AND step = 'opened';
UPDATE payments SET step = 'approving', event = 'authenticated', version = 2, approving_at = now()
 WHERE merchant_id = $1 AND step = 'opened';
UPDATE intents SET state = 'done', closed_at = now()
 WHERE kind = 'approve' AND state = 'open' AND number LIKE 'old-%';
UPDATE payments SET step = 'paid', event = 'approved', version = 3, paid_at = now(),
    pg_tid = 'tid-' || imp_uid
 WHERE merchant_id = $1 AND step = 'approving';
"""


class NoHistory(Exception):
    """A shallow clone: the previous release is not in it."""


def previous_release(folder: Path) -> Path:
    """The tree of the previous release, below `folder`. Raises NoHistory."""
    packed = subprocess.run(
        ["git", "archive", PREVIOUS, "naru"], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode != 0:
        raise NoHistory(packed.stderr.decode("utf-8", "replace").strip())
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return folder


def next_release(folder: Path, migrations: Mapping[str, str]) -> Path:
    """Today's tree with these migrations after its own: what a coming release would be."""
    shutil.copytree(
        ROOT / "naru", folder / "naru", ignore=shutil.ignore_patterns("__pycache__"), symlinks=True
    )
    for name, sql in migrations.items():
        (folder / "naru" / "store" / "migrations" / name).write_text(sql, "utf-8")
    return folder


@dataclass
class House:
    """Everybody's addresses and programs; `versions` are the trees, by name."""

    home: Path
    database: Database
    sandbox: Program
    sandbox_url: str
    public: str
    ledger: Path
    trees: Mapping[str, Path]
    old_merchant: int = 0
    old_channel: int = 0
    _environ: Mapping[str, str] | None = None

    def program(self, tree: str, what: str) -> Program:
        """`serve` or `worker` of one of the trees, not yet started; all of them serve one address."""
        more = {"health": f"{self.public}/health"} if what == "serve" else {}
        log = self.home / "logs" / f"{tree}-{what}.log"
        return Program(f"{tree} {what}", ["naru.cli.main", what], self.environ(tree), log, **more)

    def environ(self, tree: str) -> dict[str, str]:
        """The settings of a process of this tree."""
        assert self._environ is not None
        return {**self._environ, "PYTHONPATH": str(self.trees[tree])}

    async def naru(self, tree: str, *words: str, seconds: float = START_SECONDS) -> tuple[int, str]:
        """Run one command of a tree; its exit status and all it said."""
        return await self._run(tree, "-P", "-m", "naru.cli.main", *words, seconds=seconds)

    async def seed(self, tree: str, shop: str) -> None:
        """The demo's merchant, and one with a past and no address for webhooks."""
        status, said = await self._run(
            tree, "-P", "-c", SEED, self.database.url, self.sandbox_url, shop
        )
        assert status == 0, said
        self.old_merchant, self.old_channel = map(int, said.split()[-2:])

    async def age(self, rows: int) -> None:
        """Give the old merchant so many paid payments."""
        connection = await asyncpg.connect(self.database.url)
        try:
            for first in range(1, rows + 1, 50_000):
                last = min(rows, first + 49_999)
                numbers = (self.old_merchant, self.old_channel, first, last)
                text = ROWS
                for place, number in enumerate(numbers, 1):
                    text = text.replace(f"${place}", str(number))
                await connection.execute(text)
            await connection.execute("ANALYZE")
        finally:
            await connection.close()

    async def _run(
        self, tree: str, *command: str, seconds: float = START_SECONDS
    ) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            env=self.environ(tree),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), seconds)
        return process.returncode or 0, said.decode("utf-8", "replace")

    def logs(self, lines: int = 15) -> str:
        """The end of every log, for a failing test."""
        return "\n".join(
            f"--- {path.name}\n"
            + "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])
            for path in sorted((self.home / "logs").glob("*.log"))
        )


@contextlib.asynccontextmanager
async def open_house(trees: Mapping[str, Path]) -> AsyncIterator[House]:
    """A database that writes down every wait for a lock, and a sandbox PG; nobody else yet."""
    home = Path(tempfile.mkdtemp(prefix=f"naru-migrations-{os.getpid()}-"))
    home.chmod(0o711)  # Root lends PostgreSQL to another user, who must be able to pass.
    (home / "logs").mkdir(mode=0o711)
    sandbox_port, port = _free_ports(2)
    public, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("NARU_", "PYTHON"))}
    plain |= {"PYTHONUNBUFFERED": "1", "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    ledger = home / "sandbox.sqlite"
    database = Database(home, durable=False)
    sandbox = Program(
        "sandbox",
        ["naru.sandbox", "--port", str(sandbox_port), "--database", str(ledger)],
        {**plain, "PYTHONPATH": str(ROOT)},
        home / "logs" / "sandbox.log",
        health=f"{sandbox_url}/cards",
    )
    try:
        await database.start()
        sandbox.start()
        connection = await asyncpg.connect(database.url)
        for setting in (
            "log_lock_waits = on",
            "deadlock_timeout = '1s'",
            "log_line_prefix = '%a|'",
        ):
            await connection.execute(f"ALTER SYSTEM SET {setting}")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        environ = plain | {
            "NARU_DATABASE_URL": database.url,
            "NARU_SECRET": secrets.token_hex(32),
            "NARU_HOME": str(home),
            "NARU_PUBLIC_URL": public,
            "NARU_PORT": str(port),
            "NARU_ALLOW_PRIVATE_ADDRESSES": "on",
            "NARU_LOG_LEVEL": "warning",
            "NARU_ACCEPT_RISKS": "durability",
        }
        await sandbox.ready()
        yield House(home, database, sandbox, sandbox_url, public, ledger, trees, _environ=environ)
    finally:
        await sandbox.stop()
        await database.stop()
        shutil.rmtree(database.server.folder, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
