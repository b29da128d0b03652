"""The one path: every way to be robbed, every loss and repetition, by both voices."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from naru.kit import (
    AsyncClient,
    AsyncFinaliser,
    Cancelled,
    Client,
    Failed,
    Finaliser,
    Finding,
    Forged,
    Paid,
    Payment,
    Swept,
    Unavailable,
    Unknown,
    Verdict,
    WaitingForDeposit,
)
from naru.kit.orders import AlreadyUsed, StoredOrder
from naru.kit.orders.memory import AsyncMemoryOrders, MemoryDesk, MemoryOrders
from tests.kit.stores import (
    Parcel,
    open_blocking_postgres,
    open_postgres,
    open_sqlite,
    parcels,
)
from tests.support.scale import often
from tests.support.stand_in_gateway import (
    API_KEY,
    API_SECRET,
    StandInGateway,
    answers,
    hangs_up,
    stays_silent,
)

CHAIR = 64_900


@dataclass
class Shop:
    """A shop with a till, what it sent, what it told and what was found; either voice."""

    orders: MemoryOrders | AsyncMemoryOrders
    client: Client | AsyncClient
    parcels: list[str] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    # Raised by the shop's own function of this name, while it is there.
    broken: dict[str, Exception] = field(default_factory=dict)
    deaf: bool = False

    def __post_init__(self) -> None:
        own: dict[str, Any] = {
            "fulfil": self.fulfil,
            "note": self.note,
            "tell": None if self.deaf else self.tell,
            "report": self.report,
        }
        options = own | {"allow_sandbox": True, "patience_seconds": 2.0}
        self.till: Any
        if isinstance(self.client, AsyncClient):
            self.till = AsyncFinaliser(self.client, self.orders, **options)  # type: ignore[arg-type]
        else:
            self.till = Finaliser(self.client, self.orders, **options)  # type: ignore[arg-type]

    def fulfil(self, order: StoredOrder, payment: Payment, session: dict[str, StoredOrder]) -> None:
        assert session[order.merchant_uid].status == "paid"
        self._break("fulfil")
        self.parcels.append(order.merchant_uid)

    def note(self, order: StoredOrder, payment: Payment, session: dict[str, StoredOrder]) -> None:
        self._break("note")
        self.noted.append((order.merchant_uid, order.status))

    def tell(self, order: StoredOrder, payment: Payment) -> None:
        self._break("tell")
        self.told.append((order.merchant_uid, order.status))

    def report(self, finding: Finding) -> None:
        self._break("report")
        self.findings.append(finding)

    def _break(self, name: str) -> None:
        if name in self.broken:
            raise self.broken[name]

    async def finalise(self, imp_uid: str, claimed: str | None = None) -> Verdict:
        verdict: Verdict = await self._heard(self.till.finalise(imp_uid, claimed))
        return verdict

    async def look_again(self, merchant_uid: str) -> Verdict | None:
        verdict: Verdict | None = await self._heard(self.till.look_again(merchant_uid))
        return verdict

    async def sweep(self, **how: Any) -> Swept:
        swept: Swept = await self._heard(self.till.sweep(**how))
        return swept

    async def _heard(self, answer: Any) -> Any:
        return await answer if inspect.isawaitable(answer) else answer

    def status(self, merchant_uid: str) -> str:
        return self.orders[merchant_uid].status


@pytest.fixture(params=["blocking", "async"])
async def shop(request: pytest.FixtureRequest, gateway: StandInGateway) -> AsyncIterator[Shop]:
    """Two orders of a chair, nobody has paid."""
    options: dict[str, Any] = {"base_url": gateway.url, "timeout_seconds": 5.0}
    client: Client | AsyncClient
    if request.param == "async":
        client = AsyncClient(API_KEY, API_SECRET, **options)
        shop = Shop(AsyncMemoryOrders(), client)
    else:
        client = Client(API_KEY, API_SECRET, **options)
        shop = Shop(MemoryOrders(), client)
    for order in ("order-1", "order-2"):
        shop.orders.place(order, CHAIR)
    yield shop
    closing = client.close()
    if inspect.isawaitable(closing):
        await closing


async def test_a_payment_that_fits_is_fulfilled_and_told_once(
    gateway: StandInGateway, shop: Shop
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)
    for claimed in (None, "order-1", None):
        verdict = await shop.finalise(imp_uid, claimed)
        assert isinstance(verdict, Paid)
        assert verdict.payment.imp_uid == imp_uid
    assert shop.parcels == ["order-1"]
    assert shop.told == [("order-1", "paid")]
    assert shop.orders["order-1"].untold is False
    assert shop.findings == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": 1000}, "amount"),
        ({"currency": "VND"}, "currency"),
        ({"merchant_uid": "order-9"}, "no_order"),
        ({"merchant_uid": None}, "no_order"),
        ({"merchant_uid": "order-1\x00"}, "no_order"),
        ({"merchant_uid": "order-1\ud800"}, "no_order"),
        ({"merchant_uid": "o" * 100_000}, "no_order"),
        ({"cancel_amount": None}, "cancel_amount"),
        ({"status": "captured"}, "status"),
    ],
)
async def test_a_payment_that_differs_pays_for_nothing(
    gateway: StandInGateway, shop: Shop, changes: dict[str, Any], reason: str
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)
    gateway.payments[imp_uid] |= changes
    verdict = await shop.finalise(imp_uid)
    assert isinstance(verdict, Forged)
    assert verdict.reasons == (reason,)
    assert shop.parcels == []
    assert {shop.status(order) for order in ("order-1", "order-2")} == {"placed"}
    # Real money that fits no order is shown to a person.
    paid = reason in ("amount", "currency", "cancel_amount")
    assert [finding.kind for finding in shop.findings] == (["forged"] if paid else [])


async def test_who_claims_another_order_than_the_gateway_gets_neither(
    gateway: StandInGateway, shop: Shop
) -> None:
    """The official sample's hole: it updates the order that the browser names."""
    shop.orders.place("cheap", 1000)
    imp_uid = gateway.pay("cheap", 1000)
    verdict = await shop.finalise(imp_uid, "order-1")
    assert isinstance(verdict, Forged)
    assert verdict.reasons == ("claimed",)
    assert shop.status("order-1") == shop.status("cheap") == "placed"
    # And honestly told, it pays for its own order only.
    assert isinstance(await shop.finalise(imp_uid, "cheap"), Paid)
    assert shop.parcels == ["cheap"]


