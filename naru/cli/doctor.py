"""`naru doctor`: look at everything a gateway stands on; say what is wrong and what to do."""

import argparse
import asyncio
import os
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from naru.cli import database, lines, ports
from naru.cli.children import answers
from naru.cli.postgres import running_url
from naru.cli.trouble import CliError
from naru.config import Settings
from naru.domain.merchant import is_loopback

SKEW_SECONDS = 2.0
FREE_BYTES = 1_000_000_000
DISK_USED_MAX = 0.95
# A worker asks for jobs every two seconds.
WORKER_SEEN_SECONDS = 30
WORKER = "naru worker"
PORT_SECONDS = 1.0
# Who listens where, and what answers there when it is ours.
PORTS = (
    ("NARU_PORT", "gateway", "/health"),
    ("NARU_SHOP_PORT", "shop", "/"),
    ("NARU_SANDBOX_PORT", "sandbox PG", "/cards"),
)
TITLE_COLUMNS = 29
# Thirty-two random hex digits show fewer than this once in hundreds of millions of times.
DIFFERENT_BYTES_MIN = 8
# Titles in Korean; what is not here is a port.
KOREAN = {
    "Python": "파이썬",
    "database": "데이터베이스",
    "migrations": "스키마",
    "durability": "내구성",
    "clock": "시계",
    "house": "설치본",
    "sandbox PG": "연습용 PG",
    "workers": "작업자",
    "waits for people": "할 일",
    "root key": "최상위 키",
    "public URL": "공개 주소",
    "private addresses": "내부망 주소",
    "disk": "디스크",
    "Chromium": "크로미움",
}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Finding:
    """One line of the table. `advice` says what to do, in two languages; only a `bad` one fails the command."""

    what: str
    found: str
    bad: bool = False
    advice: str = ""
    advice_ko: str = ""


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
        title = f"{each.what} {KOREAN.get(each.what, '포트')}"
        print(f"{sign} {lines.padded(title, TITLE_COLUMNS)} {each.found}")
        for mark, advice in (("→", each.advice), (" ", each.advice_ko)):
            if advice:
                print(f"  {'':<{TITLE_COLUMNS}} {mark} {advice}")
    return int(any(each.bad for each in findings))


async def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order of the table. Raises nothing."""
    return [
        _python(),
        *await _database(settings),
        _secret(settings),
        *await _ports(settings),
        _public_url(settings),
        _private_addresses(settings),
        _disk(settings),
        _chromium(),
    ]


async def refuse_risks(settings: Settings, url: str) -> None:
    """What would cost somebody money: serving does not begin with it, unless NARU_ACCEPT_RISKS says so.

    Raises CliError with one sentence about the first one.
    """
    try:
        risks = {
            "weak-secret": _secret(settings),
            "plain-http": _public_url(settings),
            "durability": await _durability(url),
            "clock": await _skew(url),
            "sandbox": await _sandbox(url),
        }
    except Exception as error:  # The server may go away between two questions.
        raise CliError(database.explain(error)) from error
    for word, finding in risks.items():
        if finding.bad and word not in settings.accept_risks:
            raise CliError(
                f"{finding.what}: {finding.found}. {finding.advice} "
                f"(To serve all the same: NARU_ACCEPT_RISKS={word}.)"
            )


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
            Finding(
                "migrations",
                f"{len(missing)} missing",
                bad=True,
                advice="Run `naru migrate`.",
                advice_ko="`naru migrate` 를 실행하세요.",
            )
        )
    else:
        findings.append(Finding("migrations", "up to date"))
    looks = (_durability, _skew, *(() if missing else (_house, _sandbox, _workers, _people)))
    for look in looks:
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
            advice_ko="켜 두세요. 꺼 두면 정전 때 승인된 결제를 잃습니다.",
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
            advice_ko="두 서버의 시계를 NTP 로 맞추세요. 토큰과 입금기한이 시계를 따릅니다.",
        )
    return Finding("clock", f"{skew * 1000:.0f} ms from the database's")


async def _house(url: str) -> Finding:
    """A restored copy is fenced (decision 0016), also before anybody has entered it."""
    from naru.store import Store
    from naru.store.house import why_fence

    store = Store(url, 1)
    try:
        async with store.direct() as session:
            standing = await session.house.look()
    finally:
        await store.close()
    advice = "`naru unfence` compares it with the PGs' books (docs/how-to/backup.md)."
    advice_ko = "`naru unfence` 로 PG 의 장부와 대조하세요 (docs/how-to/backup.md)."
    if standing is None:
        return Finding("house", "nobody has entered it yet")
    if standing.fenced_at is not None:
        since = f"fenced since {lines.when(standing.fenced_at)}: {standing.because}"
        return Finding("house", since, bad=True, advice=advice, advice_ko=advice_ko)
    if because := why_fence(standing, None):
        return Finding("house", because, bad=True, advice=advice, advice_ko=advice_ko)
    return Finding("house", "not fenced")


async def _people(url: str) -> Finding:
    """What waits for somebody: open tasks, doubts and how old the oldest is, webhooks that are late."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM operator_tasks WHERE closed_at IS NULL) AS tasks,"
            " (SELECT count(*) FROM webhook_deliveries"
            "   WHERE state = 'waiting' AND next_at < now() - interval '1 minute') AS late,"
            " count(*) AS doubts, min(opened_at) AS oldest, now() AS now"
            " FROM intents WHERE state IN ('unknown', 'undoing')"
        )
    finally:
        await connection.close(timeout=5)
    doubts = lines.count(row["doubts"], "unknown outcome")
    if row["doubts"]:
        doubts += f", the oldest for {lines.ago(row['oldest'], row['now'])} (`naru doubts`)"
    found = (
        f"{lines.count(row['tasks'], 'task')}; {doubts}; {lines.count(row['late'], 'late webhook')}"
    )
    if row["tasks"]:
        return Finding(
            "waits for people",
            found,
            advice="`naru tasks` says what to do.",
            advice_ko="할 일은 `naru tasks` 에서 확인하세요.",
        )
    if row["late"]:
        return Finding(
            "waits for people",
            found,
            advice="Is a `naru worker` running?",
            advice_ko="`naru worker` 가 실행 중인지 확인하세요.",
        )
    return Finding("waits for people", found)


