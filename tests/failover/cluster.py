"""Three machines on loopback: etcd, Patroni and PostgreSQL on each, HAProxy before them.

Their configuration is read from docs/how-to/high-availability.md; only addresses, ports and folders
are put in. A machine is lost, paused and brought back as a whole. Patroni refuses to run as root:
then everything runs as the user `postgres`, in a folder that this user may reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from naru.cli.orphans import die_with_parent

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "high-availability.md"
PROGRAMS = {
    "etcd": "etcd-server",
    "patroni": "patroni",
    "haproxy": "haproxy",
    "/usr/lib/postgresql/15/bin/postgres": "postgresql-15",
}
NAMES = ("db1", "db2", "db3")
# The ports of the page; on loopback others are free.
PORTS = ("2379", "2380", "5000", "5432", "8008")
SETTLE_SECONDS = 150.0
LOOK_SECONDS = 0.1
REAP_SECONDS = 0.3
ADMIN_PASSWORD = "CHANGE-ME-1"  # as the page says: nobody but this machine reaches it here
_PR_SET_CHILD_SUBREAPER = 36


class NeverSettled(Exception):
    """The cluster did not come to rest; the text says how it stood."""


def missing_packages() -> list[str]:
    """Debian's packages that must be installed before anything can be started here."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [
        package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)
    ]