async def test_one_payment_pays_for_one_order_whatever_the_gateway_says_later(
    gateway: StandInGateway, shop: Shop
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)
    assert isinstance(await shop.finalise(imp_uid), Paid)
    gateway.payments[imp_uid]["merchant_uid"] = "order-2"
    verdict = await shop.finalise(imp_uid)
    assert isinstance(verdict, Forged)
    assert verdict.reasons == ("replayed",)
    assert shop.parcels == ["order-1"]


class _BlindDesk(MemoryDesk):
    """Sees no other transaction that is under way, as READ COMMITTED does not."""

    def holder(self, imp_uid: str) -> str | None:
        return None

    def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        holders = {each.imp_uid: uid for uid, each in self.session.items()}
        if holders.get(after.imp_uid, before.merchant_uid) != before.merchant_uid:
            raise AlreadyUsed(after.imp_uid)
        return super().change(before, after)


class _BlindOrders(MemoryOrders):
    @contextmanager
    def begin(self) -> Iterator[MemoryDesk]:
        with super().begin() as desk:
            yield _BlindDesk(desk.session)


async def test_two_orders_of_one_payment_at_once_are_told_apart_by_the_database(
    gateway: StandInGateway,
) -> None:
    orders, parcels = _BlindOrders(), list[str]()
    orders.place("order-1", CHAIR)
    orders.place("order-2", CHAIR)
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        till = Finaliser(
            client,
            orders,
            fulfil=lambda order, payment, session: parcels.append(order.merchant_uid),
            allow_sandbox=True,
        )
        imp_uid = gateway.pay("order-1", CHAIR)
        assert isinstance(till.finalise(imp_uid), Paid)
        gateway.payments[imp_uid]["merchant_uid"] = "order-2"
        verdict = till.finalise(imp_uid)
    assert isinstance(verdict, Forged)
    assert (verdict.reasons, parcels) == (("replayed",), ["order-1"])
    assert orders["order-2"].imp_uid is None


