"""A copy is made in the middle of a day, the day goes on, then the copy is all there is (matrix L5).

Real PostgreSQL, pg_dump, a PG with its own book, a merchant's server, the real worker. Nothing
leaves the copy before `naru unfence`; after it its books say what the PG's book says. The controls
are the same copy without the fence.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from naru.app import open_gateway
from naru.cli import unfence
from naru.cli.trouble import CliError
from naru.config import Settings
from naru.connectors import Can
from naru.domain.book import DifferenceKind, Ending
from naru.domain.cancellation import CancelRequest
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.domain.task import TaskKind
from naru.jobs.worker import work
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.compare_books import compare_books
from naru.payments.gateway import Gateway
from naru.payments.reconcile import due, reconcile
from naru.payments.take_over import SILENCES_ARE_ENOUGH, take_over_contract
from naru.store import Fenced, Store
from naru.store.audit import audit
from tests.payments.test_approve import back
from tests.payments.test_confirm_deposit import issue
from tests.payments.test_recovery import give_powers
from tests.support.copies import dump, restore
from tests.support.gateway import ROOT_KEY, House
from tests.support.receiver import Receiver
from tests.support.stand_in_pg import Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

pytestmark = pytest.mark.promise("P3")

FENCED_SECONDS = 2.5  # longer than every round that sends or asks


@dataclass
class Day:
    """What happened, and the copy that was made in the middle of it."""

    dumped: bytes = b""
    payments: dict[str, Payment] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)  # (webhook id, body)


async def go_through(
    house: House, pg: StandInPg, server: Receiver, databases: Databases, home: Path
) -> Day:
    """A day with everything in it that a copy can lack. Answers when the original is quiet."""
    day = Day()
    await house.set_merchant(webhook_url=server.url)
    # The original has been served, so it knows itself.
    async with serving(house.dsn, home):
        pass

    async def pay(name: str) -> None:
        payment = day.payments[name]
        paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
        assert paid is not None
        assert paid.step is Step.PAID

    for name in ("approving", "window", "cancelled", "told", "never"):
        day.payments[name] = await house.open()
    day.payments["account"] = await issue(house)
    await pay("cancelled")
    await pay("told")

    async def copy_now(asked: Asked) -> None:
        if asked.operation == "approvals":
            pg.peek = None
            day.dumped = await dump(databases, house.dsn)

    pg.peek = copy_now
    await pay("approving")
    assert day.dumped
    await pay("window")
    day.payments["after"] = await house.open()
    await pay("after")
    pg.pay_in(day.payments["account"].pg_order_no, 1004)
    part = CancelRequest(amount=Money(400))
    await cancel(house.gateway, house.merchant.id, day.payments["cancelled"].imp_uid, part)
    async with serving(house.dsn, home) as (gateway, _):
        stop = asyncio.Event()
        working = asyncio.create_task(work(gateway, house.dsn, stop))
        # Ready, four times paid; of the partial cancel the merchant did not want to hear.
        await server.wait_for(5)
        stop.set()
        await working
    day.told = told(server)
    return day


def told(server: Receiver) -> list[tuple[str, str]]:
    return [(each.headers["webhook-id"], each.body.decode()) for each in server.told]


@contextlib.asynccontextmanager
async def serving(dsn: str, home: Path) -> AsyncIterator[tuple[Gateway, Settings]]:
    """A gateway as `naru serve` and `naru worker` open it."""
    settings = Settings(database_url=dsn, secret=ROOT_KEY, home=home, allow_private_addresses=True)
    async with open_gateway(settings, at_once=False) as gateway:
        yield gateway, settings


async def work_for(gateway: Gateway, dsn: str, seconds: float) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(work(gateway, dsn, stop))
    await asyncio.sleep(seconds)
    stop.set()
    await working


def words(*, by: str | None = None, note: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(by=by, note=note, anyway=False)


async def rows(dsn: str, sql: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    found: list[asyncpg.Record] = await connection.fetch(sql, *values)
    await connection.close()
    return found


async def steps(dsn: str, day: Day) -> dict[str, tuple[str, int]]:
    found = {
        row["imp_uid"]: (row["step"], row["cancelled"])
        for row in await rows(dsn, "SELECT imp_uid, step, cancelled FROM payments")
    }
    return {name: found.get(payment.imp_uid, ("", 0)) for name, payment in day.payments.items()}


@pytest.mark.fault("L5_WD", "L5_DU")
async def test_nothing_leaves_a_copy_until_it_was_compared_and_then_the_books_are_equal(
    house: House,
    pg: StandInPg,
    merchant_server: Receiver,
    databases: Databases,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    day = await go_through(house, pg, merchant_server, databases, tmp_path)
    asked = len(pg.asked)
    house.clock.advance(seconds=30)  # the open question is due
    copy = await restore(databases, day.dumped)
    async with serving(copy, tmp_path) as (gateway, settings):
        gateway.now = house.clock
        await work_for(gateway, copy, FENCED_SECONDS)
        assert (len(pg.asked), told(merchant_server)) == (asked, day.told)
        assert await steps(copy, day) == {
            "approving": ("approving", 0),
            "window": ("opened", 0),
            "cancelled": ("paid", 0),
            "told": ("paid", 0),
            "never": ("opened", 0),
            "account": ("waiting_deposit", 0),
            "after": ("", 0),
        }

        # A look: books follow, the fence stays. Then a name and a note.
        assert await asyncio.to_thread(unfence.run, words(), settings) == 0
        shown = capsys.readouterr().out
        assert "The fence stays" in shown
        await work_for(gateway, copy, 0.5)
        assert told(merchant_server) == day.told
        with pytest.raises(CliError, match="--by"):
            await asyncio.to_thread(unfence.run, words(by="kim"), settings)
        given = words(by="kim", note="backup of 03:00")
        assert await asyncio.to_thread(unfence.run, given, settings) == 0
        assert await asyncio.to_thread(unfence.run, given, settings) == 0
        assert "not fenced" in capsys.readouterr().out
        assert not [each for each in pg.asked[asked:] if each.method != "GET"]

        await asyncio.wait_for(_acts(gateway), 20)
        await work_for(gateway, copy, FENCED_SECONDS)

    assert await steps(copy, day) == {
        "approving": ("paid", 0),
        "window": ("paid", 0),
        "cancelled": ("paid", 400),
        "told": ("paid", 0),
        "never": ("opened", 0),
        "account": ("paid", 0),
        "after": ("", 0),
    }
    # What nobody here can know is laid before a person; all other money is equal, won by won.
    assert "charge_unknown" in shown
    [task] = await rows(
        copy, "SELECT * FROM operator_tasks WHERE kind = $1", TaskKind.BOOK_CHARGE_UNKNOWN
    )
    assert day.payments["after"].pg_order_no in task["sentence"]
    [ours] = await rows(copy, "SELECT sum(amount) FROM entries WHERE account = 'receivable'")
    assert ours["sum"] == pg.taken() - 1004
    assert not [each for each in pg.asked[asked:] if each.operation == "net_cancel"]
    # Webhooks that had left leave once more: the same words under the same number.
    again = [each for each in told(merchant_server)[len(day.told) :] if each in day.told]
    assert [each for each in again if day.payments["told"].imp_uid in each[1]]
    assert (await audit(copy)).broken == 0
    [who] = await rows(copy, "SELECT unfenced_by, note FROM house")
    assert tuple(who) == ("kim", "backup of 03:00")


async def _acts(gateway: Gateway) -> None:
    while True:
        try:
            async with gateway.store.direct() as session:
                return await session.ping()
        except Fenced:
            await asyncio.sleep(0.05)


@pytest.mark.fault("L5_WD")
async def test_without_the_fence_a_copy_sends_old_webhooks_and_undoes_what_was_paid(
    house: House,
    pg: StandInPg,
    merchant_server: Receiver,
    databases: Databases,
    tmp_path: Path,
) -> None:
    """The control, at a PG that can only undo; before it, what its book alone makes of such a copy."""
    day = await go_through(house, pg, merchant_server, databases, tmp_path)
    house.clock.advance(seconds=30)

    async with copy_of(house, databases, day.dumped) as copy:
        async with copy.gateway.store.begin() as session:
            await session.house.adopt()
            await session.house.fence("a copy")
        before = len(pg.asked)
        looked = await take_over_contract(copy.gateway, [house.channel])
        assert (looked.asked, looked.cannot_ask) == (0, 3)
        compared = await compare_books(copy.gateway, [house.channel], restored=True)
        assert sorted((each.kind, each.ending) for each in compared.differences) == [
            (DifferenceKind.CANCEL_AT_PG, Ending.BOOKED),
            (DifferenceKind.CHARGE_LOST, Ending.BOOKED),
            (DifferenceKind.CHARGE_LOST, Ending.BOOKED),
            (DifferenceKind.CHARGE_UNKNOWN, Ending.TOLD),
            (DifferenceKind.DEPOSIT_LOST, Ending.BOOKED),
        ]
        for name in ("approving", "window", "account"):
            assert (await copy.payment(day.payments[name].imp_uid)).step is Step.PAID
        assert not [each for each in pg.asked[before:] if each.method != "GET"]

    taken = pg.taken()
    async with copy_of(house, databases, day.dumped) as copy:
        await work_for(copy.gateway, copy.dsn, FENCED_SECONDS)
        assert (await copy.payment(day.payments["approving"].imp_uid)).step is Step.FAILED
    assert (pg.count("net_cancel"), pg.taken()) == (1, taken - 1004)
    again = told(merchant_server)[len(day.told) :]
    assert again
    assert set(again) <= set(day.told)


async def test_a_pg_that_says_nothing_is_not_asked_about_every_window(
    house: House, pg: StandInPg
) -> None:
    """Each silence lasts as long as a time-out; how many windows were open is the buyers' doing."""
    windows = [await house.open() for _ in range(SILENCES_ARE_ENOUGH + 4)]
    for _ in range(SILENCES_ARE_ENOUGH - 1):
        pg.answer("orders", b"", 503)
    # A word between counts anew; the payments are asked about in the order of their numbers.
    looked = await take_over_contract(house.gateway, [house.channel])
    assert (looked.asked, looked.silent) == (len(windows), SILENCES_ARE_ENOUGH - 1)
    before = pg.count("orders")
    for _ in windows:
        pg.answer("orders", b"", 503)
    looked = await take_over_contract(house.gateway, [house.channel])
    assert (looked.asked, looked.silent) == (SILENCES_ARE_ENOUGH, len(windows))
    assert pg.count("orders") - before == SILENCES_ARE_ENOUGH