def snippet(begins: str) -> str:
    """The fenced block of the page that begins with these characters."""
    found = re.findall(r"^```\w+\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    [one] = [block for block in found if block.startswith(begins)]
    return str(one)


class Machine:
    """One of the three. `address` is its own on loopback."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.name = NAMES[number]
        self.address = f"127.0.0.{11 + number}"
        self.folder = cluster.home / self.name
        self.data = self.folder / "data"
        self._cluster = cluster
        self._processes: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Write its files."""
        self.folder.mkdir(mode=0o700)
        patroni = self._cluster.put_in(snippet("scope:"), self)
        patroni = patroni.replace("/var/lib/postgresql/15/naru", str(self.data))
        patroni = patroni.replace("/var/run/postgresql", str(self.folder))
        (self.folder / "patroni.yml").write_text(patroni)
        self._cluster.give(self.folder)

    def start(self) -> None:
        """Switch it on."""
        text = self._cluster.put_in(snippet("ETCD_"), self)
        text = text.replace("/var/lib/etcd/naru", str(self.folder / "etcd"))
        settings = dict(line.split("=", 1) for line in text.splitlines())
        self._processes = [
            self._cluster.run(self.name, ["etcd"], settings),
            self._cluster.run(self.name, ["patroni", str(self.folder / "patroni.yml")], {}),
        ]

    def look(self) -> None:
        """Raises NeverSettled when one of its programs has given up."""
        for process in self._processes:
            if process.poll() is not None:
                raise NeverSettled(f"{self.name}: {process.args} ended {process.returncode}")

    @property
    def postmaster(self) -> int | None:
        """The process id of its PostgreSQL, if one runs."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    @property
    def receivers(self) -> list[int]:
        """The processes that receive the primary's log here."""
        pids = _family(self.postmaster)
        return [pid for pid in pids if b"walreceiver" in _command(pid)]

    def lose(self) -> None:
        """Everything on it is gone at once: the machine lost its power, but not its disk."""
        pids = self._pids()
        _send(pids, signal.SIGSTOP)  # nobody says goodbye while the others die
        _send(pids, signal.SIGKILL)
        self._reap(pids)

    def kill_postgres(self) -> None:
        """Only PostgreSQL dies; Patroni is there to see it."""
        pids = _family(self.postmaster)
        _send(pids, signal.SIGKILL)

    def pause(self) -> None:
        """Everything on it stands still, as on a machine that swaps or is moved."""
        _send(self._pids(), signal.SIGSTOP)

    def resume(self) -> None:
        """Everything on it goes on, and knows nothing of the pause."""
        _send(self._pids(), signal.SIGCONT)

    def lose_etcd(self) -> None:
        """Only its etcd dies."""
        self._processes[0].kill()
        self._processes[0].wait()

    def start_etcd(self) -> None:
        """Its etcd comes back."""
        patroni = self._processes[1]
        text = self._cluster.put_in(snippet("ETCD_"), self)
        text = text.replace("/var/lib/etcd/naru", str(self.folder / "etcd"))
        settings = dict(line.split("=", 1) for line in text.splitlines())
        self._processes = [self._cluster.run(self.name, ["etcd"], settings), patroni]

    def _pids(self) -> list[int]:
        running = [each.pid for each in self._processes if each.poll() is None]
        return [*running, *_family(self.postmaster)]

    def _reap(self, pids: Sequence[int]) -> None:
        """A killed postmaster that nobody reaped keeps its lock: its orphans have come to us."""
        for process in self._processes:
            process.wait()
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


class Cluster:
    """All of it. `synchronous=False` is the control: the same without waiting for a standby."""

    def __init__(self, home: Path, *, synchronous: bool = True) -> None:
        self.home = home
        self.synchronous = synchronous
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self._ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self.machines = [Machine(self, number) for number in range(len(NAMES))]
        self._balancer: subprocess.Popen[bytes] | None = None
        self._reaping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The address behind which HAProxy finds the primary."""
        return f"postgresql://postgres:{ADMIN_PASSWORD}@127.0.0.1:{self._ports['5000']}/naru"

    def url_of(self, machine: Machine, database: str = "naru") -> str:
        """One machine's own address, for whoever wants to go round HAProxy."""
        port = self._ports["5432"]
        return f"postgresql://postgres:{ADMIN_PASSWORD}@{machine.address}:{port}/{database}"

    async def start(self) -> None:
        """Switch everything on; returns when a primary has its standbys, and the database is there."""
        # Whatever loses its parent comes to us. Patroni waits for a PostgreSQL that nobody reaps.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._reaping = asyncio.create_task(_reap_orphans())
        self.home.chmod(0o711)
        (self.home / "logs").mkdir(exist_ok=True)
        for machine in self.machines:
            machine.prepare()
            machine.start()
        balancer = self.home / "haproxy.cfg"
        balancer.write_text(self.put_in(snippet("global")))
        balancer.chmod(0o644)
        self._balancer = self.run("haproxy", ["haproxy", "-db", "-f", str(balancer)], {})
        primary = await self.settled()
        connection = await asyncpg.connect(self.url_of(primary, "postgres"), timeout=10)
        await connection.execute("CREATE DATABASE naru")
        await connection.close()

    def stop(self) -> None:
        """Switch everything off."""
        if self._reaping is not None:
            self._reaping.cancel()
        for machine in self.machines:
            machine.resume()
            machine.lose()
        if self._balancer is not None:
            self._balancer.kill()
            self._balancer.wait()

    async def settled(self) -> Machine:
        """Wait until there is a primary with two standbys, one of them synchronous. Raises NeverSettled."""
        deadline = time.monotonic() + SETTLE_SECONDS
        seen: Any = None
        while time.monotonic() < deadline:
            for machine in self.machines:
                machine.look()
            primary = await self.primary()
            if primary is not None:
                seen = await self._standbys(primary)
                if sorted(seen) == (["async", "sync"] if self.synchronous else ["async"] * 2):
                    return primary
            await asyncio.sleep(LOOK_SECONDS)
        raise NeverSettled(f"primary {primary and primary.name}, standbys {seen}")

    async def primary(self) -> Machine | None:
        """Who says of itself that it is the primary, now."""
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for machine in self.machines:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with http.get(self._rest(machine, "primary")) as answer:
                        if answer.status == 200:
                            return machine
        return None

    async def switch_over(self, primary: Machine) -> None:
        """Ask Patroni to hand the primary's work to another machine."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            asked = {"leader": primary.name}
            async with http.post(self._rest(primary, "switchover"), json=asked) as answer:
                assert answer.status in (200, 202), await answer.text()

    def put_in(self, text: str, machine: Machine | None = None) -> str:
        """The page's text for this machine: its name and addresses, our ports, our mode."""
        if machine is not None:
            # db1's name and address stand for its own, except where all three are listed.
            lines = [
                line
                if "10.0.0.12" in line
                else re.sub(r"\bdb1\b", machine.name, line).replace("10.0.0.11", machine.address)
                for line in text.splitlines(keepends=True)
            ]
            text = "".join(lines)
        text = text.replace("10.0.0.0/24", "127.0.0.0/8").replace("10.0.0.1", "127.0.0.1")
        for port, ours in self._ports.items():
            text = re.sub(rf"(?<=[: ]){port}\b", str(ours), text)
        if not self.synchronous:
            text = re.sub(r"(synchronous_mode\w*): true", r"\1: false", text)
        return text

    def give(self, folder: Path) -> None:
        """Let the unprivileged user have this folder and what is in it."""
        if self._user is not None:
            for path in [folder, *folder.iterdir()]:
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
                path.chmod(0o700)

    def run(
        self, name: str, command: Sequence[str], settings: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start one program, as nobody's superuser; it does not outlive us."""
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        user = self._user
        who: dict[str, Any] = {}
        if user is not None:
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={"PATH": path, "HOME": str(self.home / name), "LANG": "C.UTF-8", **settings},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM) if sys.platform == "linux" else None,
                **who,
            )

    def _rest(self, machine: Machine, path: str) -> str:
        return f"http://{machine.address}:{self._ports['8008']}/{path}"

    async def _standbys(self, primary: Machine) -> list[str]:
        try:
            connection = await asyncpg.connect(self.url_of(primary, "postgres"), timeout=5)
            try:
                rows = await connection.fetch(
                    "SELECT sync_state FROM pg_stat_replication"
                    " WHERE state = 'streaming' AND application_name LIKE 'db_'"
                )
            finally:
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return []
        return [row["sync_state"] for row in rows]


def stall(machines: Sequence[Machine]) -> list[int]:
    """Stop the standbys' receivers, whose process ids are returned: nothing is replicated any more."""
    pids = [pid for machine in machines for pid in machine.receivers]
    _send(pids, signal.SIGSTOP)
    return pids


def go_on(pids: Sequence[int]) -> None:
    """The end of `stall`. What had reached the standbys' kernels and was not read yet is lost.

    Otherwise a receiver that wakes up would read it all from its socket, and the stall be none.
    """
    _send(pids, signal.SIGTERM)
    _send(pids, signal.SIGCONT)


def _family(pid: int | None) -> list[int]:
    if pid is None:
        return []
    found = [pid]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


async def _reap_orphans() -> None:
    while True:
        for pid in _family(os.getpid())[1:]:
            if _name(pid) == "postgres":
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        await asyncio.sleep(REAP_SECONDS)


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _send(pids: Sequence[int], kind: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, kind)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody uses on any loopback address."""
    probes = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