@pytest.mark.parametrize("imp_uid", ["", "imp_unknown", "../users/pg", "x" * 99, "imp_1\n", "임"])
async def test_a_number_that_the_gateway_does_not_know_is_nobodys(shop: Shop, imp_uid: str) -> None:
    assert await shop.finalise(imp_uid) == Forged(None, ("not_found",))


async def test_play_money_is_no_money(gateway: StandInGateway) -> None:
    orders = MemoryOrders()
    orders.place("order-1", CHAIR)
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        till = Finaliser(client, orders, fulfil=lambda order, payment, session: None)
        verdict = till.finalise(gateway.pay("order-1", CHAIR, sandbox=True))
        assert isinstance(verdict, Forged)
        assert verdict.reasons == ("sandbox",)
        assert isinstance(till.finalise(gateway.pay("order-1", CHAIR, sandbox=False)), Paid)


async def test_an_account_waits_then_its_deposit_pays(gateway: StandInGateway, shop: Shop) -> None:
    account = gateway.issue_account("order-1", CHAIR)
    assert isinstance(await shop.finalise(account), WaitingForDeposit)
    assert (shop.status("order-1"), shop.parcels) == ("waiting", [])
    # A card that is refused meanwhile does not disturb the account.
    refused = await shop.finalise(gateway.fail("order-1", CHAIR))
    assert isinstance(refused, Failed)
    assert refused.reason == "한도초과(3011)"
    assert shop.status("order-1") == "waiting"
    gateway.deposit(account)
    assert isinstance(await shop.finalise(account), Paid)
    assert shop.noted == [("order-1", "waiting")]
    assert shop.told == [("order-1", "waiting"), ("order-1", "paid")]


async def test_a_deposit_over_a_failed_try_pays(gateway: StandInGateway, shop: Shop) -> None:
    assert isinstance(await shop.finalise(gateway.fail("order-1", CHAIR)), Failed)
    assert shop.status("order-1") == "failed"
    account = gateway.issue_account("order-1", CHAIR, started_at=1700000500)
    assert isinstance(await shop.finalise(account), WaitingForDeposit)
    gateway.deposit(account)
    assert isinstance(await shop.finalise(account), Paid)
    assert shop.parcels == ["order-1"]


async def test_a_word_of_an_older_try_changes_nothing(gateway: StandInGateway, shop: Shop) -> None:
    older, newer = (
        gateway.issue_account("order-1", CHAIR, started_at=1700000000 + later)
        for later in (100, 500)
    )
    await shop.finalise(newer)
    assert isinstance(await shop.finalise(older), WaitingForDeposit)
    assert (shop.orders["order-1"].imp_uid, shop.noted) == (newer, [("order-1", "waiting")])
    # Control: a newer one takes it over, and money wins over every account.
    newest = gateway.issue_account("order-1", CHAIR, started_at=1700000900)
    await shop.finalise(newest)
    assert shop.orders["order-1"].imp_uid == newest
    gateway.deposit(older)
    assert isinstance(await shop.finalise(older), Paid)


async def test_an_account_of_a_paid_order_is_not_shown(gateway: StandInGateway, shop: Shop) -> None:
    await shop.finalise(gateway.pay("order-1", CHAIR))
    verdict = await shop.finalise(gateway.issue_account("order-1", CHAIR))
    assert isinstance(verdict, Forged)
    assert verdict.reasons == ("imp_uid",)
    assert shop.status("order-1") == "paid"