async def _workers(url: str) -> Finding:
    """Workers that are connected and have asked for jobs lately; without one nothing ends by itself."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        living = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = $1"
            # Of another role's connections PostgreSQL does not say when they spoke last.
            " AND COALESCE(state_change, now()) > now() - $2::interval",
            WORKER,
            timedelta(seconds=WORKER_SEEN_SECONDS),
        )
        fenced = await connection.fetchval("SELECT fenced_at IS NOT NULL FROM house")
    finally:
        await connection.close(timeout=5)
    if living:
        return Finding("workers", f"{living} living (seen within {WORKER_SEEN_SECONDS} s)")
    if fenced:
        return Finding("workers", "none asks for work: the house is fenced")
    return Finding(
        "workers",
        "none",
        bad=True,
        advice="Start `naru worker`: webhooks wait, and no unknown outcome ends by itself.",
        advice_ko="`naru worker` 를 실행하세요. 그동안 웹훅과 결과를 모르는 결제가 그대로 남습니다.",
    )


async def _sandbox(url: str) -> Finding:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        pretended = await connection.fetch(
            "SELECT m.id, m.name, c.pg_code, c.mid FROM channels c JOIN merchants m ON m.id = c.merchant_id"
            " WHERE m.live AND NOT m.allow_test_channels AND c.connector = 'sandbox' AND NOT c.test"
            " ORDER BY c.id"
        )
    finally:
        await connection.close(timeout=5)
    if pretended:
        first = pretended[0]
        allow = f"`naru merchant set {first['id']} allow_test_channels yes`"
        return Finding(
            "sandbox PG",
            f"live merchant {first['id']} has {first['pg_code']}.{first['mid']} there as a live channel",
            bad=True,
            advice=f"Its orders would be paid without money: take the channel away, or say {allow}.",
            advice_ko=f"돈 없이 결제 완료가 됩니다. 채널을 없애거나 {allow} 로 허용하세요.",
        )
    return Finding("sandbox PG", "no live channel is there")


def _secret(settings: Settings) -> Finding:
    if settings.secret is None:
        return Finding(
            "root key",
            "none",
            bad=True,
            advice="Set NARU_SECRET, for example to the output of `openssl rand -hex 32`.",
            advice_ko="NARU_SECRET 을 정하세요. 예: `openssl rand -hex 32` 의 결과.",
        )
    kept = settings.home / "secret"
    if "NARU_SECRET" not in os.environ and kept.exists() and kept.stat().st_mode & 0o077:
        return Finding(
            "root key", f"{kept} can be read by others", bad=True, advice=f"chmod 600 {kept}"
        )
    if len(set(settings.secret)) < DIFFERENT_BYTES_MIN:
        return Finding(
            "root key",
            "easily guessed",
            bad=True,
            advice="Set NARU_SECRET to the output of `openssl rand -hex 32`.",
            advice_ko="NARU_SECRET 을 `openssl rand -hex 32` 의 결과로 바꾸세요.",
        )
    return Finding("root key", f"{len(settings.secret)} bytes")


async def _answers(host: str, port: int, path: str) -> bool:
    try:
        async with asyncio.timeout(PORT_SECONDS):
            return await answers(host, port, path)
    except TimeoutError:
        return False


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(PORT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _demo_runs(settings: Settings) -> bool:
    return settings.database_url is None and running_url(settings.home) is not None


async def _ports(settings: Settings) -> list[Finding]:
    demo = _demo_runs(settings)
    findings = []
    for variable, name, path in PORTS:
        port: int = getattr(settings, variable[5:].lower())
        usual = variable not in os.environ and port == getattr(Settings, variable[5:].lower())
        # Whoever serves elsewhere, and asks from another shell, must see that we looked here.
        because = f" ({variable} is not set)" if usual and name == "gateway" else ""
        try:
            ports.check(settings.host, port, variable)
        except CliError as error:
            ours = await _answers(settings.host, port, path)
            if ours and demo:
                findings.append(
                    Finding(f"port {port}", f"the {name} of the demo that is running{because}")
                )
            elif demo and await _listens(settings.host, port):
                findings.append(
                    Finding(
                        f"port {port}",
                        f"taken, and what listens there does not answer as the {name}",
                        advice=f"If it is the demo's {name}, it hangs: stop the demo and start it again.",
                        advice_ko="데모의 것이라면 멈춘 상태입니다. 데모를 끄고 다시 시작하세요.",
                    )
                )
            elif ours and name == "gateway":
                findings.append(
                    Finding(f"port {port}", f"in use: `naru serve`, if it runs here{because}")
                )
            else:
                findings.append(Finding(f"port {port}", f"in use{because}", advice=str(error)))
        else:
            findings.append(Finding(f"port {port}", f"free{because}"))
    return findings


def _public_url(settings: Settings) -> Finding:
    parts = urlsplit(settings.public_url)
    local = is_loopback(settings.public_url)
    if parts.scheme != "https" and not local:
        return Finding(
            "public URL",
            settings.public_url,
            bad=True,
            advice="Use https: buyers' browsers refuse payment windows without it.",
            advice_ko="https 를 쓰세요. https 가 아니면 브라우저가 결제창을 막습니다.",
        )
    if local:
        return Finding(
            "public URL",
            settings.public_url,
            advice="Only this machine reaches it; set NARU_PUBLIC_URL for real buyers and PGs.",
            advice_ko="이 컴퓨터에서만 열립니다. 실제 구매자와 PG 를 위해 NARU_PUBLIC_URL 을 정하세요.",
        )
    return Finding("public URL", settings.public_url)


def _private_addresses(settings: Settings) -> Finding:
    if settings.allow_private_addresses:
        return Finding(
            "private addresses",
            "allowed",
            advice="Right for a demo only: webhooks could be sent into your own network.",
            advice_ko="데모에만 알맞습니다. 웹훅이 내부망으로 나갈 수 있습니다.",
        )
    if _demo_runs(settings):
        return Finding("private addresses", "allowed in the demo that is running, and nowhere else")
    return Finding("private addresses", "refused")


def _disk(settings: Settings) -> Finding:
    folder = next(
        each for each in (settings.home, *settings.home.absolute().parents) if each.is_dir()
    )
    usage = shutil.disk_usage(folder)
    free, share = usage.free, usage.used / (usage.used + usage.free)
    shown = f"{free / 1e9:.1f} GB free, {share:.0%} used"
    if free < FREE_BYTES:
        return Finding(
            "disk",
            shown,
            bad=True,
            advice=f"Make room where {folder} is.",
            advice_ko=f"{folder} 의 디스크를 비우세요.",
        )
    if share > DISK_USED_MAX:
        return Finding(
            "disk",
            shown,
            advice=f"Make room where {folder} is before it is full.",
            advice_ko=f"{folder} 의 디스크가 차기 전에 비우세요.",
        )
    return Finding("disk", shown)


def _chromium() -> Finding:
    named = os.environ.get("NARU_CHROMIUM")
    path = named or next((found for each in CHROMIUM if (found := shutil.which(each))), None)
    if path is None:
        return Finding(
            "Chromium",
            "none",
            advice="Needed for `make test` only, which installs it.",
            advice_ko="`make test` 에만 필요하며, 그때 설치됩니다.",
        )
    return Finding("Chromium", path)
