"""Charges without a window under every fault of the matrix: row G2 (charged by key or by card).

Each is done by a key, by a card's number, and by a number that is kept under a key meanwhile: where
the money is not taken there must be no key, and where it is taken there must be one. At night each is
done by welfare points and by the prepaid money of quick pay too, which are charged the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from naru.connectors import Can, ChargeOrder
from naru.domain.billing_key import BillingKey, CardNumber
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import AlreadyPaid, NoBillingKey, NotSupported, OutcomeUnknown, PgRefused
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.outcome import Outcome
from naru.domain.payment import Payment, Step, Surface
from naru.domain.point_account import PointAccount
from naru.domain.prepared import Prepared
from naru.payments import turns
from naru.payments.cancel import cancel
from naru.payments.charge import ask_for_it
from naru.payments.claim import claim, moment
from naru.payments.compare_books import compare_books
from naru.payments.delete_billing_key import delete_billing_key
from naru.payments.gateway import Gateway
from naru.payments.issue_billing_key import issue_billing_key
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.pay_by_card_number import pay_by_card_number
from naru.payments.pay_by_points import pay_by_points
from naru.payments.prepare import prepare
from naru.payments.quick_pay import pay_by_money
from naru.payments.reconcile import reconcile
from naru.payments.start import start
from naru.store import Session, StoreUnavailable
from tests.payments.test_faults_approve import jumping
from tests.payments.test_recovery import give_powers, let_time_pass
from tests.payments.test_sleepers import asleep, sleep_through
from tests.payments.test_virtual_account_faults import (
    GARBAGE,
    ended,
    only_payment,
    tasks_of,
)
from tests.support.agreement import agree
from tests.support.database_away import database_away
from tests.support.database_line import over_a_line
from tests.support.dying import dying
from tests.support.gateway import House, open_house
from tests.support.scale import often
from tests.support.stand_in_pg import SECRET, Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

AT_ONCE = often(16, 64)
WAYS = ("key", "card", "keep", "points", "money")
POINTS = PointAccount("benepia", "point1234", "1001")
CARD = CardNumber.read("5365-1012-3456-1234", "2049-12", "880101", "00")


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
async def house(database_url: str, pg: StandInPg) -> AsyncIterator[House]:
    async with open_house(database_url, pg.url, secret=SECRET) as opened:
        await opened.set_merchant(webhook_url="https://shop.example/hook")
        yield opened


@dataclass
class Charging:
    """One way to charge. `keeps`: the card is to be kept under a key."""

    house: House
    way: str

    @property
    def keeps(self) -> bool:
        return self.way == "keep"

    async def __call__(
        self, order: str, amount: int = 1004, gateway: Gateway | None = None, **more: Any
    ) -> Payment:
        house, gateway = self.house, gateway or self.house.gateway
        opening = house.opening(
            amount, merchant_uid=MerchantUid(order), surface=Surface.API, request={}
        )
        if self.way == "key":
            key = await key_of(house, gateway=gateway)
            assert key is not None
            return await pay_by_billing_key(gateway, opening, key, **more)
        if self.way == "points":
            return await pay_by_points(gateway, opening, POINTS, **more)
        if self.way == "money":
            async with gateway.store.direct() as session:
                [pin] = await session.payments.many_of_merchant(house.merchant.id, [], ["pin"])
            return await pay_by_money(gateway, opening, "member", pin.imp_uid, **more)
        customer = "kept" if self.keeps else None
        return await pay_by_card_number(gateway, opening, CARD, customer_uid=customer, **more)

    async def agree(self, pg: StandInPg, payment: Payment, told: list[str]) -> Payment:
        """The books agree; and there is a key if and only if the money was taken."""
        now = await agree(self.house, pg, payment.imp_uid, told)
        if self.keeps:
            kept = await key_of(self.house, "kept")
            assert (kept is not None) == (now.step is Step.PAID)
        return now


async def key_of(
    house: House, customer_uid: str = "customer", gateway: Gateway | None = None
) -> BillingKey | None:
    async with (gateway or house.gateway).store.direct() as session:
        return await session.billing_keys.get(house.merchant.id, customer_uid)


async def issue(house: House, customer_uid: str = "customer") -> BillingKey:
    return await issue_billing_key(house.gateway, house.merchant, house.channel, customer_uid, CARD)


@pytest.fixture(params=WAYS[: often(3, 5)])
async def charging(request: pytest.FixtureRequest, house: House, pg: StandInPg) -> Charging:
    if request.param == "key":
        await issue(house)
    if request.param == "money":
        await house.open(merchant_uid=MerchantUid("pin"))
    pg.asked.clear()
    return Charging(house, request.param)


async def held(charging: Charging, order: str, monkeypatch: pytest.MonkeyPatch) -> Payment:
    """Nobody knows: the payment is being checked, and the order takes no other."""
    payment = await only_payment(charging.house, order)
    assert payment.step is Step.APPROVING
    with monkeypatch.context() as patch:
        patch.setattr(turns, "WAIT_SECONDS", 0.0)
        with pytest.raises(OutcomeUnknown):
            await charging(order)
    with pytest.raises(AlreadyPaid):
        await charging.house.open(merchant_uid=MerchantUid(order))
    return payment


async def test_a_charge_takes_the_money_and_keeps_the_card_if_it_should(
    charging: Charging, pg: StandInPg
) -> None:
    paid = await charging("plain")
    assert (paid.step, paid.surface, paid.amount) == (Step.PAID, Surface.API, Money(1004))
    assert paid.imp_uid.startswith("imps_")
    usage = {"key": "payment", "keep": "issue"}.get(charging.way)
    assert paid.customer_uid_usage == usage
    await charging.agree(pg, paid, ["paid"])
    if charging.keeps:
        kept = await key_of(charging.house, "kept")
        assert kept is not None
        assert kept.imp_uid == paid.imp_uid
        opening = charging.house.opening(500, surface=Surface.API)
        second = await pay_by_billing_key(charging.house.gateway, opening, kept)
        await agree(charging.house, pg, second.imp_uid, ["paid"])
    given = await cancel_whole(charging.house, paid)
    assert given.step is Step.CANCELLED


async def cancel_whole(house: House, payment: Payment) -> Payment:
    return await cancel(house.gateway, house.merchant.id, payment.imp_uid, CancelRequest())


async def test_a_declined_charge_leaves_a_failed_payment_and_no_webhook(
    charging: Charging, pg: StandInPg
) -> None:
    pg.answer("charges", {"result": "declined", "code": "3011", "message": "한도초과"})
    with pytest.raises(PgRefused, match="한도초과"):
        await charging("declined")
    failed = await only_payment(charging.house, "declined")
    assert (failed.step, failed.fail_code, failed.fail_reason) == (Step.FAILED, "3011", "한도초과")
    await charging.agree(pg, failed, [])
    assert (await charging("declined")).step is Step.PAID  # The order is free for another try.


async def test_an_announced_amount_does_not_bind_a_charge(charging: Charging) -> None:
    house = charging.house
    await prepare(house.gateway, house.merchant.id, Prepared(MerchantUid("announced"), Money(7)))
    assert (await charging("announced")).amount == Money(1004)


async def test_what_is_bound_to_the_claim_is_committed_with_it_or_undoes_it(
    house: House, pg: StandInPg
) -> None:
    await issue(house)
    bound: list[str] = []

    async def bind(tx: Session, imp_uid: str) -> None:
        if order == "refused":
            raise NoBillingKey("not now")
        assert (await tx.payments.get(imp_uid)) is not None
        bound.append(imp_uid)

    order = "bound"
    paid = await Charging(house, "key")(order, bind=bind)
    assert bound == [paid.imp_uid]
    assert paid.customer_uid_usage == "payment"
    asked, order = pg.count("charges"), "refused"
    with pytest.raises(NoBillingKey):
        await Charging(house, "key")(order, bind=bind)
    assert pg.count("charges") == asked
    assert (await only_payment(house, order)).step is Step.FAILED


async def test_a_dead_key_of_another_merchant_or_of_another_channel_charges_nothing(
    house: House, database_url: str, pg: StandInPg
) -> None:
    key = await issue(house)
    async with open_house(database_url, pg.url, secret=SECRET) as other:
        with pytest.raises(NoBillingKey):
            await pay_by_billing_key(other.gateway, other.opening(), key)
    deleted = await delete_billing_key(house.gateway, house.merchant.id, "customer")
    with pytest.raises(NoBillingKey):
        await pay_by_billing_key(house.gateway, house.opening(), deleted)
    # A stale copy of the key goes to the PG, which knows it no more.
    with pytest.raises(PgRefused, match="등록되지 않은 빌링키"):
        await pay_by_billing_key(house.gateway, house.opening(), key)
    assert pg.taken() == 0


async def test_a_pg_without_the_power_is_not_asked(house: House, pg: StandInPg) -> None:
    key = await issue(house)
    connector = give_powers(house)
    type(connector).can = connector.can - {Can.BILLING, Can.KEY_IN}
    pg.asked.clear()
    for way in (
        pay_by_billing_key(house.gateway, house.opening(), key),
        pay_by_card_number(house.gateway, house.opening(), CARD),
        issue_billing_key(house.gateway, house.merchant, house.channel, "x", CARD),
    ):
        with pytest.raises(NotSupported):
            await way
    assert pg.asked == []


@pytest.mark.fault("G2_CB")
async def test_a_charge_that_was_never_asked_ends_as_failed(
    charging: Charging, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dying("claim.after_commit"):
        await charging("cb")
    assert pg.count("charges") == 0
    payment = await held(charging, "cb", monkeypatch)
    assert (await ended(charging.house, payment.imp_uid)).step is Step.FAILED
    await charging.agree(pg, payment, [])
    assert (await charging("cb")).step is Step.PAID


@pytest.mark.fault("G2_CA")
@pytest.mark.parametrize(
    "point", ["approve.after_pg", "settle.before_commit", "settle.after_commit"]
)
async def test_a_charge_after_which_we_died_is_found(
    charging: Charging, pg: StandInPg, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dying(point):
        await charging(point)
    payment = await only_payment(charging.house, point)
    if point != "settle.after_commit":
        await held(charging, point, monkeypatch)
    assert (await ended(charging.house, payment.imp_uid)).step is Step.PAID
    await charging.agree(pg, payment, ["paid"])
    with pytest.raises(AlreadyPaid):
        await charging(point)


@pytest.mark.fault("G2_LQ", "G2_LR")
@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("done", [False, True])
async def test_a_charge_whose_question_or_answer_was_lost(
    charging: Charging, pg: StandInPg, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.hang_up("charges", done=done)
    with pytest.raises(OutcomeUnknown):
        await charging("lost")
    payment = await held(charging, "lost", monkeypatch)
    end = await ended(charging.house, payment.imp_uid)
    assert end.step is (Step.PAID if done else Step.FAILED)
    await charging.agree(pg, payment, ["paid"] if done else [])


async def charges_at_once(charging: Charging, pg: StandInPg) -> tuple[int, list[object]]:
    """How often the PG took the money, and what the callers heard. Half of them ask other processes."""
    here = charging.house.gateway
    others = [replace(here, turns=turns.Turns()) for _ in range(AT_ONCE // 2)]
    heard = await asyncio.gather(
        *(charging("at once", gateway=each) for each in (*[here] * (AT_ONCE // 2), *others)),
        return_exceptions=True,
    )
    return sum(row["kind"] == "charge" for row in pg.book), heard


@pytest.mark.fault("G2_DU")
@pytest.mark.promise("P2")
async def test_the_same_order_charged_many_times_at_once_is_charged_once(
    charging: Charging, pg: StandInPg
) -> None:
    taken, heard = await charges_at_once(charging, pg)
    paid = [each for each in heard if isinstance(each, Payment)]
    assert taken == len(paid) == 1
    # The others waited for the first one, and heard how it ended.
    assert all(isinstance(each, AlreadyPaid) for each in heard if each not in paid)
    await charging.agree(pg, paid[0], ["paid"])


async def charged_by_two_who_looked_before(house: House, pg: StandInPg) -> int:
    """How often the PG takes the money of one order when both look before either claims it."""
    gateway = house.gateway
    opening = house.opening(
        merchant_uid=MerchantUid("two"), surface=Surface.API, request={}, announced_binds=False
    )

    async def ask(order: ChargeOrder) -> Outcome:
        return await gateway.connector_of(house.channel).approve_by_card(house.channel, order, CARD)

    opened = [await start(gateway, opening) for _ in range(2)]
    for payment, _ in opened:
        before = moment(gateway)
        with suppress(AlreadyPaid):
            claimed = await claim(gateway, payment, None, {}, announced_binds=False)
            assert claimed is not None
            await ask_for_it(gateway, opening, claimed, ask, before)
    return sum(row["kind"] == "charge" for row in pg.book)


@pytest.mark.promise("P2")
async def test_who_looked_before_another_claimed_the_order_does_not_charge_it(
    house: House, pg: StandInPg
) -> None:
    assert await charged_by_two_who_looked_before(house, pg) == 1


async def test_control_without_the_index_the_order_is_charged_again(
    databases: Databases, pg: StandInPg
) -> None:
    url = databases.new()
    try:
        async with open_house(url, pg.url, secret=SECRET) as house:
            async with house.gateway.store.direct() as session:
                await session.payments._connection.raw.execute("DROP INDEX one_approval_per_order")
            taken = await charged_by_two_who_looked_before(house, pg)
    finally:
        databases.drop(url)
    print(f"\none order, two who looked before: taken once with the index, {taken} times without")
    assert taken == 2


@pytest.mark.fault("G2_RO", "G2_SL")
@pytest.mark.parametrize("done_first", [False, True])
async def test_a_charge_that_is_done_or_answered_after_the_worker_has_looked(
    charging: Charging, pg: StandInPg, done_first: bool
) -> None:
    """Late at the PG: its tombstone refuses. Late on the way back: the answer finds the work done."""
    at_pg, go_on = pg.hold("charges", done_first=done_first)
    asking = asyncio.ensure_future(charging("late"))
    await at_pg.wait()
    payment = await only_payment(charging.house, "late")
    charging.house.clock.advance(seconds=400)
    await reconcile(charging.house.gateway, payment.imp_uid)
    go_on.set()
    with suppress(PgRefused, OutcomeUnknown):
        await asking
    end = await ended(charging.house, payment.imp_uid)
    assert end.step is (Step.PAID if done_first else Step.FAILED)
    await charging.agree(pg, payment, ["paid"] if done_first else [])


@pytest.mark.fault("G2_SL")
@pytest.mark.parametrize("point", ["claim.after_commit", "approve.after_pg"])
async def test_a_process_that_slept_does_not_charge_what_others_have_ended(
    charging: Charging, pg: StandInPg, point: str
) -> None:
    async def deed(gateway: Gateway) -> object:
        return await charging("slept", gateway=gateway)

    assert await sleep_through(charging.house, point, deed)
    payment = await only_payment(charging.house, "slept")
    assert payment.step is (Step.PAID if point == "approve.after_pg" else Step.FAILED)
    await charging.agree(pg, payment, ["paid"] if payment.step is Step.PAID else [])


@pytest.mark.fault("G2_SL")
async def test_a_process_that_slept_asks_the_pg_nothing(house: House, pg: StandInPg) -> None:
    """Where nothing can be undone, a late question would be money that was given up."""
    give_powers(house, Can.INQUIRE_ORDER)
    charging = Charging(house, "card")

    async def deed(gateway: Gateway) -> object:
        return await charging("slept", gateway=gateway)

    with asleep(house, "claim.after_commit", deed) as sleeper:
        assert await sleeper.sleeps()
        await let_time_pass(house, minutes=30, step=120)
        await sleeper.goes_on()
    assert pg.count("charges") == 0
    assert (await only_payment(house, "slept")).step is Step.FAILED


@pytest.mark.fault("G2_WD")
@pytest.mark.parametrize("wrong", [{"amount": 1}, {"currency": "USD"}, {"order_no": "n_another"}])
async def test_a_charge_of_something_else_is_undone(
    charging: Charging, pg: StandInPg, wrong: dict[str, Any]
) -> None:
    pg.change("charges", **wrong)
    with suppress(PgRefused, OutcomeUnknown):
        await charging("wrong")
    failed = await ended(charging.house, (await only_payment(charging.house, "wrong")).imp_uid)
    if charging.keeps and "order_no" in wrong:
        # The key in the same answer is of the order that was asked for: what stands is asked, and paid.
        assert failed.step is Step.PAID
        await charging.agree(pg, failed, ["paid"])
        return
    assert failed.step is Step.FAILED
    assert pg.orders[failed.pg_order_no]["state"] == "undone"
    await charging.agree(pg, failed, [])


@pytest.mark.fault("G2_WD")
async def test_garbage_in_answer_to_a_charge_is_doubt(
    charging: Charging, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, said in enumerate((*GARBAGE, {"result": "account_issued"})):
        order = f"garbage-{number}"
        pg.answer("charges", said)
        with pytest.raises(OutcomeUnknown):
            await charging(order)
        payment = await held(charging, order, monkeypatch)
        assert (await ended(charging.house, payment.imp_uid)).step is Step.FAILED


@pytest.mark.fault("G2_WD")
@pytest.mark.parametrize(
    "key",
    [
        {"key_no": "n_another", "billing_key": "k"},
        {"billing_key": "k"},
        {"key_no": "", "billing_key": ""},
        [],
    ],
)
async def test_a_key_that_is_none_never_makes_a_charge_a_failure(
    house: House, pg: StandInPg, key: object
) -> None:
    """The money is taken whatever the answer says of the key: what stands is asked, and booked."""
    charging = Charging(house, "keep")
    pg.change("charges", issued_key=key)
    with suppress(OutcomeUnknown):
        await charging("odd key")
    paid = await ended(house, (await only_payment(house, "odd key")).imp_uid)
    assert paid.step is Step.PAID
    await charging.agree(pg, paid, ["paid"])
    kept = await key_of(house, "kept")
    assert kept is not None
    assert kept.key == f"key-{paid.pg_order_no}"


@pytest.mark.fault("G2_DB", "G2_DF")
async def test_a_charge_while_the_database_goes_away(
    charging: Charging, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_pg, go_on = pg.hold("charges", done_first=True)
    asking = asyncio.ensure_future(charging("db"))
    await at_pg.wait()
    async with database_away(charging.house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await asking
        with pytest.raises(StoreUnavailable):
            await charging("db, too")
    payment = await held(charging, "db", monkeypatch)
    assert (await ended(charging.house, payment.imp_uid)).step is Step.PAID
    await charging.agree(pg, payment, ["paid"])
    assert sum(row["kind"] == "charge" for row in pg.book) == 1


@pytest.mark.fault("G2_DB")
@pytest.mark.parametrize("done", [False, True])
async def test_a_charge_whose_commit_was_not_answered(
    charging: Charging, pg: StandInPg, done: bool
) -> None:
    async with over_a_line(charging.house) as line:

        async def cut(asked: Asked) -> None:
            if asked.operation == "charges":
                line.next_commit(done=done)

        pg.peek = cut
        with pytest.raises(StoreUnavailable):
            await charging("cut")
        assert line.cuts == 1
    pg.peek = None
    payment = await only_payment(charging.house, "cut")
    assert payment.step is (Step.PAID if done else Step.APPROVING)
    assert (await ended(charging.house, payment.imp_uid)).step is Step.PAID
    await charging.agree(pg, payment, ["paid"])


@pytest.mark.fault("G2_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_during_a_charge_changes_nothing(
    charging: Charging, pg: StandInPg, hours: int
) -> None:
    async with jumping(charging.house, "claim.after_commit", hours):
        paid = await charging(f"jump{hours}")
    assert paid.step is Step.PAID
    await charging.agree(pg, paid, ["paid"])


@pytest.mark.fault("G2_NP")
async def test_a_pg_that_is_away_for_minutes_leaves_the_charge_in_doubt_until_it_answers(
    charging: Charging, pg: StandInPg, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.hang_up("charges", done=True)
    with pytest.raises(OutcomeUnknown):
        await charging("away")
    payment = await held(charging, "away", monkeypatch)
    for _ in range(3):
        pg.answer("orders", b"", 503)
        charging.house.clock.advance(minutes=6)
        await reconcile(charging.house.gateway, payment.imp_uid)
        await held(charging, "away", monkeypatch)
    assert (await ended(charging.house, payment.imp_uid)).step is Step.PAID
    await charging.agree(pg, payment, ["paid"])
    assert await tasks_of(charging.house, payment) == []


async def test_the_pgs_own_book_agrees_with_charges(charging: Charging, pg: StandInPg) -> None:
    await charging("in the book")
    house = charging.house
    house.clock.advance(hours=2)
    compared = await compare_books(house.gateway, [house.channel])
    assert compared.differences == []