async def test_an_approval_after_a_failure_pays(gateway: StandInGateway, shop: Shop) -> None:
    imp_uid = gateway.fail("order-1", CHAIR)
    await shop.finalise(imp_uid)
    gateway.payments[imp_uid] |= {"status": "paid", "paid_at": 1700000900}
    assert isinstance(await shop.finalise(imp_uid), Paid)


async def test_an_open_window_is_unknown(gateway: StandInGateway, shop: Shop) -> None:
    verdict = await shop.finalise(gateway.pay("order-1", CHAIR, status="ready", paid_at=0))
    assert isinstance(verdict, Unknown)
    assert verdict.trouble is None
    assert shop.status("order-1") == "placed"


async def test_a_part_of_the_money_that_went_back_leaves_a_paid_order_paid(
    gateway: StandInGateway, shop: Shop
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)
    await shop.finalise(imp_uid)
    gateway._cancel({"imp_uid": imp_uid, "amount": 900})
    assert isinstance(await shop.finalise(imp_uid), Cancelled)
    assert (shop.status("order-1"), shop.orders["order-1"].cancelled) == ("paid", 900)
    # A slower caller still says what had gone back before that.
    gateway.payments[imp_uid]["cancel_amount"] = 500
    await shop.finalise(imp_uid)
    assert shop.orders["order-1"].cancelled == 900
    gateway.payments[imp_uid]["cancel_amount"] = 900
    gateway._cancel({"imp_uid": imp_uid})
    assert isinstance(await shop.finalise(imp_uid), Cancelled)
    assert (shop.status("order-1"), shop.orders["order-1"].cancelled) == ("cancelled", CHAIR)
    assert shop.noted == [("order-1", "paid"), ("order-1", "cancelled")]
    # What was refunded is not paid again by the same payment.
    assert isinstance(await shop.finalise(imp_uid), Cancelled)
    assert shop.parcels == ["order-1"]


async def test_money_that_went_back_before_we_heard_of_it_sends_nothing(
    gateway: StandInGateway, shop: Shop
) -> None:
    whole, part = gateway.pay("order-1", CHAIR), gateway.pay("order-2", CHAIR)
    gateway._cancel({"imp_uid": whole})
    gateway._cancel({"imp_uid": part, "amount": 900})
    assert isinstance(await shop.finalise(whole), Cancelled)
    assert shop.findings == []
    assert isinstance(await shop.finalise(part), Cancelled)
    assert [finding.kind for finding in shop.findings] == ["part_kept"]
    # A slow caller who still remembers it as paid comes too late.
    gateway.payments[whole] |= {"status": "paid", "cancel_amount": 0}
    assert isinstance(await shop.finalise(whole), Cancelled)
    assert (shop.status("order-1"), shop.parcels) == ("cancelled", [])


async def test_a_second_payment_of_one_order_is_seen_each_time_until_it_went_back(
    gateway: StandInGateway, shop: Shop
) -> None:
    first, second = gateway.pay("order-1", CHAIR), gateway.pay("order-1", CHAIR)
    await shop.finalise(first)
    for _ in range(2):
        verdict = await shop.finalise(second)
        assert isinstance(verdict, Forged)
        assert verdict.reasons == ("imp_uid",)
    assert [finding.kind for finding in shop.findings] == ["double_payment"] * 2
    gateway._cancel({"imp_uid": second, "amount": 900})
    assert isinstance(await shop.finalise(second), Forged)
    assert len(shop.findings) == 3
    gateway._cancel({"imp_uid": second})
    assert isinstance(await shop.finalise(second), Cancelled)
    assert len(shop.findings) == 3
    assert (shop.status("order-1"), shop.parcels) == ("paid", ["order-1"])


async def test_a_price_that_changed_after_the_window_opened_is_not_paid(
    gateway: StandInGateway, shop: Shop
) -> None:
    shop.orders.place("order-3", CHAIR + 1)
    verdict = await shop.finalise(gateway.pay("order-3", CHAIR))
    assert isinstance(verdict, Forged)
    assert verdict.reasons == ("amount",)


