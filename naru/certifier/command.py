"""`naru certify URL --adapter shop.toml`: attack a shop, say what held, and what it cost."""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from naru.certifier.adapter import Adapter, BadAdapter, read_adapter
from naru.certifier.attacks import ATTACKS
from naru.certifier.attacks.attack import Attack
from naru.certifier.certify import certify
from naru.certifier.hosts import NotAllowed, allowed_origin
from naru.certifier.report import badge, html, junit, machine, sarif, screen
from naru.certifier.report.compare import Compared, NotAReport, compare
from naru.certifier.report.score import won
from naru.certifier.result import Outcome, Run, Words
from naru.certifier.shop import ShopTrouble, free_origin
from naru.config import Settings
from naru.testing.private_gateway import GatewayTrouble

HELD, BROKEN, NOT_TRIED = 0, 1, 2
FORMATS = ("html", "junit", "sarif", "json", "badge")
SEEDS = 1_000_000
LOGGED_EVERY = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every option of the command."""
    add = parser.add_argument
    add("url", nargs="?", metavar="URL", help="the shop's origin (default: a free port here)")
    add(
        "--adapter", type=Path, metavar="FILE", help="shop.toml: how to order, and to read an order"
    )
    add("--attack", action="append", metavar="NAME", help="only this attack; again for more")
    add("--seed", type=int, metavar="N", help="do that very run again")
    add("--list", action="store_true", help="name every attack, and do nothing")
    add("--real", action="store_true", help="let it be a test host that the adapter lists")
    add("--html", type=Path, metavar="FILE", help="write the report as one page")
    add("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI")
    add("--sarif", type=Path, metavar="FILE", help="write SARIF 2.1.0, for code scanning")
    add("--json", type=Path, metavar="FILE", help="write JSON")
    add("--badge", type=Path, metavar="FILE", help="write an SVG badge")
    add("--compare", type=Path, metavar="FILE", help="say what changed since this JSON report")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """0: every attack held. 1: one broke a rule or could not be tried, or a report not written.

    2: nothing was begun.
    """
    korean = speaks_korean()
    if arguments.list:
        for attack in ATTACKS:
            print(f"{attack.name:26} {_in(attack.named.title, korean)}")
        return HELD
    try:
        if arguments.adapter is None:
            raise BadAdapter("--adapter shop.toml is missing: docs/reference/adapter.md.")
        adapter = read_adapter(arguments.adapter)
        attacks = _chosen(arguments.attack)
        url = _url(arguments.url, adapter, real=arguments.real)
        compared = _compared(arguments.compare)
        _look_at_files(arguments)
        _look_for_browser(adapter, attacks)
    except (BadAdapter, NotAllowed, NotAReport) as error:
        print(f"naru: {error}", file=sys.stderr)
        return NOT_TRIED
    seed = random.randrange(SEEDS) if arguments.seed is None else arguments.seed  # noqa: S311
    command = ["naru", "certify", *([arguments.url] if arguments.url else [])]
    command += ["--adapter", str(arguments.adapter), *(["--real"] if arguments.real else [])]
    progress = Progress(len(attacks), korean)
    try:
        with _ending_in_order():
            done = certify(adapter, url, attacks, seed=seed, command=command, show=progress.show)
    except (ShopTrouble, GatewayTrouble) as trouble:
        print(f"naru: {trouble}", file=sys.stderr)
        return NOT_TRIED
    finally:
        progress.close()
    changes = compared(done)
    print(
        screen.text(
            done,
            changes,
            width=shutil.get_terminal_size((100, 40)).columns,
            colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
            korean=korean,
        )
    )
    all_written = _write(arguments, done, changes, korean)
    return HELD if done.passed and all_written else BROKEN


def speaks_korean() -> bool:
    """Whether whoever reads wants Korean: so says the locale, and who says nothing reads Korean."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if language := os.environ.get(name):
            return language.startswith("ko") or language.partition(".")[0] in ("C", "POSIX")
    return True


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, and everything that it has started."""

    def end(kind: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # Nobody who repeats it stops the clearing up.
        raise SystemExit(128 + kind)

    kinds = (signal.SIGTERM, signal.SIGHUP)
    # Under nohup a terminal that goes away is no reason to end.
    before = {kind: was for kind in kinds if (was := signal.getsignal(kind)) != signal.SIG_IGN}
    for kind in before:
        signal.signal(kind, end)
    try:
        yield
    finally:
        for kind, was in before.items():
            signal.signal(kind, was)


class Progress:
    """One line that changes while people wait; in a log, a line every so many attacks."""

    def __init__(self, total: int, korean: bool) -> None:
        self._total, self._korean = total, korean
        self._shown = sys.stderr.isatty()
        self._lost = 0
        self._say(0, "게이트웨이와 상점을 띄우는 중" if korean else "starting gateway and shop")

    def show(self, number: int, outcome: Outcome) -> None:
        """After each attack; what broke keeps a line of its own."""
        self._lost += outcome.cost
        if outcome.verdict in ("broken", "trouble") and self._shown:
            print(f"\r\x1b[K✗ {_in(outcome.attack.title, self._korean)}", file=sys.stderr)
        self._say(number, outcome.attack.name)

    def close(self) -> None:
        """Leave an empty line's beginning."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _say(self, number: int, what: str) -> None:
        if self._shown:
            filled = 24 * number // max(1, self._total)
            bar = "█" * filled + "░" * (24 - filled)
            lost = f" · {_in(won(self._lost), self._korean)}" if self._lost else ""
            line = f"\r\x1b[K{bar} {number}/{self._total}{lost} {what}"
            print(line, end="", file=sys.stderr, flush=True)
        elif number and number % LOGGED_EVERY == 0:
            print(f"{number}/{self._total}", file=sys.stderr, flush=True)


