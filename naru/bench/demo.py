"""A demo of our own to measure: the command a user has, in a folder and on ports of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

START_SECONDS_MAX = 90.0


class DemoFailed(Exception):
    """The demo did not start; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the parties of a running demo are."""

    gateway: str
    shop: str
    sandbox: str
    database_url: str


@contextlib.asynccontextmanager
async def run_demo(processes: int = 1) -> AsyncIterator[Demo]:
    """Start `naru demo`, its gateway with so many processes, and stop it afterwards. Raises DemoFailed."""
    with tempfile.TemporaryDirectory(prefix="naru-bench-") as home:
        os.chmod(home, 0o711)  # noqa: S103 - the database runs as another user when we are root
        gateway, shop, sandbox = free_ports(3)
        environment = os.environ | {
            "NARU_HOME": home,
            "NARU_PORT": str(gateway),
            "NARU_PROCESSES": str(processes),
            "NARU_SHOP_PORT": str(shop),
            "NARU_SANDBOX_PORT": str(sandbox),
            "NARU_LOG_LEVEL": "warning",
        }
        command = (sys.executable, "-m", "naru.cli.main")
        process = await asyncio.create_subprocess_exec(
            *command, "demo", env=environment, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            await _until_ready(process)
            asking = await asyncio.create_subprocess_exec(
                *command, "doctor", "--database-url", env=environment,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            url, _ = await asking.communicate()
            yield Demo(
                gateway=f"http://127.0.0.1:{gateway}",
                shop=f"http://127.0.0.1:{shop}",
                sandbox=f"http://127.0.0.1:{sandbox}",
                database_url=url.decode().strip(),
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await process.communicate()


async def _until_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            async for line in process.stdout:
                said.append(line.decode(errors="replace"))
                if "Ctrl-C" in said[-1]:
                    return
    except TimeoutError:
        said.append("it did not become ready in time")
    raise DemoFailed("".join(said).strip())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