async def test_an_order_of_nothing_is_paid_by_nothing(gateway: StandInGateway, shop: Shop) -> None:
    shop.orders.place("gift", 0)
    verdict = await shop.finalise(gateway.pay("gift", 0))
    assert isinstance(verdict, Forged)
    assert shop.parcels == []


async def test_a_sick_gateway_is_unknown_and_changes_nothing(
    gateway: StandInGateway, shop: Shop
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)
    for faults in (
        [hangs_up] * 3,
        [answers(503, {})] * 3,
        [answers(429, {})] * 3,
        [stays_silent(9)],
    ):
        gateway.faults += faults
        began = asyncio.get_running_loop().time()
        verdict = await shop.finalise(imp_uid)
        assert isinstance(verdict, Unknown)
        assert isinstance(verdict.trouble, Unavailable)
        # All tries together keep to what a webhook's sender grants.
        assert asyncio.get_running_loop().time() - began < 4
        gateway.faults.clear()
    assert shop.status("order-1") == "placed"
    assert isinstance(await shop.finalise(imp_uid), Paid)


async def test_what_fulfil_raises_undoes_the_step(gateway: StandInGateway, shop: Shop) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)
    shop.broken["fulfil"] = OSError("the shelf is empty")
    with pytest.raises(OSError, match="shelf"):
        await shop.finalise(imp_uid)
    assert (shop.status("order-1"), shop.told) == ("placed", [])
    shop.broken.clear()
    assert isinstance(await shop.finalise(imp_uid), Paid)
    assert shop.parcels == ["order-1"]


async def test_who_could_not_be_told_is_told_by_the_sweep(
    gateway: StandInGateway, shop: Shop
) -> None:
    shop.broken["tell"] = OSError("no SMS today")
    assert isinstance(await shop.finalise(gateway.pay("order-1", CHAIR)), Paid)
    assert shop.orders["order-1"].untold
    # Another report does not tell: two at once would tell twice.
    shop.broken.clear()
    swept = await shop.sweep()
    assert (shop.told, swept.told) == ([("order-1", "paid")], ["order-1"])
    assert (await shop.sweep()).told == []
    assert shop.told == [("order-1", "paid")]


async def test_a_report_that_fails_spoils_nothing(gateway: StandInGateway, shop: Shop) -> None:
    shop.broken["report"] = OSError("no pager")
    assert isinstance(await shop.finalise(gateway.pay("order-1", 1000)), Forged)


async def test_a_buyer_who_never_came_back_is_found(gateway: StandInGateway, shop: Shop) -> None:
    assert await shop.look_again("order-1") is None
    assert await shop.look_again("order-1\x00") is None
    gateway.fail("order-1", CHAIR)
    assert isinstance(await shop.look_again("order-1"), Failed)
    gateway.pay("order-1", CHAIR)
    gateway.fail("order-1", CHAIR)
    assert isinstance(await shop.look_again("order-1"), Paid)
    gateway.faults += [hangs_up] * 3
    assert isinstance(await shop.look_again("order-1"), Unknown)


async def test_the_sweep_finishes_what_nobody_reported(gateway: StandInGateway, shop: Shop) -> None:
    for number in range(120):
        shop.orders.place(f"lost-{number}", 1000 + number)
        gateway.pay(f"lost-{number}", 1000 + number)
    gateway._cancel({"imp_uid": gateway.pay("order-1", CHAIR)})
    gateway.pay("order-2", 1)
    gateway.pay("of another shop", 1)
    swept = await shop.sweep()
    assert (swept.asked, len(swept.finished), swept.cancelled) == (123, 120, ["order-1"])
    assert [finding.kind for finding in swept.findings] == ["forged"]
    assert swept.troubles == {}
    again = await shop.sweep()
    assert (again.asked, again.finished, again.cancelled) == (123, [], [])
    assert len(shop.parcels) == len(set(shop.parcels)) == 120


