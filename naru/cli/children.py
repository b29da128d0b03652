"""A child process of the demo: started, logged, looked after, started again, stopped."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from naru.cli.orphans import die_with_parent
from naru.cli.trouble import CliError

LOG_BYTES = 5_000_000
LINE_BYTES = 8_192
BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STEADY_SECONDS = 60.0  # A child that lived so long starts again without waiting.
START_SECONDS = 40.0
ERRORS_SHOWN = 4
QUIET_SECONDS = 30.0
ASK_SECONDS = 5.0
_CONSEQUENCE = "Application startup failed"  # uvicorn's last words follow the reason
_ERROR = re.compile(r"\b(ERROR|CRITICAL)\b|^Traceback |^[A-Za-z_.]+(Error|Exception)\b")


class Child:
    """One program and its log file. `say` gets a sentence for the person at the terminal."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        say: Callable[[str], None],
        *,
        health_url: tuple[str, int, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environ = dict(environ)
        self._say = say
        self._health = health_url
        self._process: asyncio.subprocess.Process | None = None
        self._last_lines: deque[str] = deque(maxlen=20)
        self._shown: deque[float] = deque()
        self._stopping = False
        self._guard: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None when it is not running."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it, once, without waiting for it to answer."""
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._last_lines.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
            # Ctrl-C at the terminal is for the demo, which stops its children in order.
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        self._pump = asyncio.create_task(self._keep_log(self._process))

    async def wait_until_ready(self) -> None:
        """Return when it answers at its address, then look after it. Raises CliError."""
        deadline = time.monotonic() + START_SECONDS
        process = self._process
        assert process is not None
        while self._health is not None and not await answers(*self._health):
            if process.returncode is not None or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        else:
            if process.returncode is None:
                self._guard = asyncio.create_task(self._look_after())
                return
        if self._pump is not None and process.returncode is not None:
            await self._pump
        why = _ending(process.returncode) if process.returncode is not None else "no answer in time"
        raise CliError(
            f"The {self.name} does not start ({why}): {self._last_words()} (see {self.log})."
        )

    async def stop(self, seconds: float) -> None:
        """Ask it to end, wait, then end it and whatever it has started."""
        self._stopping = True
        if self._guard is not None:
            self._guard.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._guard
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), seconds)
            except TimeoutError:
                self._say(f"the {self.name} does not stop by itself; ending it")
        # Its own children are in its group, also those that outlived it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._pump is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pump, 1.0)

    async def _look_after(self) -> None:
        tries = 0
        while True:
            assert self._process is not None
            began = time.monotonic()
            ended = await self._process.wait()
            if time.monotonic() - began > STEADY_SECONDS:
                tries = 0
            wait = BACK_OFF_SECONDS[min(tries, len(BACK_OFF_SECONDS) - 1)]
            tries += 1
            why = _ending(ended) if ended < 0 else f"{_ending(ended)}: {self._last_words()}"
            self._say(f"the {self.name} ended ({why}); starting it again in {wait:g} s")
            await asyncio.sleep(wait)
            await self.start()

    def _last_words(self) -> str:
        said = [line for line in self._last_lines if line.strip() and _CONSEQUENCE not in line]
        return ([line for line in said if _ERROR.search(line)] or said or ["no words"])[-1][:300]

    async def _keep_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        rest = b""
        with _Log(self.log) as log:
            while piece := await process.stdout.read(65_536):
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    log.write(line)
                    self._notice(line)
            if rest:
                log.write(rest)
                self._notice(rest)

    def _notice(self, line: bytes) -> None:
        # A terminal must not obey what a stranger's request put into a log line.
        text = "".join(
            character if character.isprintable() else " "
            for character in line[:LINE_BYTES].decode("utf-8", "replace")
        )
        self._last_lines.append(text)
        if not self._stopping and _ERROR.search(text):
            self._show_error(text)

    def _show_error(self, text: str) -> None:
        """A few lines at a time: an error that comes a hundred times a second is one piece of news."""
        now = time.monotonic()
        while self._shown and now - self._shown[0] > QUIET_SECONDS:
            self._shown.popleft()
        if len(self._shown) < ERRORS_SHOWN:
            self._say(f"{self.name}: {text[:300]}")
        elif len(self._shown) == ERRORS_SHOWN:
            self._say(f"{self.name}: more errors are in {self.log}")
        if len(self._shown) <= ERRORS_SHOWN:
            self._shown.append(now)


class _Log:
    """A log file of limited size: full, it becomes `.1` and a new one begins."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "_Log":
        self._file = self._path.open("ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, line: bytes) -> None:
        if self._file.tell() > LOG_BYTES:
            self._file.close()
            self._path.replace(self._path.with_suffix(".log.1"))
            self._file = self._path.open("ab")
        with contextlib.suppress(OSError):  # A full disk must not stop the payments.
            self._file.write(line + b"\n")
            self._file.flush()


async def answers(host: str, port: int, path: str) -> bool:
    """Does somebody there speak HTTP and not complain of itself?"""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                ask = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(ask.encode("ascii"))
                words = (await reader.readline()).split()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1] < b"500"


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
