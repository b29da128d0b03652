"""What is secret is sealed, and opens only where it was put. For naru/store/seal.py and keys.py."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from naru.domain.errors import NaruError
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.outcome import AccountIssued, Deposited
from naru.domain.payment import Buyer, Payment, VirtualAccount
from naru.payments.gateway import Gateway
from naru.rest.authenticate import SignIn, sign_in, who_asks
from naru.rest.envelope import HttpRefusal
from naru.store import Store, StoreUnavailable, WrongRootKey
from naru.store.audit import audit
from naru.store.keys import KeyInUse, reseal
from naru.store.merchants import UNREADABLE
from naru.store.migrate import SEALING, files, migrate
from naru.store.payments import open_private
from naru.store.seal import (
    LOOK_AGAIN_SECONDS,
    PAYMENT_SECRETS,
    BrokenSeal,
    Keyring,
    UnknownDataKey,
)
from naru.wire import Wire
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant, make_payment
from tests.support.postgres import Databases
from tests.support.scale import often

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OTHER_ROOT = bytes(range(1, 33))
CANARIES = {
    "channels.settings": "CANARY-pg-secret-7Q",
    "merchants.webhook_secret": "whsec_Q0FOQVJZY2FuYXJ5Q0FOQVJZ",
    "buyer name": "CANARY-김철수",
    "buyer email": "canary-mail@example.com",
    "buyer tel": "010-9081-7263",
    "buyer addr": "CANARY-addr 77",
    "custom_data": "CANARY-custom",
    "request": "CANARY-free-key",
    "account number": "79959078731599",
    "depositor": "CANARY-depositor",
}


def ring(root: bytes = ROOT_KEY, **how: Any) -> Keyring:
    """A keyring with one data key."""
    keyring = Keyring(root, **how)
    keyring.learn([keyring.make_key(1)])
    return keyring


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def private_payment(store: Store, merchant: Merchant) -> Payment:
    """A payment that waits for its deposit, every sealed field of which is a canary."""
    template = await make_payment(store, merchant)
    payment = replace(
        template,
        imp_uid=template.imp_uid.replace("imp_0", "imp_7"),  # type: ignore[arg-type]
        merchant_uid=template.merchant_uid + "-private",  # type: ignore[arg-type]
        pg_order_no=template.pg_order_no.replace("n0", "n7"),
        buyer=Buyer(*(CANARIES[f"buyer {name}"] for name in ("name", "email", "tel", "addr"))),
        custom_data=CANARIES["custom_data"],
        request={"unknown": {"key": CANARIES["request"]}, "buyer_tel": CANARIES["buyer tel"]},
    )
    account = VirtualAccount("004", "국민", CANARIES["account number"], "상점", NOW, NOW)
    async with store.begin() as tx:
        assert await tx.payments.open(payment, None) is not None
        claimed = await tx.payments.claim_for_approval(payment.imp_uid, NOW, NOW, None, {})
        assert claimed is not None
        waiting = await tx.payments.settle_account(
            claimed, AccountIssued(claimed.pg_order_no, claimed.amount, "tid", account)
        )
        assert waiting is not None
        deposited = Deposited(
            notice_key=f"k/{payment.imp_uid}",
            order_no=payment.pg_order_no,
            pg_tid="tid",
            amount=Money(1004),
            depositor=CANARIES["depositor"],
            deposited_at=NOW,
        )
        assert await tx.deposits.book(
            payment.channel_id, deposited, payment.imp_uid, "unknown_order", NOW
        )
    return waiting


async def secretive_merchant(store: Store) -> Merchant:
    """A merchant whose webhook secret and channel settings are canaries."""
    merchant = await make_merchant(store, webhook_secret=CANARIES["merchants.webhook_secret"])
    async with store.begin() as tx:
        [channel] = await tx.channels.of_merchant(merchant.id)
        settings = {"url": "http://127.0.0.1:1", "secret": CANARIES["channels.settings"]}
        await tx.channels.change_settings(channel.id, settings)
    return merchant


# The seal itself.


def test_what_is_sealed_opens_in_its_place_and_in_no_other() -> None:
    keyring = ring()
    blob = keyring.seal("비밀".encode(), "channels.settings", "key-1")
    assert keyring.open(blob, "channels.settings", "key-1").decode() == "비밀"
    for place, row in (("channels.settings", "key-2"), ("merchants.webhook_secret", "key-1")):
        with pytest.raises(BrokenSeal):
            keyring.open(blob, place, row)
    # The border between place and row is part of what is bound.
    with pytest.raises(BrokenSeal):
        keyring.open(blob, "channels.setting", "skey-1")


def test_every_changed_bit_and_every_cut_is_noticed() -> None:
    keyring = ring()
    blob = keyring.seal(b"x" * 20, "p", 1)
    noticed = 0
    for place, bit in itertools.product(range(len(blob)), range(8)):
        changed = bytearray(blob)
        changed[place] ^= 1 << bit
        with pytest.raises((BrokenSeal, UnknownDataKey)):
            keyring.open(bytes(changed), "p", 1)
        noticed += 1
    for length in range(len(blob)):
        with pytest.raises(BrokenSeal):
            keyring.open(blob[:length], "p", 1)
    assert noticed == len(blob) * 8
    assert keyring.open(blob, "p", 1) == b"x" * 20


def test_another_root_key_opens_nothing_and_is_told_at_once() -> None:
    keyring = Keyring(ROOT_KEY)
    row = keyring.make_key(1)
    with pytest.raises(WrongRootKey):
        Keyring(OTHER_ROOT).learn([row])
    with pytest.raises(WrongRootKey):
        Keyring(None).seal(b"", "p", 1)
    renewed = Keyring(OTHER_ROOT, ROOT_KEY)
    renewed.learn([row])
    keyring.learn([row])
    assert renewed.open(keyring.seal(b"x", "p", 1), "p", 1) == b"x"


def repeated_nonces(keyring: Keyring, count: int) -> int:
    """How many of so many blobs share their nonce with an earlier one."""
    buckets = [bytearray() for _ in range(256)]
    for _ in range(count):
        nonce = keyring.seal(b"", "p", 1)[5:17]
        buckets[nonce[0]] += nonce
    repeated = 0
    for bucket in buckets:
        nonces = {bytes(bucket[at : at + 12]) for at in range(0, len(bucket), 12)}
        repeated += len(bucket) // 12 - len(nonces)
    return repeated


@pytest.mark.promise("P19")
def test_no_nonce_is_used_twice() -> None:
    count = often(100_000, 10_000_000)
    control = ring(random=lambda size: os.urandom(2) + bytes(size - 2))
    found, planted = repeated_nonces(ring(), count), repeated_nonces(control, 100_000)
    print(f"\nnonces: {found} of {count} repeated; control, 16 random bits: {planted} of 100000")
    assert found == 0
    assert planted > 30_000


# In the database.


async def test_everything_sealed_is_read_back_as_it_was(store: Store) -> None:
    merchant = await secretive_merchant(store)
    waiting = await private_payment(store, merchant)
    async with store.direct() as session:
        read = await session.payments.get(waiting.imp_uid)
        [channel] = await session.channels.of_merchant(merchant.id)
        again = await session.merchants.get(merchant.id)
        [deposit] = await session.deposits.of_payment(waiting.imp_uid)
    assert read == waiting
    assert read is not None
    assert read.buyer.tel == CANARIES["buyer tel"]
    assert read.request["unknown"] == {"key": CANARIES["request"]}
    assert read.virtual_account is not None
    assert read.virtual_account.number == CANARIES["account number"]
    assert channel.settings["secret"] == CANARIES["channels.settings"]
    assert again is not None
    assert again.webhook_secret == CANARIES["merchants.webhook_secret"]
    assert deposit["depositor"] == CANARIES["depositor"]


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE channels SET settings = convert_to('{\"secret\": \"plain\"}', 'UTF8')",
        "UPDATE merchants SET webhook_secret = convert_to('whsec_plain plain plain plain plain', 'UTF8')",
        "UPDATE payment_secrets SET sealed = convert_to('{\"tel\": \"010-1234-5678 010-1234-5678\"}', 'UTF8')",
        "UPDATE payment_secrets SET sealed = set_byte(sealed, 4, 99)",
        "UPDATE payment_secrets SET imp_uid = 'imp_000000000009'",
        "DELETE FROM payment_secrets",
        "DELETE FROM deposit_secrets",
        "TRUNCATE payment_secrets",
        "DELETE FROM data_keys",
    ],
)
async def test_plain_text_and_lost_blobs_are_refused_by_the_database(
    store: Store, sql: asyncpg.Connection, attack: str
) -> None:
    await private_payment(store, await secretive_merchant(store))
    with pytest.raises((asyncpg.IntegrityConstraintViolationError, asyncpg.CheckViolationError)):
        await sql.execute(attack)


@pytest.mark.fault("L4_WD")
async def test_a_blob_of_another_row_does_not_open_and_the_others_go_on(
    store: Store, sql: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    robbed, thief, third = [await secretive_merchant(store) for _ in range(3)]
    payments = [await private_payment(store, each) for each in (robbed, thief)]
    await sql.execute(
        "UPDATE channels SET settings = (SELECT settings FROM channels WHERE merchant_id = $1)"
        " WHERE merchant_id = $2",
        robbed.id,
        thief.id,
    )
    await sql.execute(
        "UPDATE merchants SET webhook_secret = (SELECT webhook_secret FROM merchants WHERE id = $1)"
        " WHERE id = $2",
        robbed.id,
        thief.id,
    )
    await sql.execute(
        "UPDATE payment_secrets SET sealed = (SELECT sealed FROM payment_secrets WHERE imp_uid = $1)"
        " WHERE imp_uid = $2",
        payments[0].imp_uid,
        payments[1].imp_uid,
    )
    async with store.direct() as session:
        [channel] = await session.channels.of_merchant(thief.id)
        with pytest.raises(BrokenSeal, match="does not open"):
            channel.settings["secret"]
        # Doors answer this one with 503 and "later", never with 500.
        with pytest.raises(StoreUnavailable, match=channel.channel_key):
            await session.channels.get(channel.id)
        merchants = {each.id: each for each in await session.merchants.all()}
        assert merchants[thief.id].webhook_secret == UNREADABLE
        assert merchants[robbed.id].webhook_secret == CANARIES["merchants.webhook_secret"]
        # Money goes before names: the payment can still be read, approved and given back.
        broken = await session.payments.get(payments[1].imp_uid)
        assert broken is not None
        assert (broken.amount, broken.step) == (payments[1].amount, payments[1].step)
        assert (broken.buyer, broken.request) == (Buyer(), {})
        for whole in (robbed, third):
            [channel] = await session.channels.of_merchant(whole.id)
            assert channel.settings["secret"] == CANARIES["channels.settings"]
    said = " ".join(record.getMessage() for record in caplog.records)
    assert payments[1].imp_uid in said
    assert not [each for each in CANARIES.values() if each in said]
    # A broken secret is mended by a new one, and only by that.
    async with store.begin() as tx:
        await tx.merchants.change(merchants[thief.id])
        unchanged = await tx.merchants.get(thief.id)
        assert unchanged is not None
        assert unchanged.webhook_secret == UNREADABLE
        await tx.merchants.change(replace(unchanged, webhook_secret="whsec_bmV3"))
        mended = await tx.merchants.get(thief.id)
    assert mended is not None
    assert mended.webhook_secret == "whsec_bmV3"


async def test_a_store_without_its_root_key_or_with_another_one_says_so(
    store: Store, database_url: str
) -> None:
    merchant = await make_merchant(store)
    with pytest.raises(WrongRootKey, match="root key"):
        await Store.open(database_url, root_key=OTHER_ROOT)
    bare = await Store.open(database_url)
    with pytest.raises(WrongRootKey):
        await make_payment(bare, merchant)
    async with bare.direct() as session:
        assert len(await session.merchants.all()) == 1
    await bare.close()


async def test_the_audit_finds_what_is_not_sealed_and_what_has_lost_its_key(
    store: Store, sql: asyncpg.Connection, database_url: str
) -> None:
    merchant = await secretive_merchant(store)
    payment = await private_payment(store, merchant)

    async def broken() -> list[str]:
        report = await audit(database_url)
        [check] = [each for each in report.checks if each.name == "sealed_at_rest"]
        return [each.id for each in check.examples]

    assert await broken() == []
    await sql.execute("ALTER TABLE channels DROP CONSTRAINT channels_sealed")
    await sql.execute("UPDATE channels SET settings = convert_to('plain', 'UTF8')")
    async with store.direct() as session:
        await session.keys.rotate()
        [channel] = await sql.fetch("SELECT channel_key FROM channels")
    await sql.execute("ALTER TABLE payment_secrets DROP CONSTRAINT payment_secrets_data_key_fkey")
    await sql.execute("ALTER TABLE deposit_secrets DROP CONSTRAINT deposit_secrets_data_key_fkey")
    await sql.execute("ALTER TABLE merchants DROP CONSTRAINT merchants_data_key_fkey")
    await sql.execute("DELETE FROM data_keys WHERE id = 1")
    found = await broken()
    assert f"channels {channel['channel_key']}" in found
    assert f"payment_secrets {payment.imp_uid}" in found
    assert f"merchants {merchant.id}" in found
    assert len(found) == 5


# At rest: tables, files and the write-ahead log.


def held(folder: Path, secrets: Iterable[bytes]) -> set[bytes]:
    """Which of these stand in the files of a folder."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found |= {each for each in secrets if each in content}
    return found


