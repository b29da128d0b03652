"""Hand-written SQL against the promises: each statement refused, and for the right reason.

The control is the same statement on the same rows with the triggers off (and the one CHECK or
index that it names dropped): accepted, so it is well written, hits a row and would have done harm.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import asyncpg
import pytest

from naru.domain.book import Difference, DifferenceKind, Ending
from naru.domain.money import Money
from naru.domain.outcome import Deposited
from naru.domain.task import TaskKind
from naru.store import Store
from naru.store.house import Memory
from naru.store.notices import Notice
from tests.store.test_books import NOW, deposit, give_back, pay, reserve, wait_for_deposit
from tests.store.write_cost import CREATE, STEPS
from tests.support.house import make_merchant, make_payment

ROOT = Path(__file__).parent.parent.parent
NEXT = "UPDATE payments SET version = version + 1,"
WHO = "WHERE imp_uid = '{}'"
PAID = "paid_at = now(), pg_tid = 't'"
NEW_INTENT = "INSERT INTO intents (imp_uid, kind, number, amount, balance_before, opened_at)"
NEW_ENTRY = "INSERT INTO entries (imp_uid, account, amount, currency, version)"
NEW_DEPOSIT = (
    "INSERT INTO deposits (channel_id, notice_key, order_no, imp_uid, pg_tid, amount, currency,"
    " deposited_at, booked_at, meaning) SELECT channel_id, 'k9', pg_order_no, imp_uid, 't',"
)
FROM_DEPOSITS = f"'KRW', now(), now(), 'exact' FROM payments {WHO}"
CANCELLED_ROW = (
    "INSERT INTO cancellations (cancellation_id, imp_uid, amount, reason, pg_tid, cancelled_at)"
    " SELECT 'c9', imp_uid, {amount}, '', 't', now() FROM payments WHERE imp_uid = '{{}}'"
)
CLOSED = "closed_at = now()"

# Whom it strikes: an opened payment (o), one that is approving (a), one that was abandoned (f), one
# that waits for its deposit of which 4 came (w), one that is paid with 400 of 1,004 given back (p),
# one that is paid with a cancel of 6 open (r). What it does. Why it is refused. What else the control drops.
ATTACKS: list[tuple[str, str, str, str]] = [
    # P1: the books.
    ("p", f"UPDATE entries SET amount = amount * 2 {WHO}", "rows of entries are never changed", ""),
    ("p", f"DELETE FROM entries {WHO}", "rows of entries are never changed", ""),
    ("p", "TRUNCATE entries", "rows of entries are never changed", ""),
    ("p", f"{NEW_ENTRY} VALUES ('{{}}', 'receivable', 5, 'KRW', 9), ('{{}}', 'sales', -5, 'KRW', 9)", "written by trigger only", ""),
    ("p", f"{NEW_ENTRY} VALUES ('{{}}', 'sales', -5, 'KRW', 9)", "written by trigger only", ""),
    # P1: never more given back than was taken, and never less than before.
    ("p", f"{NEXT} event = 'partly_cancelled', cancelled = 1005 {WHO}", "payments_check2", "payments_check2 payments_check4"),
    ("p", f"{NEXT} event = 'partly_cancelled', cancelled = 399 {WHO}", "never shrinks", ""),
    ("p", f"{NEXT} event = 'partly_cancelled', cancelled = 500 {WHO}", "cancellations of imp_\\d+ do not add up", ""),
    ("p", CANCELLED_ROW.format(amount=100), "cancellations of imp_\\d+ do not add up", ""),
    ("p", f"UPDATE cancellations SET amount = 1 {WHO}", "rows of cancellations are never changed", ""),
    ("p", f"{NEXT} amount = 604, event = 'partly_cancelled', cancelled = 401 {WHO}; " + CANCELLED_ROW.format(amount=1), "is about never changes", ""),
    ("r", f"{NEXT} event = 'partly_cancelled', cancelled = -6 {WHO}", "payments_check2|never shrinks", "payments_check2"),
    # P2: one approval per order.
    ("o", f"{NEXT} step = 'approving', event = 'authenticated', merchant_uid = 'x' {WHO}", "is about never changes", ""),
    ("o", f"{NEXT} step = 'approving', event = 'authenticated', flagged = true {WHO}", "only a fact of the PG flags", ""),
    ("p", f"{NEXT} event = 'partly_cancelled', cancelled = 401, flagged = true {WHO}; " + CANCELLED_ROW.format(amount=1), "only a fact of the PG flags", ""),
    # P3: what is being approved is asked for.
    ("o", f"{NEXT} step = 'approving', event = 'authenticated', approving_at = now() {WHO}", "nobody asks", ""),
    ("a", f"UPDATE intents SET state = 'done', {CLOSED} {WHO}", "nobody asks", ""),
    ("a", f"UPDATE intents SET state = 'undone', {CLOSED} {WHO}", "nobody asks", ""),
    # P4: events and webhooks.
    ("p", f"{NEXT} version = 9 {WHO}".replace("version = version + 1, ", ""), "version of imp_\\d+ must be", ""),
    ("p", f"UPDATE payment_events SET at = now() {WHO}", "rows of payment_events are never changed", ""),
    ("p", f"DELETE FROM payment_events {WHO} AND version = 2", "rows of payment_events are never changed", ""),
    ("p", "INSERT INTO payment_events (imp_uid, version, event, step, cancelled) VALUES ('{}', 99, 'x', 'paid', 0)", "written by trigger only", ""),
    ("p", f"UPDATE webhook_deliveries SET body = 'x' {WHO}", "what a webhook says never changes", ""),
    ("p", f"UPDATE webhook_deliveries SET url = 'http://evil' {WHO}", "what a webhook says never changes", ""),
    ("p", f"UPDATE webhook_deliveries SET webhook_id = 'x' {WHO}", "what a webhook says never changes", ""),
    ("p", f"DELETE FROM webhook_deliveries {WHO}", "rows of webhook_deliveries are never changed", ""),
    ("p", "TRUNCATE webhook_deliveries CASCADE", "rows of webhook_\\w+ are never changed", ""),
    ("p", f"{NEXT} event = 'partly_cancelled', cancelled = 401, webhook_urls = '{{{{http://evil}}}}' {WHO}; " + CANCELLED_ROW.format(amount=1), "is told of.* never changes", ""),
    ("o", f"{NEXT} step = 'failed', event = 'abandoned', failed_at = now(), fail_reason = 'x', return_url = 'http://evil' {WHO}", "is told of.* never changes", ""),
    # P7: what is reserved.
    ("r", f"UPDATE intents SET amount = 1 {WHO} AND kind = 'cancel'", "asks never changes", ""),
    ("p", f"{NEW_INTENT} VALUES ('{{}}', 'cancel', 'n', 1, 1004, now())", "not about its amount", ""),
    ("p", f"{NEW_INTENT} VALUES ('{{}}', 'cancel', 'n', 605, 604, now())", "intents_check", "intents_check"),
    # P8: legal steps, and no way back.
    ("o", f"{NEXT} step = 'paid', event = 'approved', {PAID} {WHO}", "approved cannot happen", ""),
    ("f", f"{NEXT} step = 'paid', event = 'approved_late', {PAID}, failed_at = NULL {WHO}", "no PG was ever asked", ""),
    ("p", f"{NEXT} step = 'failed', event = 'undone', failed_at = now(), fail_reason = 'x' {WHO}", "undone cannot happen", "payments_check3"),
    ("f", f"{NEXT} step = 'cancelled', event = 'fully_cancelled', cancelled = amount, cancelled_at = now(), {PAID} {WHO}; " + CANCELLED_ROW.format(amount=1004), "fully_cancelled cannot happen", ""),
    ("p", f"{NEXT} event = 'partly_cancelled', cancelled = 401, cancelled_at = paid_at - interval '1 s' {WHO}; " + CANCELLED_ROW.format(amount=1), "given back before it is paid", ""),
    ("p", f"{NEXT} event = 'partly_cancelled', cancelled = 401, paid_at = paid_at - interval '1 s' {WHO}; " + CANCELLED_ROW.format(amount=1), "was paid never changes", ""),
    ("p", f"DELETE FROM payments {WHO}", "payments are never deleted", ""),
    # P10: nobody pays through another merchant's channel.
    ("o", "INSERT INTO payments (imp_uid, merchant_id, merchant_uid, channel_id, pg_code, mid, sandbox, surface, pay_method, step, event, amount, currency, pg_order_no, started_at)"
          " SELECT 'imp_999999999999', merchant_id + 1, 'x', channel_id, pg_code, mid, sandbox, surface, pay_method, 'opened', 'opened', 1, 'KRW', 'n9', now() FROM payments WHERE imp_uid = '{}'", "belongs to another merchant", ""),
    # P13, P14: asked first, one at a time, and the journal stays.
    ("a", f"{NEW_INTENT} VALUES ('{{}}', 'approve', 'n', 1004, 0, now())", "one_open_intent", "one_open_intent"),
    ("r", f"{NEW_INTENT} VALUES ('{{}}', 'cancel', 'n', 1, 1004, now())", "one_open_intent", "one_open_intent"),
    ("a", f"DELETE FROM intents {WHO}", "the journal is never deleted", ""),
    ("p", f"UPDATE intents SET state = 'open', closed_at = NULL {WHO} AND kind = 'approve'", "does not become", ""),
    ("p", f"UPDATE intents SET state = 'undone' {WHO} AND kind = 'approve'", "does not become", ""),
    ("o", f"{NEW_INTENT} VALUES ('{{}}', 'cancel', 'n', 1, 1004, now())", "is not asked to cancel", ""),
    # P16: deposits.
    ("w", f"{NEXT} step = 'paid', event = 'deposited', paid_at = now() {WHO}", "lack the deposit that paid it", ""),
    ("w", f"{NEW_DEPOSIT} 1000, {FROM_DEPOSITS}", "called exact and paid nothing", ""),
    ("w", f"{NEW_DEPOSIT} 999, {FROM_DEPOSITS}; {NEXT} step = 'paid', event = 'deposited', paid_at = now() {WHO}", "lack the deposit that paid it", ""),
    ("w", f"{NEW_DEPOSIT} 1000, {FROM_DEPOSITS}; ".replace("SELECT channel_id", "SELECT channel_id + 1"), "not of the channel", ""),
    ("w", f"{NEW_DEPOSIT} -4, {FROM_DEPOSITS}", "deposits_amount_check", "deposits_amount_check"),
    ("w", f"UPDATE deposits SET amount = 1004 {WHO}", "rows of deposits are never changed", ""),
    ("w", f"DELETE FROM deposits {WHO}", "rows of deposits are never changed", ""),
    # What is still looked for, and who watches: a doubt is not put off, nothing is let go unseen.
    ("a", f"UPDATE intents SET next_try_at = now() + interval '26 hours' {WHO}", "put off for more than a day", ""),
    ("f", f"DELETE FROM undone_watches {WHO}", "never deleted", ""),
    ("f", "TRUNCATE undone_watches", "rows of undone_watches are never changed", ""),
    ("f", f"UPDATE undone_watches SET next_look_at = NULL {WHO}", "ends too soon", ""),
    ("f", f"UPDATE undone_watches SET next_look_at = looked_at + interval '26 hours' {WHO}", "undone_watches_pace", "undone_watches_pace"),
    ("f", f"UPDATE undone_watches SET looks = 4, next_look_at = NULL {WHO}", "look by look", ""),
    ("f", f"UPDATE undone_watches SET late_pg_tid = NULL, late_approved_at = NULL {WHO}", "look by look", ""),
    ("o", "DELETE FROM witnesses WHERE beat = 7", "a witness never goes back", ""),
    ("o", "UPDATE witnesses SET beat = 6", "a witness never goes back", ""),
    ("o", "UPDATE witnesses SET name = gen_random_uuid()", "a witness never goes back", ""),
    ("o", "TRUNCATE witnesses", "rows of witnesses are never changed", ""),
    ("o", "DELETE FROM notices WHERE tries = 0", "as long as task \\d+ is open", ""),
    ("o", "UPDATE notices SET sealed = set_byte(sealed, 20, (get_byte(sealed, 20) + 1) % 256)", "what a kept notice says never changes", ""),
    ("o", "UPDATE notices SET task_id = NULL", "what a kept notice says never changes", ""),
    ("o", "TRUNCATE notices", "rows of notices are never changed", ""),
    ("o", "DELETE FROM book_differences WHERE subject = 's'", "rows of book_differences are never changed", ""),
    ("o", "UPDATE book_differences SET ending = 'booked'", "rows of book_differences are never changed", ""),
    ("o", "DELETE FROM book_comparisons WHERE movements = 1", "rows of book_comparisons are never changed", ""),
    ("o", "UPDATE book_comparisons SET differences = 0", "rows of book_comparisons are never changed", ""),
    ("o", "TRUNCATE book_comparisons", "rows of book_comparisons are never changed", ""),
]  # fmt: skip


async def victims(store: Store) -> dict[str, str]:
    """One payment of each kind."""
    merchant = await make_merchant(store)
    await make_merchant(store)  # whose channel is not ours
    o, a, f, w, p, r = [await make_payment(store, merchant) for _ in range(6)]
    async with store.begin() as tx:
        await tx.payments.claim_for_approval(a.imp_uid, NOW, NOW, None, {})
        await tx.payments.abandon(f.imp_uid, NOW, "U", "그만")
        await tx.outbox.lay(
            webhook_id="w1", merchant_id=merchant.id, imp_uid=p.imp_uid, version=1, status="paid",
            cancellation_id=None, url="http://shop.example/hook", content_type="application/json",
            body=b"{}", mode="ladder",
        )  # fmt: skip
        stray = Deposited("k0", "n-nobody", "t", Money(5), None, NOW)
        await tx.deposits.book(o.channel_id, stray, None, "unknown_order", NOW)
        await tx.watches.open(f.imp_uid, NOW, NOW, late_pg_tid="t", late_approved_at=NOW)
        await tx.house.beat(Memory("", str(uuid.uuid4()), 7))
        notice = Notice(o.channel_id, {}, b"{", NOW)
        await tx.tasks.open(TaskKind.NOTICE_UNREADABLE, notice.subject, "s", NOW)
        task = await tx.notices.task(notice)
        assert task is not None
        await tx.notices.keep(notice, task, NOW)
        told = Difference(
            DifferenceKind.CHARGE_MISSING, "s", "n", None, Money(5), None, NOW, Ending.TOLD
        )
        await tx.pg_books.add_difference(o.channel_id, told, NOW)
        await tx.pg_books.add_comparison(o.channel_id, NOW, NOW, (NOW, NOW), 1, 1)
    await deposit(store, await wait_for_deposit(store, w), "k1", Money(4))
    paid = await pay(store, p)
    await give_back(store, paid, 400, await reserve(store, paid, 400))
    await reserve(store, await pay(store, r), 6)
    return {each: one.imp_uid for each, one in zip("oafwpr", (o, a, f, w, p, r), strict=True)}


EMPTIED = (
    *("entries", "webhook_deliveries", "webhook_attempts"),
    *("undone_watches", "witnesses", "notices", "book_comparisons"),
)
TABLES = [
    "payments",
    "payment_events",
    "intents",
    "cancellations",
    "deposits",
    "entries",
    "webhook_deliveries",
    "undone_watches",
    "witnesses",
    "notices",
    "book_differences",
    "book_comparisons",
]


@pytest.mark.promise("P1", "P2", "P4", "P7", "P8", "P10", "P13", "P14", "P16")
async def test_every_attack_is_refused_for_its_reason(
    store: Store, sql: asyncpg.Connection
) -> None:
    who = await victims(store)

    async def everything() -> list[list[asyncpg.Record]]:
        return [await sql.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES]

    before = await everything()
    for victim, attack, reason, _ in ATTACKS:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
            await sql.execute(
                attack.replace("{}", who[victim]).replace("{{", "{").replace("}}", "}")
            )
        assert re.search(reason, str(refusal.value)), (attack, str(refusal.value))
    assert await everything() == before
    assert len(ATTACKS) >= 70


async def test_without_the_guards_every_attack_does_harm(
    store: Store, sql: asyncpg.Connection
) -> None:
    """The control."""
    who = await victims(store)
    for victim, attack, _, dropped in ATTACKS:
        harm = sql.transaction()
        await harm.start()
        for name in dropped.split():
            if name.startswith("one_"):
                await sql.execute(f"DROP INDEX {name}")
            else:
                table = "undone_watches" if name.startswith("undone") else name.split("_")[0]
                await sql.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        await sql.execute("SET LOCAL session_replication_role = replica")
        if attack.startswith("TRUNCATE"):
            # The one statement that the role does not free: its triggers are switched off by name.
            await sql.execute("SET LOCAL session_replication_role = origin")
            for table in EMPTIED:
                await sql.execute(f"ALTER TABLE {table} DISABLE TRIGGER never_emptied")
        for statement in filter(str.strip, attack.split(";")):
            done = await sql.execute(
                statement.replace("{}", who[victim]).replace("{{", "{").replace("}}", "}")
            )
            assert done.startswith("TRUNCATE") or int(done.split()[-1]) > 0, statement
        await harm.rollback()


async def test_a_writer_of_books_that_forgets_one_side_is_stopped_at_commit(
    store: Store, sql: asyncpg.Connection
) -> None:
    """The last net: the books' own triggers could be wrong one day. Its control: without it, silence."""
    payment = await make_payment(store, await make_merchant(store))
    await sql.execute("ALTER TABLE entries DISABLE TRIGGER by_trigger_only")
    lonely = f"{NEW_ENTRY} VALUES ('{payment.imp_uid}', 'sales', -5, 'KRW', 9)"
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="do not balance"):
        await sql.execute(lonely)
    await sql.execute(
        "CREATE OR REPLACE FUNCTION book_payment() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$"
    )
    with pytest.raises(
        asyncpg.IntegrityConstraintViolationError, match="say 0 is receivable, it is 1004"
    ):
        await pay(store, payment)


