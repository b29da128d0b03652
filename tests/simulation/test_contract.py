"""The simulated database and PostgreSQL: one program, the same answers, the same rows.

sql.py reads the store's own statements, so they cannot drift; what could is this reader, the locks
and the triggers. Programs are made by Hypothesis and run against both.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import is_dataclass
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.money import Money
from naru.domain.outcome import Approved, Cancelled, CancelOrder, Deposited
from naru.domain.payment import Payment, Step, Surface
from naru.domain.prepared import Prepared
from naru.domain.task import TaskKind
from naru.store import Session, Store
from naru.store.named import Query, load
from tests.simulation.database import MemoryStore
from tests.simulation.loop import sweep
from tests.simulation.schema import schema
from tests.simulation.sql import NotUnderstood, Parser, Writer
from tests.simulation.world import EPOCH, Plan, World
from tests.support.scale import often

T = TypeVar("T")
ROOT_KEY = bytes(32)
TABLES = ("payments", "intents", "cancellations", "payment_events", "prepared", "deposits")
# What a door reads for several callers at once; no verb asks it.
DOORS_ONLY = {"payments.by_tokens"}
MORE = ("webhook_deliveries", "operator_tasks")


def money_statements() -> list[Query]:
    """Statements of the rooms that the simulation runs."""
    files = (
        "payments",
        "intents",
        "deposits",
        "prepared",
        "outbox",
        "tasks",
        "channels",
        "watches",
        *("billing_keys", "cash_receipts", "errands", "order_acts", "quick"),
    )
    queries = [query for name in files for query in load(name).values()]
    return [query for query in queries if query.name not in DOORS_ONLY]


def test_every_statement_of_money_is_understood() -> None:
    not_understood = []
    for query in money_statements():
        try:
            Writer(schema()).compile(Parser(query.sql).statement(), query.name)
        except (NotUnderstood, KeyError) as error:
            not_understood.append(f"{query.name}: {error!r}")
    assert not_understood == []


def test_what_is_not_understood_is_refused() -> None:
    """The control: the reader does not guess."""
    for text in (
        "SELECT step, count(*) FROM payments GROUP BY step",
        "SELECT nobody FROM payments",
        "SELECT pg_sleep(1) FROM payments",
        "MERGE INTO payments USING intents ON true",
    ):
        with pytest.raises((NotUnderstood, KeyError)):
            Writer(schema()).compile(Parser(text).statement(), "a test")


# --- programs -------------------------------------------------------------------------------------

orders = st.sampled_from(("order-1", "order-2"))
numbers = st.sampled_from((0, 0, 0, 1, 2))
amounts = st.sampled_from((100, 1004))
steps = st.one_of(
    st.tuples(st.just("open"), numbers, orders, amounts),
    st.tuples(st.just("claim"), numbers),
    st.tuples(st.just("paid"), numbers),
    st.tuples(st.just("failed"), numbers),
    st.tuples(st.just("late"), numbers),
    st.tuples(st.just("abandon"), numbers),
    st.tuples(st.just("reserve"), numbers, amounts),
    st.tuples(st.just("end"), numbers, st.sampled_from(("done", "refused", "undone"))),
    st.tuples(st.just("doubt"), numbers),
    st.tuples(st.just("undo"), numbers),
    st.tuples(st.just("lease"), numbers, st.integers(0, 100)),
    st.tuples(st.just("cancel"), numbers, st.sampled_from((1, 50, 100))),
    st.tuples(st.just("prepare"), orders, amounts),
    st.tuples(st.just("prepare again"), orders, amounts),
    st.tuples(st.just("deposit"), numbers, amounts),
    st.tuples(st.just("lay"), numbers),
    st.tuples(st.just("taken"), orders),
    st.tuples(st.just("task"), numbers),
    st.tuples(st.just("due"), st.integers(0, 100)),
    st.tuples(st.just("ask"), numbers),
)
transactions = st.tuples(st.booleans(), st.lists(steps, min_size=1, max_size=5))
programs = st.lists(transactions, min_size=1, max_size=10).map(lambda rest: [*BEGINNING, *rest])
BEGINNING = [(True, [("open", 0, "order-1", 100), ("open", 1, "order-1", 100), ("claim", 0)])]


def uid(number: int) -> ImpUid:
    return ImpUid(f"imp_{number:012d}")


async def do(tx: Session, merchant_id: int, channel_id: int, step: tuple[Any, ...]) -> Any:
    """One step of a program."""
    what, *rest = step
    payments, at = tx.payments, EPOCH + timedelta(minutes=1)
    if what == "open":
        number, order, amount = rest
        return await payments.open(
            new_payment(merchant_id, channel_id, number, order, amount), b"h"
        )
    if what in ("prepare", "prepare again"):
        prepared = Prepared(MerchantUid(rest[0]), Money(rest[1]))
        do_it = tx.prepared.add if what == "prepare" else tx.prepared.change
        return await do_it(merchant_id, prepared, at)
    if what == "taken":
        return await payments.taken(merchant_id, rest[0])
    if what == "due":
        return await tx.intents.due(EPOCH + timedelta(seconds=rest[0]), 10)
    name = uid(rest[0])
    payment = await payments.lock(name, merchant_id)
    if payment is None:
        return None
    intent = await tx.intents.of_payment(name)
    match what:
        case "claim":
            return await payments.claim_for_approval(name, EPOCH, at, None, {"token_dies_at": 1.0})
        case "paid":
            told = Approved(payment.pg_order_no, payment.amount, f"tid{rest[0]}", at)
            return await payments.settle_paid(payment, told)
        case "failed":
            return await payments.settle_failed(payment, "declined", at, "E1", "no")
        case "late":
            return await payments.settle_late(payment, at, f"tid{rest[0]}")
        case "abandon":
            return await payments.abandon(name, at, "E2", "gave up")
        case "reserve":
            order = cancel_order(payment, rest[1])
            return await tx.intents.open_cancel(name, order, {}, EPOCH, at)
        case "end":
            return intent and await tx.intents.end(intent.id, rest[1], at, None)
        case "doubt":
            return intent and await tx.intents.doubt(intent.id, 0, "unknown", at, "silence")
        case "undo":
            return intent and await tx.intents.undo(intent.id, at, "silence")
        case "lease":
            return await tx.intents.lease(name, at, EPOCH + timedelta(seconds=rest[1]))
        case "cancel":
            order = cancel_order(payment, rest[1])
            given = Cancelled(order.cancel_no, order.amount, "tidc", at)
            return await payments.cancel(payment, given, "reason", Money(0), None)
        case "deposit":
            told = Deposited(f"k{rest[1]}", payment.pg_order_no, "t", Money(rest[1]), None, at)
            return await tx.deposits.book(channel_id, told, name, "after_end", at)
        case "lay":
            return await tx.outbox.lay(
                webhook_id=f"msg_{name}_{payment.version}",
                merchant_id=merchant_id,
                imp_uid=name,
                version=payment.version,
                status="paid",
                cancellation_id=None,
                url="http://shop.example/",
                content_type="application/json",
                body=b"{}",
                mode="ladder",
            )
        case "task":
            return await tx.tasks.open(TaskKind.ANSWER_MISMATCH, name, "look", at, imp_uid=name)
        case "ask":
            return await tx.queue.ask("settle_payment", name, once=f"settle {name}")
    raise AssertionError(what)


def new_payment(merchant_id: int, channel_id: int, number: int, order: str, amount: int) -> Payment:
    return Payment(
        imp_uid=uid(number),
        merchant_id=merchant_id,
        merchant_uid=MerchantUid(order),
        channel_id=channel_id,
        pg_code="kcp",
        mid="T1",
        sandbox=True,
        surface=Surface.PC,
        pay_method="card",
        step=Step.OPENED,
        version=1,
        amount=Money(amount),
        cancelled=Money(0),
        tax_free=Money(0),
        vat=None,
        pg_order_no=f"n{number}",
        started_at=EPOCH,
    )


def cancel_order(payment: Payment, amount: int) -> CancelOrder:
    number = f"c{payment.imp_uid[-2:]}{payment.version}"
    zero = Money(0)
    return CancelOrder(
        payment.pg_tid or "", number, Money(amount), payment.balance, zero, None, "r"
    )


async def play(store: Store, program: list[Any]) -> list[str]:
    """Every answer of a program, as text; a refusal by its class."""
    async with store.begin() as tx:
        merchant_id = await tx.merchants.add("m", ["imp1"], live=False, webhook_secret=None)
        await tx.channels.add(
            merchant_id, "key", "kcp", "T1", "sandbox", test=True, settings={"a": 1}
        )
        [channel] = await tx.channels.of_merchant(merchant_id)
    answers = []
    for keeps, steps_ in program:
        try:
            async with store.begin() as tx:
                for step in steps_:
                    answers.append(text_of(await do(tx, merchant_id, channel.id, step)))
                if not keeps:
                    raise asyncio.QueueEmpty
        except asyncio.QueueEmpty:
            answers.append("rolled back")
        except Exception as error:
            answers.append(type(error).__name__)
    return answers


def text_of(answer: Any) -> str:
    """What an answer says, without the numbers that a database gives out."""
    if is_dataclass(answer):
        return str(
            {
                k: v
                for k, v in vars_of(answer).items()
                if k not in ("id", "merchant_id", "channel_id")
            }
        )
    if isinstance(answer, int) and not isinstance(answer, bool):
        return "a number"
    return repr(answer)


def vars_of(answer: Any) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in answer.__dataclass_fields__}


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Without identity numbers, blobs and what the database's own clock wrote."""
    loose = {
        "at",
        "booked_at",
        "id",
        "place",
        "next_at",
        "announced_at",
        "waits_since",
        "channel_id",
        "merchant_id",
        "data_key",
    }
    return {k: v for k, v in row.items() if k not in loose and not isinstance(v, bytes | bytearray)}


