"""Make .venv with the locked packages and this project in it: `bootstrap.py [demo|dev]`.

Needs nothing but Python's standard library, is finished at once when nothing has changed, and says
in one sentence what is missing when it cannot go on. It must be readable to a Python that is too
old, whose user is told so.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # this is where an older one is told
    sys.exit(
        f"naru: Python 3.11 or newer is needed and this is {sys.version.split()[0]}: "
        "install a newer one, or name it: make PYTHON=python3.12 demo"
    )

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "naru-setup.json"
LOCKS = {"demo": "requirements.txt", "dev": "requirements-dev.txt"}
STARTED = time.monotonic()


_NO_VENV = (
    "this Python has neither venv nor pip: install them "
    "(Debian and Ubuntu: apt-get install python3-venv) and try again."
)


class SetupError(Exception):
    """One sentence that says what is missing and what to do."""


def main() -> None:
    """Set up what the first argument names; print a short line for each step that takes time."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "demo"
    if wanted not in LOCKS:
        sys.exit(f"naru: bootstrap.py knows {' and '.join(LOCKS)}, not {wanted}")
    try:
        with _alone():
            if _fingerprint(wanted) not in _done():
                _set_up(wanted)
    except SetupError as error:
        sys.exit(f"naru: {error}")
    except OSError as error:
        sys.exit(f"naru: setting up failed: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _set_up(wanted: str) -> None:
    _make_venv()
    lock = ROOT / LOCKS[wanted]
    packages = sum("==" in line for line in lock.read_text().splitlines())
    _say(f"installing {packages} packages")
    _install(["--no-deps", "--require-hashes", "-r", str(lock)], packages)
    _install(["--no-deps", "--no-build-isolation", "-e", str(ROOT)], 1)
    # The development set holds the demo's packages at the same versions.
    sets = ["demo", "dev"] if wanted == "dev" else ["demo"]
    STAMP.write_text(json.dumps([_fingerprint(each) for each in sets]))
    _say("ready")


def _make_venv() -> None:
    if PYTHON.exists() and _works([str(PYTHON), "-c", "import sys"]):
        return
    _say(f"making .venv with Python {sys.version_info[0]}.{sys.version_info[1]}")
    shutil.rmtree(VENV, ignore_errors=True)
    # Installing pip with it takes longer than all the rest, and somebody else's will mostly do.
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(VENV)], capture_output=True, text=True
    )
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        words = (done.stdout + done.stderr).strip()
        if "No module named venv" in words:
            raise SetupError(_NO_VENV)
        last = words.splitlines()[-1] if words else "no reason was given"
        raise SetupError(f".venv could not be made: {last}")


def _install(arguments: list[str], packages: int) -> None:
    command = _installer() + arguments
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    words: list[str] = []
    seen = 0
    try:
        for line in process.stdout:
            words.append(line.strip())
            if line.startswith("Collecting "):
                seen += 1
                _progress(seen, packages)
    finally:
        if process.poll() is None and sys.exc_info()[0] is not None:
            process.terminate()
    _progress(0, packages)
    if process.wait():
        wrong = [line for line in words if "error" in line.lower()] or words[-1:]
        text = "\n".join(words).lower()
        if any(sign in text for sign in ("connection", "resolve", "retries", "timed out", "dns")):
            raise SetupError(
                "the packages could not be downloaded: check this machine's network, its proxy "
                f"(HTTPS_PROXY) or pip's index settings. ({wrong[0][:200] if wrong else ''})"
            )
        if "no space left" in text:
            raise SetupError("the disk is full: 400 MB are needed here.")
        raise SetupError(f"the packages could not be installed: {(wrong or ['?'])[0][:300]}")


def _installer() -> list[str]:
    """Uv when the machine has it, for it is many times faster; else a pip."""
    if uv := _uv():
        # Like pip, compile now: else the demo's processes would all do it at their first start.
        return [uv, "pip", "install", "--compile-bytecode", "--python", str(PYTHON)]
    inside, outside = ([str(PYTHON), "-m", "pip"], [sys.executable, "-m", "pip"])
    outside += ["--python", str(PYTHON)]
    for pip in (inside, outside):
        if _works([*pip, "--version"]):
            break
    else:
        if not _works([str(PYTHON), "-m", "ensurepip"]):
            raise SetupError(_NO_VENV)
        pip = inside
    return [*pip, "install", "--no-input", "--progress-bar=off", "--retries=2"]


def _uv() -> str | None:
    uv = shutil.which("uv")
    return uv if uv and _works([uv, "--version"]) else None


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _fingerprint(wanted: str) -> str:
    """What was installed from where: a changed lock, project file, Python or folder shows."""
    parts = [(ROOT / name).read_bytes() for name in (LOCKS[wanted], "pyproject.toml")]
    parts += [str(ROOT).encode(), wanted.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _done() -> list[str]:
    with contextlib.suppress(OSError, ValueError):
        if PYTHON.exists():
            return list(json.loads(STAMP.read_text()))
    return []


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two makes at once take turns."""
    with (ROOT / ".venv.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another set-up is running; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(words: str) -> None:
    print(f"naru: {words} … {time.monotonic() - STARTED:.0f} s", flush=True)


def _progress(seen: int, packages: int) -> None:
    if sys.stdout.isatty():
        bar = f"  {seen} of {packages}" if seen else ""
        print(f"\r{bar:24}\r{bar}", end="", flush=True)
    elif seen and seen % 20 == 0:
        print(f"naru:   {seen} of {packages}", flush=True)


if __name__ == "__main__":
    os.environ["UV_PYTHON_DOWNLOADS"] = "never"
    main()