async def test_one_order_that_cannot_be_finished_does_not_stop_the_sweep(
    gateway: StandInGateway, shop: Shop
) -> None:
    gateway.pay("order-1", CHAIR)
    gateway.pay("order-2", CHAIR)
    shop.broken["fulfil"] = OSError("the shelf is empty")
    swept = await shop.sweep()
    assert set(swept.troubles) == set(gateway.payments)
    assert swept.finished == []
    shop.broken.clear()
    assert (await shop.sweep()).finished == ["order-1", "order-2"]


async def test_the_sweep_refunds_by_policy_and_only_once(
    gateway: StandInGateway, shop: Shop
) -> None:
    old = gateway.pay("order-1", CHAIR)
    gateway.pay("order-2", CHAIR)

    lost = [hangs_up]

    def policy(payment: Payment, order: StoredOrder) -> Any:
        if order.merchant_uid != "order-1":
            return "finish"
        # The first cancel is lost on the way.
        gateway.faults += lost
        lost.clear()
        return "refund"

    swept = await shop.sweep(policy=policy)
    assert (list(swept.troubles), swept.refunded) == ([old], [])
    # The order stays decided, and nobody fulfils it meanwhile.
    assert shop.status("order-1") == "refunding"
    assert isinstance(await shop.finalise(old), Cancelled)
    assert shop.parcels == ["order-2"]
    swept = await shop.sweep(policy=policy)
    assert swept.refunded == ["order-1"]
    assert (shop.status("order-1"), gateway.payments[old]["cancel_amount"]) == ("cancelled", CHAIR)
    await shop.sweep(policy=policy)
    assert gateway.count("POST", "/payments/cancel") == 2
    assert shop.parcels == ["order-2"]


async def test_a_refund_that_the_gateway_refuses_is_seen_and_tried_again(
    gateway: StandInGateway, shop: Shop
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)

    def policy(payment: Payment, order: StoredOrder) -> Any:
        gateway.faults.append(
            answers(200, {"code": 1, "message": "환불계좌가 없습니다.", "response": None})
        )
        return "refund"

    swept = await shop.sweep(policy=policy)
    assert [(each.kind, each.why) for each in swept.findings] == [
        ("refund_refused", "환불계좌가 없습니다.")
    ]
    assert shop.findings == swept.findings
    assert shop.status("order-1") == "refunding"
    assert (await shop.sweep()).refunded == ["order-1"]
    assert gateway.payments[imp_uid]["cancel_amount"] == CHAIR


async def test_a_refund_is_of_what_was_read_and_of_nothing_else(
    gateway: StandInGateway, shop: Shop
) -> None:
    imp_uid = gateway.pay("order-1", CHAIR)

    def policy(payment: Payment, order: StoredOrder) -> Any:
        # The shop's staff give back a part at the console, in this very moment.
        gateway.payments[imp_uid] |= {"status": "cancelled", "cancel_amount": 900}
        return "refund"

    swept = await shop.sweep(policy=policy)
    assert [finding.kind for finding in swept.findings] == ["refund_refused"]
    # Further on the same sweep reads how much less is left, and gives that back.
    assert swept.refunded == ["order-1"]
    assert gateway.payments[imp_uid]["cancel_amount"] == CHAIR
    assert (shop.status("order-1"), shop.orders["order-1"].cancelled) == ("cancelled", CHAIR)
    assert shop.parcels == []


async def test_a_double_payment_goes_back_where_the_shop_says_so(
    gateway: StandInGateway, shop: Shop
) -> None:
    first, second = gateway.pay("order-1", CHAIR), gateway.pay("order-1", CHAIR)
    swept = await shop.sweep()
    assert [finding.kind for finding in swept.findings] == ["double_payment"]
    swept = await shop.sweep(refund_double_payments=True)
    assert swept.refunded == [second]
    assert gateway.payments[first]["cancel_amount"] == 0
    assert (await shop.sweep(refund_double_payments=True)).findings == []
    assert (shop.status("order-1"), shop.parcels) == ("paid", ["order-1"])


async def test_a_sweep_needs_a_gateway(gateway: StandInGateway, shop: Shop) -> None:
    gateway.faults += [hangs_up] * 3
    with pytest.raises(Unavailable):
        await shop.sweep()


