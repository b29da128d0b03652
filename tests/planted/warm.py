"""A pytest that is warm: the libraries are imported once, and every run is a fork in a tree of its own.

`python -P warm.py` reads one run a line (`Run` as JSON) and answers with its exit status. Before the fork
nothing of the house is imported: each run reads its own tree. Importing libraries would be most of what
a short test costs, once its PostgreSQL is borrowed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys

LIBRARIES = (
    *("pytest", "_pytest.python", "_pytest.assertion.rewrite", "asyncio", "sqlite3", "ssl"),
    *("aiohttp.web", "asyncpg", "msgspec", "hypothesis.strategies", "pgqueuer", "urllib3"),
    *("cryptography.hazmat.primitives.ciphers.aead", "cryptography.x509"),
)
GOODBYE_SECONDS = 20


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            sys.exit(_run(**asked))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(
    tree: str, arguments: list[str], environment: dict[str, str], log: str, seconds: int
) -> int:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for new, old in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(new, old)
    os.chdir(tree)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, tree)
    signal.signal(signal.SIGALRM, _enough)
    signal.alarm(seconds)
    import pytest

    # Of a library that was imported before pytest cannot rewrite the asserts, and need not.
    return int(pytest.main([*arguments, "-W", "ignore::pytest.PytestAssertRewriteWarning"]))


def _enough(number: int, frame: object) -> None:
    # First as a person at the keyboard would, so that servers of the tests are stopped, too.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(GOODBYE_SECONDS)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
