"""Migrations: each once, never changed, safe from many places. For naru/store/migrate.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from naru.store import Store
from naru.store.migrate import MigrationChanged, applied, files, migrate
from tools.dump_schema import SCHEMA, dump_schema

if TYPE_CHECKING:
    from tests.support.postgres import Databases


async def test_a_database_is_migrated_once(empty_database_url: str) -> None:
    names = [name for name, _ in files()]
    assert await migrate(empty_database_url) == names
    assert await migrate(empty_database_url) == []
    store = await Store.open(empty_database_url)
    async with store.direct() as session:
        assert await session.merchants.all() == []
    await store.close()


@pytest.mark.fault("L2_DU")
async def test_many_that_migrate_at_once_do_it_once_together(empty_database_url: str) -> None:
    ends = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(map(len, ends)) == [0, 0, 0, len(files())]


async def test_a_migration_that_was_changed_afterwards_is_refused(
    empty_database_url: str,
) -> None:
    await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        "UPDATE schema_migrations SET digest = 'another' WHERE name = $1", files()[0][0]
    )
    with pytest.raises(MigrationChanged, match=files()[0][0]):
        await migrate(empty_database_url)
    await connection.close()


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("CREATE TABLE payment_events (stranger int)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty_database_url)
    assert await applied(connection) == {}
    assert await connection.fetchval("SELECT to_regclass('payments')") is None
    await connection.execute("DROP TABLE payment_events")
    await connection.close()
    assert await migrate(empty_database_url) == [name for name, _ in files()]


async def test_an_order_whose_cash_was_told_twice_is_named_and_nothing_is_changed(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0026 allows one living receipt of an order; the version before it allowed two."""
    everything = files()
    before = [each for each in everything if each[0] < "0026"]
    with monkeypatch.context() as yesterday:
        yesterday.setattr("naru.store.migrate.files", lambda: before)
        await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    # What the version before wrote, without its triggers: only these rows matter here.
    await connection.execute(
        "SET session_replication_role = replica;"
        "INSERT INTO merchants (name) VALUES ('상점');"
        "INSERT INTO channels (merchant_id, channel_key, pg_code, mid, connector, test)"
        " VALUES (1, 'c', 'kcp', 'T0', 'sandbox', true);"
        "INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox,"
        " surface, pay_method, step, event, amount, currency, pg_order_no, started_at, paid_at, pg_tid)"
        " VALUES ('imp_000000000001', 1, 'order-1', 1, 'kcp', 'T0', true, 'api', 'vbank', 'paid',"
        " 'approved', 5000, 'KRW', 'n1', now(), now(), 't1');"
        "INSERT INTO cash_receipts (merchant_id, channel_id, imp_uid, merchant_uid, number, state, type,"
        " amount, tax_free, vat, asked_at, receipt_tid, apply_num, applied_at) VALUES"
        " (1, 1, 'imp_000000000001', NULL, 'cHERE', 'issued', 'person', 5000, 0, 454, now(), 't', '1', now()),"
        " (1, 1, NULL, 'order-1', 'cELSEWHERE', 'issued', 'person', 5000, 0, 454, now(), 't', '2', now()),"
        " (1, 1, NULL, 'order-2', 'cALONE', 'issued', 'person', 5000, 0, 454, now(), 't', '3', now());"
    )
    said = (
        "the tax office was told twice of one order's cash: order order-1 of merchant 1 has "
        "cHERE (DELETE /receipts/imp_000000000001) and cELSEWHERE (DELETE /receipts/external/order-1). "
        "Take all but one back by the version that runs now, and migrate again"
    )

    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await migrate(empty_database_url)

    assert str(refused.value) == said
    assert set(await applied(connection)) == {name for name, _ in before}
    count = "SELECT count(*) FROM cash_receipts WHERE state = 'issued'"
    assert await connection.fetchval(count) == 3
    # The control: as soon as one of them was taken back, nothing is in the way.
    await connection.execute(
        "UPDATE cash_receipts SET state = 'cancelled', cancels = 1, cancel_asked_at = now(),"
        " cancelled_at = now() WHERE number = 'cELSEWHERE'"
    )
    assert (await migrate(empty_database_url))[0] == "0026_one_receipt.sql"
    kept = await connection.fetch("SELECT number, merchant_uid FROM cash_receipts ORDER BY number")
    assert ("cHERE", "order-1") in [tuple(row) for row in kept]
    await connection.close()


def test_the_numbers_of_migrations_rise_by_one() -> None:
    assert [int(name[:4]) for name, _ in files()] == list(range(1, len(files()) + 1))


def test_schema_sql_is_what_all_migrations_add_up_to(databases: Databases) -> None:
    """When this fails: `.venv/bin/python -m tools.dump_schema`, and read what changed."""
    assert dump_schema(databases.server, "naru_schema") == SCHEMA.read_text("utf-8")