@pytest.mark.promise("P19")
async def test_no_secret_is_in_a_dump_nor_in_the_files_nor_in_the_log(
    store: Store, sql: asyncpg.Connection, databases: Databases, database_url: str
) -> None:
    merchant = await secretive_merchant(store)
    for _ in range(5):
        await private_payment(store, merchant)
    async with store.direct() as session:
        await session.keys.rotate()
    await reseal(store)
    control = "CONTROL-written-unsealed-" + str(merchant.id)
    for _ in range(5):  # Once may fall on the border of two pages of the log.
        await sql.execute("UPDATE merchants SET name = $1 WHERE id = $2", control, merchant.id)
    await sql.execute("CHECKPOINT")
    folder = await sql.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    dump = subprocess.run(
        [databases.server.program("pg_dump"), "--inserts", database_url],
        capture_output=True,
        check=True,
    ).stdout
    wanted = [each.encode() for each in CANARIES.values()] + [ROOT_KEY]
    texts = [control.encode(), *wanted]
    # The dump writes bytes in hex, so plain text in them would be there in hex.
    in_hex = {each for each in texts if each.hex().encode() in dump}
    places = {
        "dump": {each for each in texts if each in dump} | in_hex,
        "tables": held(databases.server.data / "base" / str(folder), texts),
        "log": held(databases.server.data / "pg_wal", texts),
    }
    for name, found in places.items():
        hits = found - {control.encode()}
        print(f"\n{name}: {len(hits)} of {len(wanted)} secrets; control found: {len(found) > 0}")
        assert hits == set(), name
        assert found == {control.encode()}, name


