"""What we are made of is written down, checked, and built the same twice (RELIABILITY §3h)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import sbom

ROOT = Path(__file__).parent.parent


def test_the_bill_holds_every_locked_package_with_hashes_and_licence() -> None:
    bill = sbom.write_bill()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    by_name = {each["name"]: each for each in bill["components"]}
    for lock in sbom.LOCKS:
        locked = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
        for name, number in locked:
            component = by_name[name]
            assert component["version"] == number
            assert all(len(each["content"]) == 64 for each in component["hashes"])
            assert component["hashes"]
            assert "licenses" in component or component["properties"], name
    needed = set(bill["dependencies"][0]["dependsOn"])
    assert by_name["asyncpg"]["purl"] in needed
    assert by_name["pytest"]["purl"] not in needed
    assert {"jquery", "react", "react-dom", "vue"} <= set(by_name)
    assert sbom.write_bill() == bill


@pytest.mark.parametrize(
    "licence", ["", "GPL-3.0", "MIT AND GPL-3.0-only", "Proprietary", "LGPL-2.1", "SUBMITTED"]
)
def test_a_licence_that_asks_for_more_is_refused(licence: str) -> None:
    with pytest.raises(sbom.Unacceptable, match="some-package"):
        sbom.check_licence("some-package", licence)


@pytest.mark.parametrize(
    "licence", ["MIT", "Apache-2.0 AND MIT", "GPL-3.0 OR BSD-3-Clause", "MIT License"]
)
def test_licences_that_ask_for_their_text_only_are_accepted(licence: str) -> None:
    sbom.check_licence("some-package", licence)


def test_exceptions_are_still_needed_and_have_a_reason() -> None:
    locked = {package.name for lock in sbom.LOCKS for package in sbom.read_lock(ROOT / lock)}
    assert set(sbom.EXCEPTIONS) <= locked
    assert all(": " in reason for reason in sbom.EXCEPTIONS.values())


def test_a_vendored_file_that_was_changed_added_or_lost_is_found(tmp_path: Path) -> None:
    files = [each["properties"][0]["value"] for each in sbom.read_vendored()]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert len(sbom.read_vendored(tmp_path)) == len(files), "the control: copies are as good"

    first = tmp_path / files[0]
    first.write_bytes(first.read_bytes() + b" ")
    with pytest.raises(sbom.Unacceptable, match="not the file that was vendored"):
        sbom.read_vendored(tmp_path)
    first.unlink()
    with pytest.raises(sbom.Unacceptable, match="not there"):
        sbom.read_vendored(tmp_path)
    shutil.copy(ROOT / files[0], first)
    (first.parent / "new.js").write_text("")
    with pytest.raises(sbom.Unacceptable, match=r"new\.js is vendored and not in"):
        sbom.read_vendored(tmp_path)


def test_a_package_without_a_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text(
        "good==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\nbad==1.0\n"
    )
    with pytest.raises(sbom.Unacceptable, match="bad is locked without a hash"):
        sbom.read_lock(tmp_path / "lock.txt")


def run(folder: Path, auditor: str | None, *words: str) -> subprocess.CompletedProcess[str]:
    """The tool with this script as its pip-audit, or with none."""
    if auditor is not None:
        (folder / "pip-audit").write_text(f"#!{sys.executable}\n{auditor}\n")
        (folder / "pip-audit").chmod(0o755)
    return subprocess.run(
        [sys.executable, "-m", "tools.sbom", "--output", str(folder / "bill.json"), *words],
        cwd=ROOT,
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("auditor", "words", "status", "said"),
    [
        (None, (), 1, "NOTHING was audited"),
        (None, ("--offline-ok",), 0, "NOTHING was audited"),
        ("raise SystemExit('connection refused')", (), 1, "NOTHING was audited"),
        ("raise SystemExit('connection refused')", ("--offline-ok",), 0, "NOTHING was audited"),
        (
            "raise SystemExit('Found 1 known vulnerability in 1 package')",
            ("--offline-ok",),
            1,
            "Found 1",
        ),
        ("import sys; assert '--strict' in sys.argv", (), 0, "found nothing"),
    ],
)
def test_it_never_says_that_all_is_well_where_nothing_was_asked(
    tmp_path: Path, auditor: str | None, words: tuple[str, ...], status: int, said: str
) -> None:
    done = run(tmp_path, auditor, *words)
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
    assert json.loads((tmp_path / "bill.json").read_text())["components"]


def test_two_builds_of_the_wheel_are_the_same(tmp_path: Path) -> None:
    digests = []
    for copy in ("one", "two"):
        source = tmp_path / copy
        shutil.copytree(
            ROOT / "naru", source / "naru", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source / name)
        for path in source.rglob("*"):
            os.utime(path, (len(digests) * 1e6, len(digests) * 1e6))
        subprocess.run(
            [
                sys.executable,
                "-m",
                "hatchling",
                "build",
                "-t",
                "wheel",
                "-d",
                str(tmp_path / "out" / copy),
            ],
            cwd=source,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
            capture_output=True,
            check=True,
            timeout=120,
        )
        [wheel] = (tmp_path / "out" / copy).glob("*.whl")
        digests.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert digests[0] == digests[1]