@pytest.mark.parametrize("database", ["SQLite", "READ COMMITTED", "SERIALIZABLE"])
def test_sixteen_at_once_fulfil_once(
    gateway: StandInGateway, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    """Callback, redirect, webhook and sweep of one payment on a real database, many at a time."""
    if database == "SQLite":
        orders, place, engine = open_sqlite(tmp_path)
    else:
        url = request.getfixturevalue("empty_database_url")
        orders, place, engine = open_blocking_postgres(url, database)
    rounds = often(2, 20)
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:

        def fulfil(order: StoredOrder, payment: Payment, session: Session) -> None:
            session.add(Parcel(number=order.merchant_uid))

        told: list[str] = []
        till = Finaliser(
            client,
            orders,
            fulfil=fulfil,
            tell=lambda order, payment: told.append(order.merchant_uid),
            allow_sandbox=True,
        )
        for number in range(rounds):
            place(f"order-{number}", CHAIR, "KRW")
            imp_uid = gateway.pay(f"order-{number}", CHAIR)
            together = threading.Barrier(16)

            def at_once(turn: int, imp_uid: str = imp_uid, together: Any = together) -> bool:
                together.wait(30)
                if turn == 0:
                    return till.sweep().troubles == {}
                return isinstance(till.finalise(imp_uid), Paid)

            with ThreadPoolExecutor(16) as pool:
                assert all(pool.map(at_once, range(16)))
    once_each = [f"order-{number}" for number in range(rounds)]
    with Session(engine) as session:
        assert parcels(session) == once_each
    # A sweep that meets the one who is telling may tell once more: at least once.
    assert sorted(set(told)) == once_each
    engine.dispose()


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "SERIALIZABLE"])
async def test_sixteen_at_once_fulfil_once_on_postgresql(
    gateway: StandInGateway, empty_database_url: str, isolation: Any
) -> None:
    orders, place, engine = await open_postgres(empty_database_url, isolation)
    await place("order-1", CHAIR, "KRW")
    imp_uid = gateway.pay("order-1", CHAIR)

    async def fulfil(order: StoredOrder, payment: Payment, session: AsyncSession) -> None:
        session.add(Parcel(number=order.merchant_uid))

    async with AsyncClient(API_KEY, API_SECRET, base_url=gateway.url) as client:
        till = AsyncFinaliser(client, orders, fulfil=fulfil, allow_sandbox=True)
        verdicts = await asyncio.gather(*(till.finalise(imp_uid) for _ in range(16)))
    assert [type(verdict) for verdict in verdicts] == [Paid] * 16
    async with AsyncSession(engine) as session:
        assert await session.run_sync(parcels) == ["order-1"]
    await engine.dispose()


async def test_an_async_function_in_a_blocking_till_undoes_the_step(
    gateway: StandInGateway,
) -> None:
    """It would never have run: an order that nobody fulfils must not look paid."""
    orders = MemoryOrders()
    orders.place("order-1", CHAIR)

    async def fulfil(order: StoredOrder, payment: Payment, session: Any) -> None:
        raise AssertionError("nobody awaits me")

    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        till = Finaliser(client, orders, fulfil=fulfil, allow_sandbox=True)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="AsyncFinaliser"):
            till.finalise(gateway.pay("order-1", CHAIR))
    assert orders["order-1"].status == "placed"


def test_dollars_and_cents_pay_exactly(gateway: StandInGateway, tmp_path: Path) -> None:
    orders, place, engine = open_sqlite(tmp_path)
    place("usd", 1250, "USD")
    with Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        till = Finaliser(client, orders, fulfil=lambda *_: None, allow_sandbox=True)
        assert isinstance(till.finalise(gateway.pay("usd", 12.51, currency="USD")), Forged)
        assert isinstance(till.finalise(gateway.pay("usd", 1250, currency="USD")), Forged)
        assert isinstance(till.finalise(gateway.pay("usd", 12.5, currency="USD")), Paid)
    engine.dispose()
