"""`naru doctor`: look at everything a gateway stands on; say what is wrong and what to do."""

import argparse
import asyncio
import os
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from naru.cli import database, ports
from naru.cli.trouble import CliError
from naru.config import Settings

SKEW_SECONDS = 2.0
FREE_BYTES = 1_000_000_000
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Finding:
    """One line of the table. `advice` says what to do; only a `bad` one fails the command."""

    what: str
    found: str
    bad: bool = False
    advice: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The doctor only looks; it changes nothing."""
    parser.add_argument(
        "--database-url",
        action="store_true",
        help='print the database\'s address and nothing else: psql "$(naru doctor --database-url)"',
    )
    parser.epilog = (
        "Exit status 0: nothing must be done. ✓ good, ✗ must be changed, – worth knowing."
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the table; 1 when something must be changed."""
    if arguments.database_url:
        print(database.address(settings))
        return 0
    findings = asyncio.run(examine(settings))
    for each in findings:
        sign = "✗" if each.bad else "–" if each.advice else "✓"
        print(f"{sign} {each.what:<18} {each.found}")
        if each.advice:
            print(f"  {'':<18} → {each.advice}")
    return int(any(each.bad for each in findings))


async def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order of the table. Raises nothing."""
    return [
        _python(),
        *await _database(settings),
        _secret(settings),
        *_ports(settings),
        _public_url(settings),
        _private_addresses(settings),
        _disk(settings),
        _chromium(),
    ]


def _python() -> Finding:
    return Finding("Python", sys.version.split()[0])


async def _database(settings: Settings) -> list[Finding]:
    try:
        url = database.address(settings)
        version = await database.check_server(url)
        missing = await database.pending(url)
    except CliError as error:
        return [Finding("database", "not usable", bad=True, advice=str(error))]
    findings = [Finding("database", f"PostgreSQL {version}")]
    if missing:
        findings.append(
            Finding("migrations", f"{len(missing)} missing", bad=True, advice="Run `naru migrate`.")
        )
    else:
        findings.append(Finding("migrations", "up to date"))
    for look in (_durability, _skew):
        try:
            findings.append(await look(url))
        except Exception as error:  # The server may go away between two questions.
            findings.append(
                Finding("database", "went away", bad=True, advice=database.explain(error))
            )
    return findings


async def _durability(url: str) -> Finding:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        wrong = [
            name
            for name in ("fsync", "full_page_writes", "synchronous_commit")
            if await connection.fetchval(f"SHOW {name}") in ("off", "local")
        ]
    finally:
        await connection.close(timeout=5)
    if wrong:
        return Finding(
            "durability",
            f"{', '.join(wrong)} off",
            bad=True,
            advice="Turn it on: a power cut would lose payments that were acknowledged.",
        )
    return Finding("durability", "fsync, full_page_writes, synchronous_commit are on")


async def _skew(url: str) -> Finding:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.fetchval("SELECT 1")
        began = time.time()
        theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
        ours = datetime.fromtimestamp((began + time.time()) / 2, UTC)
    finally:
        await connection.close(timeout=5)
    skew = abs((theirs - ours).total_seconds())
    if skew > SKEW_SECONDS:
        return Finding(
            "clock",
            f"{skew:.1f} s from the database's",
            bad=True,
            advice="Keep both machines' clocks with NTP: tokens and due dates depend on them.",
        )
    return Finding("clock", f"{skew * 1000:.0f} ms from the database's")


def _secret(settings: Settings) -> Finding:
    if settings.secret is None:
        return Finding(
            "root key",
            "none",
            bad=True,
            advice="Set NARU_SECRET, for example to the output of `openssl rand -hex 32`.",
        )
    kept = settings.home / "secret"
    if "NARU_SECRET" not in os.environ and kept.exists() and kept.stat().st_mode & 0o077:
        return Finding(
            "root key", f"{kept} can be read by others", bad=True, advice=f"chmod 600 {kept}"
        )
    return Finding("root key", f"{len(settings.secret)} bytes")


def _ports(settings: Settings) -> list[Finding]:
    findings = []
    for variable in ("NARU_PORT", "NARU_SHOP_PORT", "NARU_SANDBOX_PORT"):
        port: int = getattr(settings, variable[5:].lower())
        try:
            ports.check(settings.host, port, variable)
            findings.append(Finding(f"port {port}", "free"))
        except CliError as error:
            # It may well be ours that is running there.
            findings.append(Finding(f"port {port}", "in use", advice=str(error)))
    return findings


def _public_url(settings: Settings) -> Finding:
    parts = urlsplit(settings.public_url)
    local = (parts.hostname or "") in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not local:
        return Finding(
            "public URL",
            settings.public_url,
            bad=True,
            advice="Use https: buyers' browsers refuse payment windows without it.",
        )
    if local:
        return Finding(
            "public URL",
            settings.public_url,
            advice="Only this machine reaches it; set NARU_PUBLIC_URL for real buyers and PGs.",
        )
    return Finding("public URL", settings.public_url)


def _private_addresses(settings: Settings) -> Finding:
    if settings.allow_private_addresses:
        return Finding(
            "private addresses",
            "allowed",
            advice="Right for a demo only: webhooks could be sent into your own network.",
        )
    return Finding("private addresses", "refused")


def _disk(settings: Settings) -> Finding:
    folder = next(
        each for each in (settings.home, *settings.home.absolute().parents) if each.is_dir()
    )
    free = shutil.disk_usage(folder).free
    shown = f"{free / 1e9:.1f} GB free"
    if free < FREE_BYTES:
        return Finding("disk", shown, bad=True, advice=f"Make room where {folder} is.")
    return Finding("disk", shown)


def _chromium() -> Finding:
    named = os.environ.get("NARU_CHROMIUM")
    path = named or next((found for each in CHROMIUM if (found := shutil.which(each))), None)
    if path is None:
        return Finding("Chromium", "none", advice="Needed for `make test` only, which installs it.")
    return Finding("Chromium", path)
