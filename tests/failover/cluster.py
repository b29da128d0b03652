"""Three machines on a network of our own: etcd, Patroni and PostgreSQL on each, HAProxy before them.

Their configuration is read from docs/how-to/high-availability.md, addresses and ports as they stand
there; only folders are put in. A machine is lost, paused, cut off and brought back as a whole.
Patroni refuses to run as root: everything runs as `postgres`, in a folder that this user may reach.
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
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from naru.cli.orphans import die_with_parent
from tests.failover.network import Plug, own_network
from tests.killing.disk import SmallDisk, own_namespace

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "how-to" / "high-availability.md"
PROGRAMS = {
    "etcd": "etcd-server",
    "patroni": "patroni",
    "haproxy": "haproxy",
    "/usr/lib/postgresql/15/bin/postgres": "postgresql-15",
}
NAMES = ("db1", "db2", "db3")
BALANCER_PORT, POSTGRES_PORT, PATRONI_PORT, ETCD_PORT = 5000, 5432, 8008, 2379
SETTLE_SECONDS = 150.0
LOOK_SECONDS = 0.1
DISK_MEGABYTES = 1_500
REAP_SECONDS = 0.3
RESTART_SECONDS = 60.0
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
    """One of the three. `address` is its own, `plug` its cable to the others."""

    def __init__(self, cluster: Cluster, number: int, small_disk: bool) -> None:
        self.name = NAMES[number]
        self.address = f"10.0.0.{11 + number}"
        self.plug = Plug(self.name, self.address)
        self.folder = cluster.home / self.name
        self.data = self.folder / "data"
        self.disk = SmallDisk(self.folder, DISK_MEGABYTES) if small_disk else None
        self._clock = cluster.home / f"{self.name}.clock"
        self._cluster = cluster
        self._processes: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Write its files."""
        self.folder.mkdir(mode=0o700, exist_ok=self.disk is not None)
        patroni = self._cluster.put_in(snippet("scope:"), self)
        patroni = patroni.replace("/var/lib/postgresql/15/naru", str(self.data))
        patroni = patroni.replace("/var/run/postgresql", str(self.folder))
        (self.folder / "patroni.yml").write_text(patroni)
        self._cluster.give(self.folder)

    def start(self) -> None:
        """Switch it on."""
        self.plug.put_in()
        self._processes = [self._etcd(), self._patroni()]

    def set_clock(self, seconds: int) -> None:
        """Its wall clock goes so many seconds ahead of the real one, from now on.

        Patroni's and PostgreSQL's: etcd asks the kernel itself.
        """
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def look(self) -> None:
        """Raises NeverSettled when one of its programs has given up."""
        for process in self._processes:
            if process.poll() is not None:
                raise NeverSettled(f"{self.name}: {process.args!r} ended {process.returncode}")

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
        """Everything on it is gone at once: the machine lost its power, but not its disk.

        Nobody who asks for it hears anything any more, not even that it is not there.
        """
        self.plug.pull_out()
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
        self._processes = [self._etcd(), self._processes[1]]

    async def restart_patroni(self) -> None:
        """What its operator does with `systemctl restart patroni`. Raises TimeoutError."""
        etcd, patroni = self._processes
        patroni.terminate()
        async with asyncio.timeout(RESTART_SECONDS):
            while patroni.poll() is None:
                await asyncio.sleep(LOOK_SECONDS)
        self._processes = [etcd, self._patroni()]

    def _patroni(self) -> subprocess.Popen[bytes]:
        command, clock = ["patroni", str(self.folder / "patroni.yml")], {}
        if (library := self._cluster.clock) is not None:
            clock = {"LD_PRELOAD": str(library), "DRILL_CLOCK": str(self._clock)}
        return self._cluster.run(self.name, command, clock, self.plug)

    def _etcd(self) -> subprocess.Popen[bytes]:
        text = self._cluster.put_in(snippet("ETCD_"), self)
        text = text.replace("/var/lib/etcd/naru", str(self.folder / "etcd"))
        settings = dict(line.split("=", 1) for line in text.splitlines())
        return self._cluster.run(self.name, ["etcd"], settings, self.plug)

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
    """All of it, in a network that the process moves to. Raises NoNetwork.

    `synchronous=False` is the control: the same without waiting for a standby. With `small_disks`
    each machine has a disk that can be filled (raises NoDisk where there can be none), with
    `own_clocks` a wall clock that can be set (needs a C compiler).
    """

    def __init__(
        self,
        home: Path,
        *,
        synchronous: bool = True,
        small_disks: bool = False,
        own_clocks: bool = False,
    ) -> None:
        self.home = home
        self.synchronous = synchronous
        self._user = pwd.getpwnam("postgres")
        own_network()
        home.mkdir(mode=0o711)
        if small_disks:
            own_namespace()
        self.clock = _compile(HERE / "clock.c", home / "clock.so") if own_clocks else None
        self.machines = [Machine(self, number, small_disks) for number in range(len(NAMES))]
        self._balancer: subprocess.Popen[bytes] | None = None
        self._reaping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The address behind which HAProxy finds the primary."""
        return f"postgresql://postgres:{ADMIN_PASSWORD}@127.0.0.1:{BALANCER_PORT}/naru"

    def url_of(self, machine: Machine, database: str = "naru") -> str:
        """One machine's own address, for whoever wants to go round HAProxy."""
        place = f"{machine.address}:{POSTGRES_PORT}"
        return f"postgresql://postgres:{ADMIN_PASSWORD}@{place}/{database}"

    async def start(self) -> None:
        """Switch everything on; returns when a primary has its standbys, and the database is there."""
        # Whatever loses its parent comes to us. Patroni waits for a PostgreSQL that nobody reaps.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._reaping = asyncio.create_task(_reap_orphans())
        (self.home / "logs").mkdir(exist_ok=True)
        for machine in self.machines:
            machine.set_clock(0)
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
        """The page's text for this machine, and in our mode."""
        if machine is not None:
            # db1's name and address stand for its own, except where all three are listed.
            lines = [
                line
                if "10.0.0.12" in line
                else re.sub(r"\bdb1\b", machine.name, line).replace("10.0.0.11", machine.address)
                for line in text.splitlines(keepends=True)
            ]
            text = "".join(lines)
        if not self.synchronous:
            text = re.sub(r"(synchronous_mode\w*): true", r"\1: false", text)
        return text

    def give(self, folder: Path) -> None:
        """Let the unprivileged user have this folder and what is in it."""
        for path in [folder, *folder.iterdir()]:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)
            path.chmod(0o700)

    def run(
        self, name: str, command: Sequence[str], settings: dict[str, str], plug: Plug | None = None
    ) -> subprocess.Popen[bytes]:
        """Start one program behind this plug, as nobody's superuser; it does not outlive us."""
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        user, stay = self._user, die_with_parent(signal.SIGTERM)

        def move_in() -> None:
            if plug is not None:
                plug.enter()
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            # Last: the kernel forgets it when the user changes.
            if stay is not None:
                stay()

        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={"PATH": path, "HOME": str(self.home / name), "LANG": "C.UTF-8", **settings},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=move_in,
            )

    def _rest(self, machine: Machine, path: str) -> str:
        return f"http://{machine.address}:{PATRONI_PORT}/{path}"

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


def _compile(source: Path, target: Path) -> Path:
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", target, source], check=True)
    target.chmod(0o644)
    return target


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