@contextlib.asynccontextmanager
async def copy_of(house: House, databases: Databases, dumped: bytes) -> AsyncIterator[House]:
    """The house on a copy of its own that nobody guards, at a PG that can only undo."""
    dsn = await restore(databases, dumped)
    store = Store(dsn, 5, root_key=ROOT_KEY)
    copy = replace(house, gateway=replace(house.gateway, store=store, _connectors={}), dsn=dsn)
    give_powers(copy, Can.NET_CANCEL)
    yield copy
    await store.close()


@pytest.mark.fault("L5_WD")
@pytest.mark.parametrize("marked", [True, False])
async def test_a_question_that_was_open_in_a_copy_is_not_undone_unasked(
    house: House, pg: StandInPg, databases: Databases, marked: bool
) -> None:
    """At a PG that shows no book and cannot be asked. Without the mark (the control) paid money is undone."""
    payment = await house.open()
    dumped: list[bytes] = []

    async def copy_now(asked: Asked) -> None:
        pg.peek = None
        dumped.append(await dump(databases, house.dsn))

    pg.peek = copy_now
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID

    house.clock.advance(seconds=30)
    async with copy_of(house, databases, dumped[0]) as copy:
        async with copy.gateway.store.begin() as session:
            await session.house.adopt()
            assert await session.house.fence("a copy")
            if marked:
                assert await session.house.unfence("kim", "compared by hand") == 1
        assert await due(copy.gateway) == [payment.imp_uid]
        await reconcile(copy.gateway, payment.imp_uid)
        async with copy.gateway.store.direct() as session:
            open_tasks = [task.kind for task in await session.tasks.list_open()]
        if marked:
            assert (pg.taken(), pg.count("net_cancel")) == (1004, 0)
            assert (await copy.payment(payment.imp_uid)).step is Step.APPROVING
            assert open_tasks == [TaskKind.APPROVAL_UNKNOWN]
        else:
            assert (pg.taken(), pg.count("net_cancel")) == (0, 1)