async def test_rows_of_the_time_before_are_sealed_by_the_migration(
    empty_database_url: str, databases: Databases
) -> None:
    before = [(name, text) for name, text in files() if name < "0007"]
    old = await asyncpg.connect(empty_database_url)
    await old.execute("CREATE TABLE schema_migrations (name text PRIMARY KEY, digest text NOT NULL,"
                      " applied_at timestamptz NOT NULL DEFAULT now())")  # fmt: skip
    for name, text in before:
        await old.execute(text)
        await old.execute(
            "INSERT INTO schema_migrations VALUES ($1, $2)",
            name,
            hashlib.sha256(text.encode()).hexdigest(),
        )
    await old.execute(OLD_ROWS)
    with pytest.raises(WrongRootKey):
        await migrate(empty_database_url)
    assert await old.fetchval("SELECT vbank_num FROM payments") == CANARIES["account number"]
    assert SEALING in await migrate(empty_database_url, ROOT_KEY)
    store = await Store.open(empty_database_url, root_key=ROOT_KEY)
    async with store.direct() as session:
        payment = await session.payments.get("imp_123456789012")
        [merchant] = await session.merchants.all()
        [channel] = await session.channels.of_merchant(merchant.id)
        [deposit] = await session.deposits.of_payment("imp_123456789012")
    await store.close()
    assert payment is not None
    assert payment.virtual_account is not None
    assert payment.virtual_account.number == CANARIES["account number"]
    assert payment.buyer == Buyer(
        *(CANARIES[f"buyer {name}"] for name in ("name", "email", "tel", "addr")), None
    )
    assert (payment.custom_data, payment.request) == (
        CANARIES["custom_data"],
        {"free": CANARIES["request"], "nothing": None},
    )
    assert merchant.webhook_secret == CANARIES["merchants.webhook_secret"]
    assert channel.settings == {"secret": CANARIES["channels.settings"]}
    assert deposit["depositor"] == CANARIES["depositor"]
    # What was dropped is not left behind in the files either.
    await old.execute("CHECKPOINT")
    folder = await old.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    await old.close()
    texts = [each.encode() for each in CANARIES.values()]
    assert held(databases.server.data / "base" / str(folder), texts) == set()