async def test_the_role_of_the_how_to_page_works_and_can_switch_nothing_off(
    store: Store, sql: asyncpg.Connection
) -> None:
    """docs/how-to/production.md, The audit. The control is the owner, who may do all of it."""
    await make_merchant(store)
    page = (ROOT / "docs/how-to/production.md").read_text("utf-8")
    [grants] = [block for block in re.findall(r"```sql\n(.*?)```", page, re.S) if "GRANT" in block]
    forbidden = (
        "ALTER TABLE payments DISABLE TRIGGER payment_rules",
        "DROP TRIGGER books ON payments",
        "DROP INDEX one_open_intent",
        "UPDATE entries SET amount = 1",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "DELETE FROM payment_events",
        "DELETE FROM webhook_attempts",
        "CREATE OR REPLACE FUNCTION book_payment() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$",
    )
    working = sql.transaction()
    await working.start()
    await sql.execute(grants)
    await sql.execute("SET LOCAL ROLE naru_app")
    await sql.execute(CREATE, "7")
    for statements in STEPS:
        for statement in statements:
            await sql.execute(statement, f"imp_{7:012d}")
    await sql.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    assert await sql.fetchval("SELECT count(*) FROM entries") == 8
    for statement in (*forbidden, "SET session_replication_role = replica"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with sql.transaction():
                await sql.execute(statement)
    await sql.execute("RESET ROLE")
    for statement in forbidden:
        if not statement.startswith(("UPDATE", "DELETE", "TRUNCATE")):
            await sql.execute(statement)
    await working.rollback()