def in_memory(program: Callable[[Store], Coroutine[Any, Any, T]]) -> tuple[T, dict[str, list[Any]]]:
    world = World(Plan(0, (), ()))
    try:
        answer = world.loop.run(program(MemoryStore(world.database)))
        return answer, {table: world.database.rows(table) for table in (*TABLES, *MORE)}
    finally:
        world.loop.bury()
        sweep()


def in_postgres(
    dsn: str, program: Callable[[Store], Coroutine[Any, Any, T]]
) -> tuple[T, dict[str, list[Any]]]:
    async def run() -> tuple[T, dict[str, list[Any]]]:
        connection = await asyncpg.connect(dsn)
        store = await Store.open(dsn, 3, root_key=ROOT_KEY)
        try:
            everything = await connection.fetch(
                "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE relkind = 'r' AND nspname = 'public' AND relname NOT LIKE '%migration%'"
            )
            names = ", ".join(row["relname"] for row in everything)
            # The money tables may not be emptied, but for a superuser who says so.
            await connection.execute(
                f"SET session_replication_role = replica; TRUNCATE {names} CASCADE;"
                " SET session_replication_role = origin"
            )
            store._keys_learned_at = None
            answer = await program(store)
            await connection.set_type_codec(
                "jsonb", encoder=str, decoder=json.loads, schema="pg_catalog"
            )
            rows = {
                table: [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")]
                for table in (*TABLES, *MORE)
            }
            return answer, rows
        finally:
            await store.close()
            await connection.close()

    return asyncio.run(run())


def test_one_program_gives_the_same_on_both(database_url: str) -> None:
    seen: dict[str, int] = {}

    @settings(
        max_examples=often(25, 1_000),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(programs)
    def compare(program: list[Any]) -> None:
        mine, my_rows = in_memory(lambda store: play(store, program))
        theirs, their_rows = in_postgres(database_url, lambda store: play(store, program))
        assert mine == theirs
        for table in my_rows:
            assert sorted(map(ordered, my_rows[table])) == sorted(
                map(ordered, their_rows[table])
            ), table
        for answer in mine:
            seen[answer[:20]] = seen.get(answer[:20], 0) + 1

    compare()
    # Programs that were all refused would compare nothing.
    print(len(seen), "different answers")
    assert len(seen) > 8


def ordered(row: dict[str, Any]) -> str:
    return json.dumps(comparable(row), sort_keys=True, default=str)


def test_a_chosen_life_is_the_same_on_both(database_url: str) -> None:
    """What chance seldom makes: paid, partly given back, given back, and a second payment refused."""
    program = [
        (
            True,
            [("open", 0, "order-1", 100), ("open", 1, "order-1", 100), ("prepare", "order-1", 100)],
        ),
        (True, [("claim", 0)]),
        (True, [("claim", 1)]),
        (True, [("doubt", 0), ("lease", 0, 100), ("due", 100)]),
        (True, [("paid", 0), ("end", 0, "done"), ("lay", 0)]),
        (True, [("paid", 0)]),
        (True, [("prepare again", "order-1", 1004)]),
        (True, [("reserve", 0, 50), ("task", 0), ("task", 0)]),
        (True, [("reserve", 0, 50)]),
        (True, [("cancel", 0, 50), ("end", 0, "done"), ("lay", 0), ("lay", 0)]),
        (False, [("reserve", 0, 50), ("cancel", 0, 50)]),
        (True, [("cancel", 0, 50)]),
        (True, [("open", 2, "order-1", 100), ("abandon", 2), ("late", 2)]),
        (True, [("open", 3, "order-2", 1004), ("claim", 3), ("failed", 3)]),
        (True, [("failed", 3), ("end", 3, "refused")]),
        (
            True,
            [("claim", 3), ("failed", 3), ("end", 3, "refused"), ("late", 3), ("deposit", 3, 100)],
        ),
        (True, [("ask", 3), ("ask", 3), ("taken", "order-1")]),
    ]
    mine, my_rows = in_memory(lambda store: play(store, program))
    theirs, their_rows = in_postgres(database_url, lambda store: play(store, program))
    assert mine == theirs
    for table in my_rows:
        assert sorted(map(ordered, my_rows[table])) == sorted(map(ordered, their_rows[table])), (
            table
        )
    assert "AlreadyPaid" in mine


async def _two_at_once(store: Store) -> list[str]:
    """Two transactions that hold what the other wants: one goes on, the other is told."""
    async with store.begin() as tx:
        merchant_id = await tx.merchants.add("m", ["imp1"], live=False, webhook_secret=None)
        await tx.channels.add(merchant_id, "key", "kcp", "T1", "sandbox", test=True, settings={})
        [channel] = await tx.channels.of_merchant(merchant_id)
        for number in (0, 1):
            payment = new_payment(merchant_id, channel.id, number, f"order-{number}", 100)
            await tx.payments.open(payment, None)
    holding = [asyncio.Event(), asyncio.Event()]
    order: list[str] = []

    async def take(me: int) -> str:
        try:
            async with store.begin() as tx:
                await tx.payments.lock(uid(me), merchant_id)
                holding[me].set()
                await holding[1 - me].wait()
                await tx.payments.lock(uid(1 - me), merchant_id)
                await tx.payments.abandon(uid(1 - me), EPOCH, "E", "by " + str(me))
                return "went on"
        except asyncpg.DeadlockDetectedError:
            return "told"

    order += sorted(await asyncio.gather(take(0), take(1)))
    async with store.direct() as session:
        found = [await session.payments.get(uid(number)) for number in (0, 1)]
    order += sorted(str(payment.step) for payment in found if payment is not None)

    # Who waits for a row reads it anew when its turn comes.
    began = asyncio.Event()

    async def second() -> Any:
        await began.wait()
        async with store.begin() as tx:
            locked = await tx.payments.lock(uid(0), merchant_id)
            return None if locked is None else locked.fail_reason

    async def first() -> None:
        async with store.begin() as tx:
            await tx.payments.lock(uid(0), merchant_id)
            began.set()
            await asyncio.sleep(0.2)
            await tx.payments.abandon(uid(0), EPOCH, "E", "by the first")

    answer, _ = await asyncio.gather(second(), first())
    return [*order, "read anew" if answer else "read the old row"]


def test_locks_wait_and_deadlocks_are_found_on_both(database_url: str) -> None:
    mine, _ = in_memory(_two_at_once)
    theirs, _ = in_postgres(database_url, _two_at_once)
    assert mine == theirs == ["told", "went on", "failed", "opened", "read anew"]