OLD_ROWS = f"""
INSERT INTO merchants (name, webhook_secret) VALUES ('shop', '{CANARIES["merchants.webhook_secret"]}');
INSERT INTO channels (merchant_id, channel_key, pg_code, mid, connector, test, settings)
SELECT id, 'ck', 'kcp', 'T1', 'sandbox', true,
       jsonb_build_object('secret', '{CANARIES["channels.settings"]}') FROM merchants;
INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface,
    pay_method, step, event, amount, currency, buyer_name, buyer_email, buyer_tel, buyer_addr,
    custom_data, request, pg_order_no, started_at)
SELECT 'imp_123456789012', merchant_id, 'o1', id, 'kcp', 'T1', true, 'pc', 'vbank', 'opened', 'opened',
    1004, 'KRW', '{CANARIES["buyer name"]}', '{CANARIES["buyer email"]}', '{CANARIES["buyer tel"]}',
    '{CANARIES["buyer addr"]}', '{CANARIES["custom_data"]}',
    jsonb_build_object('free', '{CANARIES["request"]}', 'nothing', null), 'n1', now() FROM channels;
UPDATE payments SET step = 'approving', event = 'authenticated', version = 2, approving_at = now();
UPDATE payments SET step = 'waiting_deposit', event = 'account_issued', version = 3, pg_tid = 't',
    vbank_code = '004', vbank_name = 'b', vbank_num = '{CANARIES["account number"]}',
    vbank_due = now(), vbank_issued_at = now();
INSERT INTO deposits (channel_id, notice_key, order_no, imp_uid, pg_tid, amount, currency, depositor,
    deposited_at, booked_at, meaning)
SELECT channel_id, 'k/1', 'n1', imp_uid, 't', 1004, 'KRW', '{CANARIES["depositor"]}', now(), now(),
    'late' FROM payments;
"""


