"""Every change of an operator or of the API leaves a row, and no row can be touched unseen (P20)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from naru.domain.acting import Acting, acting
from naru.domain.merchant import Merchant
from naru.jobs.timetable import timetable
from naru.store import Store
from tests.support.gateway import open_house
from tests.support.house import make_merchant, make_payment
from tests.support.scale import often

OPERATOR = Acting("naru merchant set", who="operator kim@desk")

pytestmark = pytest.mark.promise("P20")


@pytest.fixture
async def merchant(store: Store) -> Merchant:
    acting.set(OPERATOR)
    return await make_merchant(store)


@asynccontextmanager
async def triggers_off(sql: asyncpg.Connection) -> AsyncIterator[None]:
    """What a superuser can do: no trigger fires, no rule holds."""
    await sql.execute("SET session_replication_role = replica")
    yield
    await sql.execute("SET session_replication_role = origin")


async def rename(store: Store, merchant: Merchant, *names: str) -> None:
    for name in names:
        async with store.begin() as tx:
            await tx.merchants.change(replace(merchant, name=name))


async def broken(store: Store, anchor: str | None = None) -> list[str]:
    async with store.direct() as session:
        return [
            f"{each.chain}/{each.place} {each.why}"
            for each in await session.audit_log.broken(anchor)
        ]


async def test_a_change_says_who_what_before_and_after(store: Store, merchant: Merchant) -> None:
    await rename(store, merchant, "당근상점")
    async with store.direct() as session:
        newest, *older = await session.audit_log.newest(merchant.id)
    assert (newest.who, newest.what) == ("operator kim@desk", "naru merchant set")
    assert (newest.subject, newest.change) == (f"merchants {merchant.id}", "update")
    assert (newest.before, newest.after) == ({"name": merchant.name}, {"name": "당근상점"})
    assert [each.subject.split()[0] for each in older] == ["channels", "user_codes", "merchants"]
    assert await broken(store) == []


async def test_a_change_that_is_rolled_back_leaves_no_row(store: Store, merchant: Merchant) -> None:
    before = await rows(store)

    async def change_and_fail() -> None:
        async with store.begin() as tx:
            await tx.merchants.add_user_code(merchant.id, "imp_other")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    assert await rows(store) == before


async def test_a_change_that_changes_nothing_leaves_no_row(
    store: Store, merchant: Merchant
) -> None:
    before = await rows(store)
    await rename(store, merchant, merchant.name)
    assert await rows(store) == before


async def rows(store: Store) -> int:
    async with store.direct() as session:
        return (await session.audit_log.size())[0]


async def test_of_a_secret_only_its_name_is_kept(
    store: Store, merchant: Merchant, sql: asyncpg.Connection
) -> None:
    async with store.begin() as tx:
        [channel] = await tx.channels.of_merchant(merchant.id)
        await tx.channels.change_settings(channel.id, {**channel.settings, "secret": "CANARY-NEW"})
        await tx.merchants.add_key(merchant.id, "the-key", b"CANARY-HASH")
    async with store.begin() as tx:
        await tx.merchants.change(replace(merchant, webhook_secret="whsec_CANARYCANARY"))
    async with store.direct() as session:
        secret, key, settings, *_ = await session.audit_log.newest(merchant.id)
    assert settings.subject == "channels " + channel.channel_key
    assert secret.after is not None
    assert secret.after["webhook_secret"] == "(hidden)"
    assert key.after is not None
    assert key.after["secret_hash"] == "(hidden)"
    if isinstance(settings.after and settings.after["settings"], list):
        assert settings.after == {"settings": ["secret"]}
    whole = await sql.fetchval("SELECT string_agg(l::text, ' ') FROM audit_log l")
    assert "CANARY" not in whole
    assert b"CANARY".hex() not in whole
    assert str(channel.settings["secret"]) not in whole


async def test_hands_that_write_their_own_sql_are_seen(
    store: Store, merchant: Merchant, sql: asyncpg.Connection
) -> None:
    await sql.execute("UPDATE merchants SET live = true WHERE id = $1", merchant.id)
    async with store.direct() as session:
        [newest, *_] = await session.audit_log.newest(merchant.id)
    assert newest.who.startswith("database user ")
    assert (newest.what, newest.after) == ("by hand", {"live": True})


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit_log SET who = 'somebody else'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "INSERT INTO audit_log SELECT chain, place + 1000, at, who, what, address, subject, change,"
        " before, after, hash FROM audit_log",
        "UPDATE audit_heads SET place = place - 1",
        "DELETE FROM audit_heads",
        "TRUNCATE audit_heads",
        "INSERT INTO audit_heads VALUES (999, 1, '')",
        "DELETE FROM audit_anchors",
        "UPDATE audit_anchors SET heads = '{}'",
    ],
)
async def test_the_log_refuses_hands(
    store: Store, merchant: Merchant, sql: asyncpg.Connection, attack: str
) -> None:
    async with store.begin() as tx:
        await tx.audit_log.anchor()
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute(attack)
    assert await broken(store) == []


# A superuser with every trigger off; the chain has places 1 to 3 for the merchant's birth, 4 to 8 here.
TAMPERINGS = {
    "remove one": "DELETE FROM audit_log WHERE chain = $1 AND place = 5",
    "remove one and close the gap": "WITH gone AS (DELETE FROM audit_log WHERE chain = $1 AND place = 5)"
    " UPDATE audit_log SET place = place - 1 WHERE chain = $1 AND place > 5",
    "remove the first": "DELETE FROM audit_log WHERE chain = $1 AND place = 1",
    "cut off the end": "DELETE FROM audit_log WHERE chain = $1 AND place > 6",
    "cut off everything": "DELETE FROM audit_log WHERE chain = $1",
    "change who": "UPDATE audit_log SET who = 'lee' WHERE chain = $1 AND place = 5",
    "change what": "UPDATE audit_log SET what = '' WHERE chain = $1 AND place = 5",
    "change when": "UPDATE audit_log SET at = at + interval '1 microsecond' WHERE chain = $1 AND place = 5",
    "change from where": "UPDATE audit_log SET address = '10.0.0.1' WHERE chain = $1 AND place = 5",
    "change the subject": "UPDATE audit_log SET subject = 'x' WHERE chain = $1 AND place = 5",
    "change what it was": "UPDATE audit_log SET before = '{}' WHERE chain = $1 AND place = 5",
    "change what it became": 'UPDATE audit_log SET after = after || \'{"name": "x"}\''
    " WHERE chain = $1 AND place = 5",
    "change the newest": "UPDATE audit_log SET who = 'lee' WHERE chain = $1 AND place = 8",
    "change a hash": "UPDATE audit_log SET hash = sha256('x') WHERE chain = $1 AND place = 5",
    "change who and the row's own hash": "UPDATE audit_log SET who = 'lee' WHERE chain = $1 AND place = 5;"
    " UPDATE audit_log l SET hash = audit_hash((SELECT hash FROM audit_log WHERE chain = $1 AND place = 4), l)"
    " WHERE chain = $1 AND place = 5",
    "swap two": "UPDATE audit_log SET place = CASE place WHEN 5 THEN 6 ELSE 5 END"
    " WHERE chain = $1 AND place IN (5, 6)",
    "give a row to another chain": "UPDATE audit_log SET chain = $1 + 1000 WHERE chain = $1 AND place = 8",
    "add one": "INSERT INTO audit_log SELECT chain, 9, at, who, what, address, subject, change, before,"
    " after, hash FROM audit_log WHERE chain = $1 AND place = 8",
    "move the head": "UPDATE audit_heads SET place = 7 WHERE chain = $1",
    "forget the head": "DELETE FROM audit_heads WHERE chain = $1",
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_a_superuser_who_tampers_is_found(
    store: Store, merchant: Merchant, sql: asyncpg.Connection, tampering: str
) -> None:
    await rename(store, merchant, *"abcde")
    assert await broken(store) == [], "the control: an untouched chain is whole"
    async with triggers_off(sql):
        if tampering in ("swap two", "remove one and close the gap"):
            await sql.execute("ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey")
        done = await sql.execute(TAMPERINGS[tampering].replace("$1", str(merchant.id)))
    assert not done.endswith(" 0") or tampering == "remove one and close the gap", (
        "it did something"
    )
    found = await broken(store)
    assert found
    assert all(each.startswith(f"{merchant.id}") for each in found)


async def test_a_chain_written_anew_from_its_first_row_is_found_by_the_anchor(
    store: Store, merchant: Merchant, sql: asyncpg.Connection
) -> None:
    """Whoever can compute every hash again, and the heads, leaves a chain that is whole in itself."""
    await rename(store, merchant, *"abcde")
    async with store.begin() as tx:
        assert await tx.audit_log.anchor()
    async with store.begin() as tx:
        assert not await tx.audit_log.anchor(), "once a day"
        printed = await tx.audit_log.anchored()
    assert await broken(store, printed) == []

    async def write_anew(chain: int) -> None:
        previous = b""
        for row in await sql.fetch(
            "SELECT place FROM audit_log WHERE chain = $1 ORDER BY place", chain
        ):
            previous = await sql.fetchval(
                "UPDATE audit_log l SET hash = audit_hash($3, l) WHERE chain = $1 AND place = $2"
                " RETURNING hash",
                chain, row["place"], previous,
            )  # fmt: skip
        await sql.execute("UPDATE audit_heads SET hash = $2 WHERE chain = $1", chain, previous)

    async with triggers_off(sql):
        await sql.execute(
            "UPDATE audit_log SET who = 'lee' WHERE chain = $1 AND place = 5", merchant.id
        )
        await write_anew(merchant.id)
    [found] = await broken(store)
    assert "anchor of" in found
    async with triggers_off(sql):
        # The forger goes on: the anchor, its row in chain 0, and chain 0 itself.
        heads = await sql.fetchval(
            "SELECT jsonb_object_agg(chain, jsonb_build_array(place, encode(hash, 'hex')))::text"
            " FROM audit_heads WHERE chain <> 0"
        )
        await sql.execute("UPDATE audit_anchors SET heads = $1", heads)
        await sql.execute(
            "UPDATE audit_log SET after = after || jsonb_build_object('heads', $1::jsonb)"
            " WHERE chain = 0",
            heads,
        )
        await write_anew(0)
    assert await broken(store) == [], "inside the database nothing tells any more"
    assert [each for each in await broken(store, printed) if "printed anchor" in each]


async def test_many_at_once_make_one_whole_chain(store: Store, merchant: Merchant) -> None:
    before = await rows(store)

    async def write(number: int) -> None:
        async with store.begin() as tx:
            await tx.merchants.add_user_code(merchant.id, f"code{number}")
            if number % 7 == 0:
                await tx.merchants.add_key(merchant.id, f"key{number}", b"x")

    await asyncio.gather(*(write(number) for number in range(64)))
    assert await rows(store) == before + 64 + 10
    assert await broken(store) == []


async def test_what_it_costs_a_cancel(
    store: Store, merchant: Merchant, sql: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row of a cancel's journal with and without its audit row, one after the other."""

    async def seconds(count: int) -> float:
        payments = []
        for _ in range(count):
            payments.append(await make_payment(store, merchant))
        began = time.perf_counter()
        for each in payments:
            async with store.begin() as tx:
                await tx.payments.claim_for_approval(
                    each.imp_uid, each.started_at, each.started_at, "card", {}
                )
        return (time.perf_counter() - began) / count

    times = often(30, 500)
    await seconds(5)
    with_log = await seconds(times)
    audited = await rows(store)
    token = acting.set(None)
    without = await seconds(times)
    acting.reset(token)
    assert await rows(store) == audited
    with capsys.disabled():
        print(
            f"\naudit log: a journal row {with_log * 1e3:.2f} ms with it, {without * 1e3:.2f} ms without"
            f" (+{(with_log - without) * 1e6:.0f} us)"
        )


async def test_the_name_of_who_acts_cannot_leave_its_quotes(
    store: Store, merchant: Merchant
) -> None:
    hostile = "'; DROP TABLE audit_log; --\r\n\x00\\ \ud800 \u2028"
    acting.set(Acting(hostile, who=hostile, address=hostile * 100))
    await rename(store, merchant, "x")
    async with store.direct() as session:
        [newest, *_] = await session.audit_log.newest(merchant.id)
    assert newest.who.startswith("'; DROP TABLE audit_log; --")
    assert len(newest.address or "") == 200
    assert json.dumps([newest.who, newest.what]).count("\\n") == 0
    assert await broken(store) == []


async def test_the_worker_logs_the_anchor_once_a_day(
    store: Store, merchant: Merchant, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_house(database_url, "http://127.0.0.1:1") as house:
        [anchoring] = [each for each in timetable(house.gateway) if "audit log" in each.name]
        for _ in range(3):
            await anchoring.walk()
    [line] = [each.getMessage() for each in caplog.records if "anchor" in each.getMessage()]
    anchor = line.removeprefix("audit log anchor ")
    assert await broken(store, anchor) == []
    assert await broken(store, anchor[:-1] + ("0" if anchor[-1] != "0" else "1")) != []
