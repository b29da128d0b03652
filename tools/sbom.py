"""Write the bill of materials (CycloneDX 1.6, JSON) of what is locked, and check it.

    .venv/bin/python -m tools.sbom [--offline-ok] [--output dist/naru.cdx.json]

Exit status 0 only if every licence is one that we accept, every vendored file is the one that was
vendored, and pip-audit found nothing in the locked packages. Without pip-audit, or where it reaches
no advisories, NOTHING is audited: that is said, and is a failure unless --offline-ok stands there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCKS = {"requirements.txt": "required", "requirements-dev.txt": "excluded"}
VENDORED = ROOT / "tools" / "vendored.tsv"

# Words of licences that ask for nothing but their own text.
ACCEPTED = re.compile(r"\b(MIT|MIT-0|BSD|Apache|PSF|Python Software Foundation)\b")
EXCEPTIONS = {
    "shellingham": "ISC: the MIT licence in fewer words",
    "pathspec": "MPL-2.0: used by hatchling when a wheel is built; unchanged, and not in the wheel",
    "certifi": "MPL-2.0: roots of trust for tests; unchanged, not in the wheel",
    "hypothesis": "MPL-2.0: tests only; unchanged, not in the wheel",
}


class Unacceptable(Exception):
    """Something in the bill that must not be there; the text says what."""


@dataclass(frozen=True)
class Package:
    """One locked package. `marker` says where it is needed; empty: everywhere."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def read_lock(path: Path) -> list[Package]:
    """Every package of a lock file. Raises Unacceptable for one without a hash."""
    found = []
    for entry in re.split(r"\n(?=[a-z0-9])", path.read_text("utf-8")):
        head = re.match(r"([a-z0-9-]+)==([^\s;]+)(?: ; ([^\\\n]+))?", entry)
        if head is None:
            continue
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
        if not hashes:
            raise Unacceptable(f"{head[1]} is locked without a hash")
        found.append(Package(head[1], head[2], (head[3] or "").strip(), hashes))
    return found


def licence_of(package: Package) -> str | None:
    """The licence that the installed package names; None where it is not needed on this machine.

    Raises Unacceptable: not installed, another version than the locked one, or a licence not accepted.
    """
    try:
        found = distribution(package.name)
    except PackageNotFoundError:
        if package.marker:
            return None
        raise Unacceptable(f"{package.name} is locked and not installed") from None
    if found.version != package.version:
        raise Unacceptable(
            f"{package.name} is locked at {package.version} and installed at {found.version}"
        )
    named: dict[str, Any] = found.metadata.json
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in named.get("classifier", [])
        if each.startswith("License ::")
    ]
    text = named.get("license_expression") or " AND ".join(classifiers) or named.get("license", "")
    licence = " ".join(text.split())[:100]
    check_licence(package.name, licence)
    return licence


def check_licence(name: str, licence: str) -> None:
    """Raises Unacceptable unless every part of the licence is accepted, or the package is an exception."""
    parts = [part for part in re.split(r" AND | OR |;", licence) if part.strip()]
    # Of alternatives one is enough.
    enough = any if " OR " in licence else all
    if name not in EXCEPTIONS and not (parts and enough(ACCEPTED.search(part) for part in parts)):
        raise Unacceptable(f"{name} has the licence {licence or 'of nobody knows what'!r}")


def read_vendored(folder: Path = ROOT) -> list[dict[str, Any]]:
    """A component for each vendored file. Raises Unacceptable: changed, missing or not listed."""
    rows = [line.split("\t") for line in VENDORED.read_text("utf-8").splitlines()[1:]]
    present = {
        path.relative_to(folder).as_posix()
        for path in folder.glob("naru/**/vendor/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if unlisted := present - {row[0] for row in rows}:
        raise Unacceptable(f"{min(unlisted)} is vendored and not in {VENDORED.name}")
    components = []
    for path, digest, name, number, licence in rows:
        if not (folder / path).is_file():
            raise Unacceptable(f"{path} is in {VENDORED.name} and not there")
        if hashlib.sha256((folder / path).read_bytes()).hexdigest() != digest:
            raise Unacceptable(f"{path} is not the file that was vendored")
        components.append(
            {
                "type": "library",
                "bom-ref": f"pkg:npm/{name}@{number}",
                "purl": f"pkg:npm/{name}@{number}",
                "name": name,
                "version": number,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "licenses": [{"license": {"name": licence}}],
                "properties": [{"name": "naru:vendored", "value": path}],
            }
        )
    return components


def write_bill() -> dict[str, Any]:
    """The whole bill; the same for the same locks, whenever it is written. Raises Unacceptable."""
    components: dict[str, dict[str, Any]] = {}
    for lock, scope in LOCKS.items():
        for package in read_lock(ROOT / lock):
            purl = f"pkg:pypi/{package.name}@{package.version}"
            if purl in components:
                continue
            licence = licence_of(package)
            components[purl] = {
                "type": "library",
                "bom-ref": purl,
                "purl": purl,
                "name": package.name,
                "version": package.version,
                "scope": scope,
                "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes],
                **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
                **(
                    {"properties": [{"name": "naru:only-where", "value": package.marker}]}
                    if package.marker
                    else {}
                ),
            }
    found = [components[purl] for purl in sorted(components)] + read_vendored()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "naru",
                "name": "naru",
                "version": version("naru"),
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": found,
        "dependencies": [
            {
                "ref": "naru",
                "dependsOn": [each["bom-ref"] for each in found if each.get("scope") != "excluded"],
            }
        ],
    }


def audit() -> tuple[str, str]:
    """Ask pip-audit about the locked packages: ("clean" | "vulnerable" | "not audited", what it said)."""
    program = shutil.which("pip-audit")
    if program is None:
        return "not audited", "there is no pip-audit on this machine"
    words = [program, "--strict", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    for lock in LOCKS:
        words += ["--requirement", str(ROOT / lock)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "not audited", f"pip-audit did not end well: {type(error).__name__}"
    said = (done.stdout + done.stderr).strip()
    if done.returncode == 0:
        return "clean", said
    found = re.search(r"Found \d+ known vulnerabilit", said)
    return ("vulnerable" if found else "not audited"), said


def main(argv: Sequence[str] | None = None) -> int:
    """Write the bill and check it; 0 only when all is well."""
    parser = argparse.ArgumentParser(
        prog="tools.sbom", description="Bill of materials, and checks."
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "naru.cdx.json")
    parser.add_argument(
        "--offline-ok", action="store_true", help="no failure when nothing could be audited"
    )
    arguments = parser.parse_args(argv)
    try:
        bill = write_bill()
    except Unacceptable as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(
        f"sbom: {len(bill['components'])} components in {arguments.output.name}, licences accepted"
    )
    result, said = audit()
    match result:
        case "clean":
            print("sbom: pip-audit --strict found nothing")
            return 0
        case "vulnerable":
            print(f"sbom: {said}", file=sys.stderr)
            return 1
        case _:
            print(
                f"sbom: NOTHING was audited for known vulnerabilities: {said}.\n"
                "sbom: install pip-audit (`pipx install pip-audit`) where there is a network, or say "
                "`make sbom SBOM=--offline-ok` to have the bill of materials alone.",
                file=sys.stderr,
            )
            return 0 if arguments.offline_ok else 1


if __name__ == "__main__":
    sys.exit(main())
