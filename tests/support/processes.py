"""`naru serve` and `naru worker` as an operator starts them: processes of their own, with their logs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from naru.cli.orphans import die_with_parent

ROOT = Path(__file__).parents[2]
# Programs start three times as fast when their bytecode is kept, and the environment may forbid it.
BYTECODE = ROOT / ".pytest_cache" / "bytecode"
SECRET = "a root key for processes, 0123456789abcdef"
LOOK_SECONDS = 0.02
START = """
import sys
from naru.cli import main, serve
serve.GRACE_SECONDS = int(sys.argv[1])
sys.exit(main.main(sys.argv[2:]))
"""


@dataclass
class Process:
    """One running command. `url` is where it serves; a worker has none."""

    running: asyncio.subprocess.Process
    log: Path
    url: str

    def said(self) -> str:
        """Everything that it wrote so far."""
        return self.log.read_text("utf-8", "replace")

    async def says(self, words: str, seconds: float = 30) -> None:
        """Wait until it has written these words. AssertionError when it ends or is silent."""
        deadline = time.monotonic() + seconds
        while words not in self.said():
            assert self.running.returncode is None, self.said()
            assert time.monotonic() < deadline, self.said()
            await asyncio.sleep(LOOK_SECONDS)

    async def serves(self, seconds: float = 40) -> None:
        """Wait until `/health` says 200."""
        deadline = time.monotonic() + seconds
        async with aiohttp.ClientSession() as http:
            while await health(http, self.url) != 200:
                assert self.running.returncode is None, self.said()
                assert time.monotonic() < deadline, self.said()
                await asyncio.sleep(LOOK_SECONDS)

    def send(self, kind: signal.Signals) -> None:
        """Send it a signal."""
        self.running.send_signal(kind)

    async def ends(self, seconds: float = 30) -> int:
        """Its exit status. AssertionError when it does not end in time."""
        try:
            return await asyncio.wait_for(self.running.wait(), seconds)
        except TimeoutError:
            raise AssertionError(f"it does not end: {self.said()}") from None


async def health(http: aiohttp.ClientSession, url: str) -> int | None:
    """The status of `/health`; None when nobody answers."""
    try:
        async with http.get(f"{url}/health", timeout=aiohttp.ClientTimeout(5)) as answer:
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return None


@asynccontextmanager
async def naru(
    command: str, dsn: str, home: Path, *, grace: int = 15, **environ: str
) -> AsyncIterator[Process]:
    """`naru serve` or `naru worker` over the database `dsn`; killed at the end if it still runs.

    `grace` is what `naru serve` lets its requests have after SIGTERM.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("NARU_", "PYTHON"))}
    plain |= {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPYCACHEPREFIX": str(BYTECODE),
        "NARU_DATABASE_URL": dsn,
        "NARU_SECRET": SECRET,
        "NARU_HOME": str(home),
        "NARU_PORT": str(port),
        "NARU_ALLOW_PRIVATE_ADDRESSES": "on",
        "NARU_ACCEPT_RISKS": "durability",
    }
    log = home / f"{command}-{port}.log"
    with log.open("ab") as file:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", START, str(grace), command),
            cwd=ROOT,
            env=plain | environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
    try:
        yield Process(running, log, f"http://127.0.0.1:{port}")
    finally:
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGKILL)  # its own children, too
            await running.wait()
