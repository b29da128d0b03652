"""`python -m tests.planted [name ...]`: plant every defect, or those named, and print who found it.

Every test that a defect names runs once over the healthy tree as well: the control that must pass,
without which "found" means nothing. `--stale` takes the defects whose row is not proven, or was
proven of another state of the code. `--write` puts each verdict into docs/reference/planted.md at once,
so that a run that is stopped loses nothing; other rows stay as they are.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import unquote

from naru.cli.postgres import Postgres
from tests.planted.catalogue import CATALOGUE as CATALOGUE_OF_FILES
from tests.planted.elsewhere import ELSEWHERE
from tests.planted.page import (
    FOUND,
    PAGE,
    Row,
    is_fresh,
    not_run,
    read_rows,
    rows_of,
    write_page,
)
from tests.planted.run import ROOT, Ended, Lane, Planted, copy_house, mark, plant, run, run_controls

CATALOGUE = (*CATALOGUE_OF_FILES, *ELSEWHERE)


def judge(planted: Planted, ended: Ended, controls: Sequence[Ended], tree: Path = ROOT) -> Row:
    """What this run proves of this healthy tree: `found`, `survived`, or nothing, with the reason."""
    if why := [each.failed or each.trouble for each in controls if each.failed or each.trouble]:
        verdict = f"nothing proven: the control failed ({why[0]})"
    elif ended.failed:
        verdict = FOUND
    elif ended.trouble:
        verdict = f"nothing proven: {ended.trouble}"
    else:
        verdict = "survived"
    by = ended.failed or planted.by
    return Row(
        planted.name,
        planted.promise,
        planted.file,
        verdict.replace("|", "/").replace("`", "'"),
        by,
        f"{ended.seconds:.1f}",
        mark(planted, tree),
    )


class Record:
    """What is known of every defect, on the page after each verdict when it is to be written."""

    def __init__(self, write: bool) -> None:
        self.known = {row.name: row for row in read_rows()}
        self._write = write
        self._one_at_a_time = threading.Lock()

    def rows(self) -> list[Row]:
        """A row for every defect of the catalogue."""
        return rows_of(CATALOGUE, self.known)

    def add(self, row: Row) -> None:
        """A verdict. The page is written whole."""
        with self._one_at_a_time:
            if self._write:
                # Another run may have written its own rows meanwhile.
                self.known |= {each.name: each for each in read_rows()}
            self.known[row.name] = row
            if self._write:
                PAGE.write_text(write_page(self.rows()), "utf-8")


class Session:
    """One run: the healthy tree, the controls, then the defects, as many at once as there are lanes."""

    def __init__(
        self,
        folder: Path,
        chosen: Sequence[Planted],
        record: Record,
        minutes: float,
        lanes: Sequence[Lane],
    ) -> None:
        self._folder, self._chosen, self._record = folder, chosen, record
        self._base = copy_house(folder)
        self._controls: dict[str, Ended] = {}
        self._ends = time.monotonic() + minutes * 60
        self._free: SimpleQueue[Lane] = SimpleQueue()
        for lane in lanes:
            self._free.put(lane)
        self.ran: list[Row] = []

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)

    def group(self, planted: Sequence[tuple[int, Planted]], more: Sequence[str] = ()) -> None:
        """Defects that share their controls: these first, over the healthy tree, then each defect."""
        with self._lane() as lane:
            parts = sorted({*more, *(part for _, each in planted for part in each.controls)})
            parts = [part for part in parts if part not in self._controls]
            for file in sorted({part.partition("::")[0] for part in parts}):
                if time.monotonic() > self._ends:
                    return
                same = [part for part in parts if part.partition("::")[0] == file]
                for part, ended in run_controls(same, self._base, lane):
                    self._controls[part] = ended
                    how = ended.failed or ended.trouble or "passes"
                    print(f"control {ended.seconds:6.1f} s  {part}: {how}", flush=True)
            for number, each in planted:
                self.one(number, each, lane)

    def one(self, number: int, planted: Planted, lane: Lane) -> None:
        """Plant it, run its tests, keep the verdict. Nothing is begun when the time is over."""
        if time.monotonic() > self._ends:
            return
        tree = plant(planted, self._base, self._folder / str(number))
        ended = run(planted.by, tree, lane)
        row = judge(planted, ended, [self._controls[part] for part in planted.controls], self._base)
        self._record.add(row)
        self.ran.append(row)
        found = sum(each.verdict == FOUND for each in self.ran)
        print(
            f"[{len(self.ran)} of {len(self._chosen)}, {found} found] "
            f"{row.verdict:8} {row.seconds:>5} s  {row.name} ({row.by})",
            flush=True,
        )

    def run(self) -> None:
        """All of them. Groups go side by side, within a group one follows the other."""
        groups: dict[str, list[tuple[int, Planted]]] = defaultdict(list)
        alone: list[list[tuple[int, Planted]]] = []
        for number, each in enumerate(self._chosen):
            if each.tier == "pytest":
                key = " ".join(sorted({part.partition("::")[0] for part in each.controls}))
                groups[key].append((number, each))
            else:
                alone.append([(number, each)])
        # Simulations and storms share a control that takes minutes: once, before all of them.
        shared = sorted({part for [(_, each)] in alone for part in each.controls})
        with ThreadPoolExecutor(self._free.qsize()) as pool:
            try:
                controls = pool.map(lambda part: self.group([], [part]), shared)
                list(pool.map(self.group, groups.values()))
                list(controls)
                list(pool.map(self.group, alone))
            except BaseException:
                self._ends = 0.0  # Whoever stops us waits for what is under way, and for no more.
                raise


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    parser.add_argument("names", nargs="*", help="all when none is named")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stale", action="store_true", help="those without a verdict of today")
    parser.add_argument("--first", type=int, default=None, help="so many at the most")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin nothing afterwards")
    parser.add_argument("--list", action="store_true", help="name them and run nothing")
    parser.add_argument("--write", action="store_true", help="rewrite docs/reference/planted.md")
    given = parser.parse_args()
    chosen = [each for each in CATALOGUE if not given.names or each.name in given.names]
    if missing := set(given.names) - {each.name for each in chosen}:
        parser.error(f"no such defect: {', '.join(sorted(missing))}")
    record = Record(given.write)
    if given.stale:
        chosen = [
            each
            for each in chosen
            if not is_fresh(record.known.get(each.name, not_run(each)), each)
        ]
    chosen = chosen[: given.first]
    if given.list:
        print("\n".join(each.name for each in chosen))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="naru-planted-") as name, ExitStack() as started:
        folder = Path(name)
        # Servers of the tests run as another user, who must be able to pass through.
        folder.chmod(0o711)
        lanes = []
        for number in range(given.processes):
            home = folder / f"server-{number}"
            home.mkdir(0o711)
            server = started.enter_context(Postgres(home, durable=False))
            socket = Path(unquote(server.url("").partition("?host=")[2]))
            lanes.append(started.enter_context(Lane(socket)))
        session = Session(folder, chosen, record, given.minutes, lanes)
        session.run()
    for row in session.ran:
        if row.verdict != FOUND:
            print(f"NOT FOUND: {row.name}: {row.verdict}")
    found = sum(row.verdict == FOUND for row in session.ran)
    print(f"{found} of {len(session.ran)} found in {time.monotonic() - began:.0f} s")
    rows = record.rows()
    print(f"{sum(row.verdict == FOUND for row in rows)} of {len(rows)} planted bugs are found")
    return 0 if found == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