def _chosen(names: Sequence[str] | None) -> tuple[Attack, ...]:
    known = {attack.name: attack for attack in ATTACKS}
    for name in names or ():
        if name not in known:
            raise BadAdapter(f"There is no attack {name!r}: naru certify --list names all.")
    return tuple(known[name] for name in names) if names else ATTACKS


def _url(url: str | None, adapter: Adapter, *, real: bool) -> str:
    if url is None:
        if not adapter.start:
            raise BadAdapter("Say where the shop runs: naru certify http://127.0.0.1:8000 …")
        return free_origin()
    origin = allowed_origin(url, real=real, listed=adapter.allowed_hosts)
    if adapter.start and urlsplit(origin).port is None:
        raise BadAdapter("The address needs a port, since the adapter starts the shop there.")
    return origin


def _compared(earlier: Path | None) -> Callable[[Run], Compared | None]:
    """How to compare. The earlier report is read before anything is started. Raises NotAReport."""
    if earlier is None:
        return lambda done: None
    try:
        before = earlier.read_bytes()
    except OSError as error:
        raise NotAReport(f"{earlier}: {error.strerror or error}.") from None
    compare(before, Run("", "", 0, "", datetime.now(UTC), 0.0))
    return lambda done: compare(before, done)


def _look_at_files(arguments: argparse.Namespace) -> None:
    """A minute's run must not end at a folder that is not there. Raises BadAdapter."""
    for name in FORMATS:
        path: Path | None = getattr(arguments, name)
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise BadAdapter(f"--{name} {path}: no file can be written there.")


def _look_for_browser(adapter: Adapter, attacks: Sequence[Attack]) -> None:
    """A page that nobody can press would pass for one that was. Raises BadAdapter."""
    needed = adapter.page is not None and any("page" in attack.needs for attack in attacks)
    if needed and importlib.util.find_spec("playwright") is None:
        raise BadAdapter(
            "[page] needs a browser: pip install playwright && playwright install chromium, or "
            "leave [page] out."
        )


def _write(
    arguments: argparse.Namespace, done: Run, changes: Compared | None, korean: bool
) -> bool:
    """Each report by itself, and its path printed; False when one of them could not be written."""
    texts: dict[str, Callable[[], str]] = {
        "html": lambda: html.text(done, changes, korean=korean),
        "junit": lambda: junit.text(done),
        "sarif": lambda: sarif.text(done, str(arguments.adapter)),
        "json": lambda: machine.text(done),
        "badge": lambda: badge.text(done),
    }
    all_written = True
    for name in FORMATS:
        path: Path | None = getattr(arguments, name)
        if path is None:
            continue
        try:
            path.write_text(texts[name](), "utf-8")
        except OSError as error:
            why = f"--{name} {path}: {error.strerror or error}; this report is not written."
            print(f"naru: {why}", file=sys.stderr)
            all_written = False
        else:
            print(path)
    return all_written


def _in(words: Words, korean: bool) -> str:
    return words.ko if korean else words.en