# Rotation.


@pytest.mark.promise("P19")
async def test_keys_are_rotated_under_load_and_nobody_notices(
    store: Store, database_url: str, sql: asyncpg.Connection
) -> None:
    merchant = await secretive_merchant(store)
    neighbour = await Store.open(database_url, root_key=ROOT_KEY)
    done, errors, stop = 0, list[BaseException](), asyncio.Event()

    async def load(writer: Store, reader: Store) -> None:
        nonlocal done
        while not stop.is_set():
            try:
                written = await private_payment(writer, merchant)
                async with reader.direct() as session:
                    read = await session.payments.get(written.imp_uid)
                    [channel] = await session.channels.of_merchant(merchant.id)
                assert read == written
                assert channel.settings["secret"] == CANARIES["channels.settings"]
                done += 1
            except (NaruError, asyncpg.PostgresError, AssertionError) as error:
                errors.append(error)

    loads = [
        asyncio.create_task(load(*each)) for each in [(store, neighbour), (neighbour, store)] * 2
    ]
    rotations = often(4, 100)
    moved = 0
    for _ in range(rotations):
        async with store.direct() as session:
            newest = await session.keys.rotate()
        count, broken = await reseal(store, batch=7)
        moved += count
        assert broken == []
    stop.set()
    await asyncio.gather(*loads)
    print(
        f"\nrotation: {rotations} keys, {moved} blobs moved, {done} payments, {len(errors)} errors"
    )
    assert errors == []
    assert done >= 4
    assert newest == rotations + 1
    # The neighbour had not looked for a minute and sealed with an old key meanwhile.
    async with neighbour.direct() as session:
        await session.keys.learn()
        await reseal(neighbour)
        for old in range(1, newest):
            await session.keys.retire(old, timedelta(0))
        [left] = await session.keys.used()
    assert left.id == newest
    assert left.sealed["payments"] == await sql.fetchval("SELECT count(*) FROM payments")
    await neighbour.close()


