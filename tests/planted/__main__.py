"""`python -m tests.planted [name ...]`: plant every defect, or those named, and print who found it.

Every file of tests that a defect names runs once over the healthy tree as well: the control that
must pass, without which "found" means nothing. `--write` puts the table into docs/reference/planted.md, where rows of
defects that were not run stay as they are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.planted.catalogue import CATALOGUE
from tests.planted.page import PAGE, Row, read_rows, write_page
from tests.planted.run import Ended, Planted, copy_house, plant, run


def parts(by: str) -> list[str]:
    """The files of a command, each of which is a control; a simulation is one whole."""
    return [by] if by.startswith("simulation ") else by.split()


def judge(planted: Planted, ended: Ended, controls: Sequence[Ended]) -> Row:
    """What this run proves: `found`, `survived`, or nothing, with the reason."""
    if why := [each.failed or each.trouble for each in controls if each.failed or each.trouble]:
        verdict = f"nothing proven: the control failed ({why[0]})"
    elif ended.failed:
        verdict = "found"
    elif ended.trouble:
        verdict = f"nothing proven: {ended.trouble}"
    else:
        verdict = "survived"
    by = ended.failed or planted.by
    return Row(planted.name, planted.promise, planted.file, verdict, by, f"{ended.seconds:.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted")
    parser.add_argument("names", nargs="*", help="all when none is named")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="rewrite docs/reference/planted.md")
    given = parser.parse_args()
    chosen = [each for each in CATALOGUE if not given.names or each.name in given.names]
    if missing := set(given.names) - {each.name for each in chosen}:
        parser.error(f"no such defect: {', '.join(sorted(missing))}")

    began = time.monotonic()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="naru-planted-") as name:
        folder = Path(name)
        # Servers of the tests run as another user, who must be able to pass through.
        folder.chmod(0o711)
        base = copy_house(folder)
        with ThreadPoolExecutor(given.processes) as pool:
            needed = sorted({part for each in chosen for part in parts(each.by)})
            controls = dict(zip(needed, pool.map(lambda by: run(by, base), needed), strict=True))
            for by, control in controls.items():
                how = control.failed or control.trouble or "passes"
                print(f"control {control.seconds:6.1f} s  {by}: {how}", flush=True)

            def one(numbered: tuple[int, Planted]) -> Row:
                number, planted = numbered
                ended = run(planted.by, plant(planted, base, folder / str(number)))
                row = judge(planted, ended, [controls[part] for part in parts(planted.by)])
                print(f"{row.verdict:10} {row.seconds:>6} s  {row.name} ({row.by})", flush=True)
                return row

            rows = list(pool.map(one, enumerate(chosen)))
    found = sum(row.verdict == "found" for row in rows)
    print(
        f"{found} of {len(rows)} planted bugs found; {len(controls)} controls, "
        f"{time.monotonic() - began:.0f} s"
    )
    for row in rows:
        if row.verdict != "found":
            print(f"NOT FOUND: {row.name}: {row.verdict}")
    if given.write:
        known = {row.name: row for row in read_rows()} | {row.name: row for row in rows}
        PAGE.write_text(
            write_page([known[each.name] for each in CATALOGUE if each.name in known]), "utf-8"
        )
    return 0 if found == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
