"""`naru demo` in a process of its own: gateway, worker, sandbox PG and shop, as a visitor starts it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

READY_SECONDS = 90  # Generous: every core may be busy with other tests.


class Demo:
    """A demo in a process of its own, with ports that nobody uses."""

    def __init__(self, home: Path, **environ: str) -> None:
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.gateway, self.shop, self.sandbox = (probe.getsockname()[1] for probe in probes)
        for probe in probes:
            probe.close()
        plain = {name: text for name, text in os.environ.items() if not name.startswith("NARU_")}
        self.environ = plain | {
            "NARU_HOME": str(home),
            "NARU_PORT": str(self.gateway),
            "NARU_SHOP_PORT": str(self.shop),
            "NARU_SANDBOX_PORT": str(self.sandbox),
            **environ,
        }
        self.home = home
        self.said: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "Demo":
        """Start it; what it says is collected by a thread."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "naru.cli.main", "demo"],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line.rstrip("\n"))

    @property
    def process(self) -> subprocess.Popen[str]:
        """The demo itself."""
        assert self._process is not None
        return self._process

    @property
    def text(self) -> str:
        """All that it has said."""
        return "\n".join(self.said)

    def wait_for(self, words: str, seconds: float = READY_SECONDS) -> None:
        """Wait until it says these words."""
        deadline = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < deadline, f"it never said {words!r}:\n{self.text}"
            assert self.process.poll() is None, f"it ended:\n{self.text}"
            time.sleep(0.02)

    def children(self) -> dict[str, int]:
        """The processes it has started, by what they are."""
        names = {"naru.sandbox": "sandbox", "naru.shop": "shop", "serve": "gateway"}
        names |= {"worker": "worker", "postgres": "postgres"}
        found: dict[str, int] = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) != self.process.pid:
                    continue
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                for word in words:
                    name = names.get(word.rpartition("/")[2])
                    if name:
                        found[name] = int(entry.name)
                        break
        return found

    def get(self, port: int, path: str) -> int:
        """The status of one page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return int(answer.status)

    def stop(self, kind: signal.Signals = signal.SIGINT) -> float:
        """Send a signal, wait; answers how long it took."""
        began = time.monotonic()
        self.process.send_signal(kind)
        self.process.wait(30)
        return time.monotonic() - began