@pytest.mark.fault("L4_SL")
async def test_a_process_that_slept_through_a_rotation_opens_and_seals(
    store: Store, database_url: str, sql: asyncpg.Connection
) -> None:
    merchant = await secretive_merchant(store)
    old = await private_payment(store, merchant)
    async with store.direct() as session:
        sleeper = await Store.open(database_url, root_key=ROOT_KEY)
        assert sleeper.keyring.newest == 1
        assert await session.keys.rotate() == 2
        new = await private_payment(store, merchant)
        # Too early: not everybody knows the new key, and the old one seals something.
        with pytest.raises(KeyInUse, match="less than 120 s ago"):
            await session.keys.retire(1)
        with pytest.raises(KeyInUse, match="still seals something"):
            await session.keys.retire(1, timedelta(0))
    async with sleeper.direct() as session:
        # At once, in the midst of a session that began before.
        assert await session.payments.get(new.imp_uid) == new
        assert await session.payments.get(old.imp_uid) == old
    assert sleeper.keyring.newest == 2
    await sleeper.close()

    # One that meets no blob of the new key learns it within a minute.
    sleeper = Store(database_url, root_key=ROOT_KEY)
    async with sleeper.direct():
        pass
    async with store.direct() as session:
        assert await session.keys.rotate() == 3
    async with sleeper.direct():
        assert sleeper.keyring.newest == 2
    assert sleeper.look_again_seconds == LOOK_AGAIN_SECONDS == 60.0
    sleeper.look_again_seconds = 0.0  # As if the minute were over.
    async with sleeper.direct():
        assert sleeper.keyring.newest == 3
    await sleeper.close()


RESEAL = """
import asyncio, sys
from naru.store import Store
from naru.store.keys import reseal

async def main() -> None:
    store = await Store.open(sys.argv[1], root_key=bytes(range(32)))
    print("begin", flush=True)
    await reseal(store, batch=1)

asyncio.run(main())
"""


@pytest.mark.promise("P19")
async def test_resealing_does_not_put_back_what_was_changed_meanwhile(
    store: Store, sql: asyncpg.Connection
) -> None:
    """It has read a channel's settings and waits to write them anew, while an operator changes them."""
    merchant = await make_merchant(store)
    async with store.direct() as session:
        [channel] = await session.channels.of_merchant(merchant.id)
        await session.keys.rotate()
    changed = {**channel.settings, "secret": "another"}

    async def seal_anew() -> int:
        async with store.direct() as session:
            return (await session.keys.reseal_some("channels", "", 100)).moved

    async with store.begin() as tx:
        await tx.channels.change_settings(channel.id, changed)
        sealing = asyncio.create_task(seal_anew())
        async with asyncio.timeout(30):
            while not await sql.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    assert await sealing == 0
    async with store.direct() as session:
        [found] = await session.channels.of_merchant(merchant.id)
    assert found.settings == changed


@pytest.mark.promise("P19")
async def test_a_data_key_stays_while_it_seals_nothing_but_a_channel(store: Store) -> None:
    await make_merchant(store)
    async with store.direct() as session:
        assert await session.keys.rotate() == 2
        with pytest.raises(KeyInUse, match="still seals something"):
            await session.keys.retire(1, timedelta(0))
    await reseal(store)
    async with store.direct() as session:
        await session.keys.retire(1, timedelta(0))


