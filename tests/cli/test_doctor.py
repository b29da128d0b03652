"""`naru doctor` finds what is wrong, and says so in a way that can be acted on."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from naru.cli.doctor import Finding, examine
from naru.cli.main import main
from naru.config import Settings
from naru.store import Store
from naru.store.queue import open_worker
from tests.support.postgres import Databases, postgres_server

Say = Callable[..., tuple[int, str, str]]


def one(findings: list[Finding], what: str) -> Finding:
    """The only finding about this."""
    [found] = [each for each in findings if each.what == what]
    return found


async def test_a_forgetful_server_is_found_and_everything_else_is_well(
    database_url: str, tmp_path: Path
) -> None:
    # The tests' own server has durability off: exactly what the doctor is there to find.
    findings = await examine(
        Settings(
            database_url=database_url,
            home=tmp_path,
            secret=b"a root key of this test, long enough",
            port=1024,
        )
    )

    assert one(findings, "database").found.startswith("PostgreSQL ")
    assert one(findings, "migrations").found == "up to date"
    assert not one(findings, "clock").bad
    assert one(findings, "durability").bad
    assert "power cut" in one(findings, "durability").advice
    assert [each.what for each in findings if each.bad] == ["durability", "workers"]


async def test_a_durable_server_is_not_complained_of(tmp_path: Path) -> None:
    with postgres_server(durable=True) as server:
        databases = Databases(server)
        try:
            findings = await examine(
                Settings(
                    database_url=databases.new(),
                    home=tmp_path,
                    secret=b"a root key of this test, long enough",
                )
            )
        finally:
            databases.close()
    assert [each.what for each in findings if each.bad] == ["workers"]


async def test_missing_migrations_are_found(empty_database_url: str, tmp_path: Path) -> None:
    findings = await examine(Settings(database_url=empty_database_url, home=tmp_path))

    assert one(findings, "migrations").bad
    assert one(findings, "migrations").advice == "Run `naru migrate`."


async def test_each_mistake_has_its_advice(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        findings = await examine(
            Settings(
                database_url="postgresql://u:hunter2@127.0.0.1:1/naru",
                home=tmp_path / "not" / "there",
                port=port,
                public_url="http://pay.example.com",
                allow_private_addresses=True,
            )
        )

    assert one(findings, "database").bad
    assert one(findings, "root key").bad
    assert one(findings, "public URL").bad
    assert one(findings, f"port {port}").found == "in use"
    assert one(findings, "private addresses").advice
    assert not one(findings, "disk").bad
    assert all(each.advice for each in findings if each.bad)
    assert "hunter2" not in str(findings)


async def test_a_root_key_that_others_can_read_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NARU_SECRET", raising=False)
    (tmp_path / "secret").write_text("s" * 64)
    (tmp_path / "secret").chmod(0o644)

    findings = await examine(Settings.read({"NARU_HOME": str(tmp_path)}))

    assert one(findings, "root key").advice == f"chmod 600 {tmp_path / 'secret'}"


async def test_workers_that_live_are_counted_and_none_is_a_fault(
    database_url: str, tmp_path: Path
) -> None:
    async def look() -> Finding:
        return one(await examine(Settings(database_url=database_url, home=tmp_path)), "workers")

    assert (await look()).bad
    living = [await open_worker(database_url) for _ in range(2)]
    try:
        found = await look()
        assert (found.found[:8], found.bad) == ("2 living", False)
    finally:
        for _, connection in living:
            connection.terminate()


async def test_a_port_that_speaks_http_may_be_our_own(tmp_path: Path) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        findings = await examine(Settings(home=tmp_path, port=port))
    assert "naru serve" in one(findings, f"port {port}").found


async def test_which_port_is_looked_at_is_said_when_nobody_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NARU_PORT", raising=False)
    home = {"NARU_HOME": str(tmp_path)}

    usual = one(await examine(Settings.read(home)), "port 8800")
    monkeypatch.setenv("NARU_PORT", "8800")
    named = one(await examine(Settings.read({**home, "NARU_PORT": "8800"})), "port 8800")

    assert usual.found == f"{named.found} (NARU_PORT is not set)"


async def test_a_live_channel_at_the_sandbox_is_found_with_one_command_in_both_languages(
    database_url: str, tmp_path: Path
) -> None:
    store = await Store.open(database_url, 1, root_key=bytes(32))
    try:
        async with store.begin() as tx:
            merchant = await tx.merchants.add(
                "상점", ["imp00000901"], live=True, webhook_secret=None
            )
            await tx.channels.add(
                merchant, "ch-901", "kcp", "T0", "sandbox", test=False, settings={}, is_default=True
            )
        found = await examine(Settings(database_url=database_url, home=tmp_path))
    finally:
        await store.close()

    sandbox = one(found, "sandbox PG")
    assert sandbox.bad
    for advice in (sandbox.advice, sandbox.advice_ko):
        assert f"`naru merchant set {merchant} allow_test_channels yes`" in advice


def test_the_exit_status_tells_a_script(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    table = capsys.readouterr().out

    assert status == 1
    assert "✗ durability 내구성" in table
    assert "→ Turn it on:" in table
    assert "켜 두세요." in table
    assert "✓ migrations" in table


def test_the_databases_address_can_be_handed_to_other_programs(say: Say, cli_database: str) -> None:
    assert say("doctor", "--database-url")[:2] == (0, cli_database + "\n")
