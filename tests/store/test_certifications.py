"""Certifications at rest: hand-written SQL is refused, and a person moves to a new key unharmed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from naru.domain.certification import Certification, Person, Stage
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.merchant import Merchant
from naru.store import Store
from naru.store.keys import reseal
from tests.support.house import make_merchant

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
NARU = Person("김나루", date(1990, 7, 20), "female", False, None, None, "c" * 88, "d" * 64)
WHO = "WHERE imp_uid = '{}'"
BEGIN = (
    "INSERT INTO certifications (imp_uid, merchant_id, channel_id, pg_code, sandbox, number, stage,"
    " opened_at) SELECT 'imp_999999999999', {}, {}, pg_code, sandbox, 'n9', {}, opened_at"
    f" FROM certifications {WHO.replace('{}', '{{}}')}"
)

# Whom it strikes: an opened one (o), a waiting one (w), a certified one (c), a failed one (f), a deleted
# one (d). What it does. Why it is refused.
ATTACKS: list[tuple[str, str, str]] = [
    ("o", f"UPDATE certifications SET stage = 'deleted', sealed = NULL {WHO}", "does not become"),
    ("o", f"UPDATE certifications SET stage = 'waiting' {WHO}", "does not become"),
    ("w", f"UPDATE certifications SET stage = 'opened' {WHO}", "does not become"),
    ("w", f"UPDATE certifications SET tries = tries - 1 {WHO}", "is about never changes"),
    ("w", f"UPDATE certifications SET number = 'other' {WHO}", "is about never changes"),
    ("o", f"UPDATE certifications SET min_age = 0 {WHO}", "is about never changes"),
    ("o", f"UPDATE certifications SET merchant_id = merchant_id + 1 {WHO}", "is about never changes"),
    ("c", f"UPDATE certifications SET stage = 'failed', sealed = NULL {WHO}", "does not become"),
    ("c", f"UPDATE certifications SET certified_at = now() {WHO}", "was certified never changes"),
    ("f", f"UPDATE certifications SET stage = 'certified' {WHO}", "does not become"),
    ("d", f"UPDATE certifications SET stage = 'certified' {WHO}", "does not become"),
    ("c", f"DELETE FROM certifications {WHO}", "rows of certifications are never changed"),
    ("o", "TRUNCATE certifications", "rows of certifications are never changed"),
    ("o", BEGIN.format("merchant_id", "channel_id", "'certified'"), "does not begin as"),
    ("o", BEGIN.format("merchant_id + 1", "channel_id", "'opened'"), "not for certifications"),
    ("o", BEGIN.format("merchant_id", "(SELECT id FROM channels WHERE kind = 'payment' LIMIT 1)",
                       "'opened'"), "not for certifications"),
]  # fmt: skip


async def make_certification(
    store: Store, merchant: Merchant, number: int, stage: Stage = Stage.OPENED
) -> Certification:
    """One of this merchant, with a page and something filled in when it begins with a window."""
    window = stage is Stage.OPENED
    async with store.begin() as tx:
        channels = await tx.channels.of_merchant(merchant.id)
        channel = next(each for each in channels if each.kind == "certification")
        opened = await tx.certifications.open(
            Certification(
                imp_uid=ImpUid(f"imp_{number:012d}"),
                merchant_id=merchant.id,
                merchant_uid=MerchantUid("who-1"),
                channel_id=channel.id,
                pg_code=channel.pg_code,
                sandbox=True,
                number=f"n{number}",
                stage=stage,
                opened_at=NOW,
                window_mode="popup" if window else None,
                page_origin="https://shop.example" if window else None,
                min_age=19 if window else None,
                prefill={"name": "김나루"} if window else {},
                origin="https://shop.example/join" if window else None,
            ),
            b"h" * 32 if window else None,
        )
    assert opened is not None
    return opened


@pytest.fixture
async def merchant(store: Store) -> Merchant:
    made, _ = await make_merchant(store), await make_merchant(store)
    async with store.begin() as tx:
        await tx.channels.add(
            made.id, "channel-key-id", "danal", "M1", "sandbox", test=True, settings={},
            kind="certification",
        )  # fmt: skip
    return made


async def victims(store: Store, merchant: Merchant) -> dict[str, str]:
    """One certification of each kind."""
    o, c, f, d = [await make_certification(store, merchant, n) for n in range(1, 5)]
    w = await make_certification(store, merchant, 5, Stage.ASKING)
    async with store.begin() as tx:
        for certified in (c, d):
            assert await tx.certifications.certify(certified, NARU, NOW, "tid") is not None
        assert await tx.certifications.fail(f.imp_uid, "X", "그만") is not None
        assert await tx.certifications.delete(d.imp_uid, merchant.id)
        assert await tx.certifications.wait(w.imp_uid) is not None
        before = NOW - timedelta(minutes=3)
        assert await tx.certifications.try_code(w.imp_uid, merchant.id, before, NOW, NOW)
    return {each: one.imp_uid for each, one in zip("ocfdw", (o, c, f, d, w), strict=True)}


async def test_every_attack_is_refused_for_its_reason(
    store: Store, sql: asyncpg.Connection, merchant: Merchant
) -> None:
    who = await victims(store, merchant)
    before = await sql.fetch("SELECT * FROM certifications ORDER BY 1")

    for victim, attack, reason in ATTACKS:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
            await sql.execute(attack.replace("{}", who[victim]))
        assert re.search(reason, str(refusal.value)), (attack, str(refusal.value))

    assert await sql.fetch("SELECT * FROM certifications ORDER BY 1") == before


async def test_without_the_triggers_every_attack_does_harm(
    store: Store, sql: asyncpg.Connection, merchant: Merchant
) -> None:
    """The control. What a CHECK refuses besides is dropped with it."""
    who = await victims(store, merchant)
    checks = await sql.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'certifications'::regclass AND contype = 'c'"
    )
    for victim, attack, _ in ATTACKS:
        harm = sql.transaction()
        await harm.start()
        for check in checks:
            await sql.execute(f"ALTER TABLE certifications DROP CONSTRAINT {check['conname']}")
        await sql.execute("ALTER TABLE certifications DISABLE TRIGGER ALL")
        done = await sql.execute(attack.replace("{}", who[victim]))
        assert done.startswith("TRUNCATE") or int(done.split()[-1]) > 0, attack
        await harm.rollback()


async def test_who_did_not_succeed_leaves_nothing_of_themselves(
    store: Store, sql: asyncpg.Connection, merchant: Merchant
) -> None:
    who = await victims(store, merchant)
    rows = await sql.fetch("SELECT imp_uid, sealed IS NULL AS empty FROM certifications")

    empty = {row["imp_uid"] for row in rows if row["empty"]}

    assert empty == {who["f"], who["d"], who["w"]}


async def test_a_person_moves_to_a_new_data_key(
    store: Store, sql: asyncpg.Connection, merchant: Merchant
) -> None:
    who = await victims(store, merchant)
    async with store.direct() as session:
        newest = await session.keys.rotate()

    _, broken = await reseal(store)

    assert broken == []
    keys = await sql.fetch("SELECT DISTINCT data_key FROM certifications WHERE sealed IS NOT NULL")
    assert [row["data_key"] for row in keys] == [newest]
    async with store.direct() as session:
        certified = await session.certifications.get(who["c"])
        opened = await session.certifications.get(who["o"])
    assert certified is not None
    assert opened is not None
    assert (certified.person, certified.prefill) == (NARU, {})
    assert opened.prefill == {"name": "김나루"}