@pytest.mark.fault("L4_CA")
async def test_resealing_that_was_killed_goes_on(
    store: Store, database_url: str, sql: asyncpg.Connection
) -> None:
    merchant = await secretive_merchant(store)
    for _ in range(40):
        await private_payment(store, merchant)
    async with store.direct() as session:
        assert await session.keys.rotate() == 2
    process = subprocess.Popen(
        [sys.executable, "-c", RESEAL, database_url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    deadline = time.monotonic() + 30
    while await sql.fetchval("SELECT count(*) FROM payment_secrets WHERE data_key = 2") < 5:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = await sql.fetchval("SELECT count(*) FROM payment_secrets WHERE data_key = 1")
    moved, broken = await reseal(store)
    print(f"\nkilled with {left} of 80 payments left; then {moved} blobs moved")
    assert 0 < left < 80
    assert left <= moved
    assert broken == []
    async with store.direct() as session:
        assert [each.sealed["payments"] for each in await session.keys.used()] == [0, 80]
        await session.keys.retire(1, timedelta(0))


async def test_the_root_key_is_changed_without_a_stop(store: Store, database_url: str) -> None:
    merchant = await secretive_merchant(store)
    payment = await private_payment(store, merchant)
    both = await Store.open(database_url, root_key=OTHER_ROOT, old_root_key=ROOT_KEY)
    async with both.direct() as session:
        assert await session.payments.get(payment.imp_uid) == payment
        assert await session.keys.rewrap() == 1
    # Who runs with the old one goes on; who starts with it is refused.
    async with store.direct() as session:
        await session.keys.learn()
        assert await session.payments.get(payment.imp_uid) == payment
    with pytest.raises(WrongRootKey):
        await Store.open(database_url, root_key=ROOT_KEY)
    new = await Store.open(database_url, root_key=OTHER_ROOT)
    async with new.direct() as session:
        assert await session.payments.get(payment.imp_uid) == payment
    await new.close()
    await both.close()


@pytest.mark.promise("P22")
async def test_tokens_die_with_their_key_and_are_made_anew_under_a_new_root_key(
    store: Store,
) -> None:
    from naru.domain.ids import hash_secret

    merchant = await make_merchant(store)
    async with store.begin() as tx:
        for name in ("one", "two"):
            await tx.merchants.add_key(merchant.id, name, hash_secret(name * 9))

    async with Wire(allow_private=True, ports=None) as wire:
        gateway = Gateway(store, wire, wire, "http://127.0.0.1:1", ROOT_KEY)
        renewed = Gateway(store, wire, wire, "http://127.0.0.1:1", OTHER_ROOT)

        async def token_of(asked: Gateway, name: str) -> str:
            answer = await sign_in(asked, SignIn(name, name * 9), None)
            return str(json.loads(answer.body)["response"]["access_token"])

        async def speaks(token: str) -> bool:
            headers = {b"authorization": token.encode()}
            try:
                asking, _ = await who_asks(gateway, headers, b"", gateway.now())
            except HttpRefusal:
                return False
            return asking == merchant.id

        one, two = await token_of(gateway, "one"), await token_of(gateway, "two")
        assert [await speaks(one), await speaks(two)] == [True, True]
        assert await token_of(gateway, "one") == one
        # Under a new root key the token cannot be said again: it is a new one, and it works.
        other = await token_of(renewed, "one")
        assert other != one
        assert [await speaks(one), await speaks(other)] == [False, True]
        assert await token_of(renewed, "one") == other
        async with store.begin() as tx:
            assert await tx.merchants.revoke_key("one", gateway.now())
        assert [await speaks(other), await speaks(two)] == [False, True]
        with pytest.raises(HttpRefusal):
            await token_of(renewed, "one")


# What it costs.


def test_sealing_costs_microseconds(capsys: pytest.CaptureFixture[str]) -> None:
    """One payment is sealed once and opened about five times (claim, settle, three GETs)."""
    keyring, count = ring(), often(2_000, 50_000)
    private = {
        "name": CANARIES["buyer name"],
        "tel": CANARIES["buyer tel"],
        "request": {f"key_{number}": "a value of some length" for number in range(20)},
    }
    plain = json.dumps(private).encode()

    def microseconds(what: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(count):
            what()
        return (time.perf_counter() - began) / count * 1e6

    blob = keyring.seal(plain, PAYMENT_SECRETS, "imp_123456789012")
    row = {"sealed": blob, "imp_uid": "imp_123456789012"}
    seal = microseconds(lambda: keyring.seal(plain, PAYMENT_SECRETS, "imp_123456789012"))
    opened = microseconds(lambda: open_private(row, keyring))  # type: ignore[arg-type]
    unsealed = microseconds(lambda: json.loads(plain))
    with capsys.disabled():
        print(
            f"\nsealing {len(plain)} bytes {seal:.1f} us, opening and reading them {opened:.1f} us;"
            f" control: reading them unsealed as jsonb was {unsealed:.1f} us"
        )
    assert seal < 1_000
    assert opened < 1_000
