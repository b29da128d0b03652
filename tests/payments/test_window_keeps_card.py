"""A window that keeps a card: the real sandbox PG, with and without money. For start, approve, settle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yarl

from naru.domain.billing_key import BillingKey, amount_of_keeping
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import (
    AlreadyPaid,
    BadAmount,
    BadCustomerUid,
    BadRequest,
    NotCancellable,
    NotSupported,
    PreparedDiffers,
)
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step, Surface
from naru.domain.prepared import Prepared
from naru.domain.window import Redirect
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.compare_books import compare_books
from naru.payments.delete_billing_key import delete_billing_key
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.prepare import prepare
from naru.payments.reconcile import reconcile
from naru.payments.start import enter_window
from naru.store.audit import audit
from tests.payments.test_faults_charge import key_of
from tests.payments.test_virtual_account_faults import told
from tests.support.dying import dying
from tests.support.gateway import House, open_house
from tests.support.sandbox_pg import join, sandbox_pg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

CARD = {"card_number": "4518421234567811", "expiry": "1249", "cvc": "111", "password": "naru1234"}
OTHER = {"card_number": "5310702345678929", "expiry": "1149", "cvc": "222", "password": "naru1234"}


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with (
        sandbox_pg(tmp_path) as address,
        open_house(database_url, address, mid="naru_keeps", pg_code="html5_inicis") as opened,
    ):
        await join(opened)
        await opened.set_merchant(webhook_url="https://shop.example/hook")
        yield opened


async def open_window(house: House, order: str, amount: int = 0) -> Payment:
    return await house.open(
        amount,
        merchant_uid=MerchantUid(order),
        customer_uid="gildong",
        customer_uid_usage="issue",
    )


async def type_in(house: House, payment: Payment, card: dict[str, str]) -> dict[str, str]:
    """The buyer types a card into the window; what their browser brings back."""
    window = await enter_window(house.gateway, payment, house.merchant)
    assert isinstance(window, Redirect)
    origin = str(yarl.URL(window.url).origin())
    async with (
        aiohttp.ClientSession(headers={"Origin": origin}) as session,
        session.post(f"{window.url}/mpi", json=card) as answer,
    ):
        said = await answer.json()
    fields: dict[str, str] = said["return_form"]["fields"]
    return fields


async def keep(house: House, order: str, amount: int = 0, card: dict[str, str] = CARD) -> Payment:
    payment = await open_window(house, order, amount)
    ended = await approve(house.gateway, payment.imp_uid, await type_in(house, payment, card))
    assert ended is not None
    return ended


async def charged_by(
    house: House, key: BillingKey | None, amount: int, order: MerchantUid | None = None
) -> Payment:
    assert key is not None
    named = {} if order is None else {"merchant_uid": order}
    opening = house.opening(amount, surface=Surface.API, **named)
    return await pay_by_billing_key(house.gateway, opening, key)


async def all_is_well(house: House) -> None:
    report = await audit(house.dsn, now=house.clock())
    broken = [each for each in report.checks if each.broken and each.name != "webhooks_leave"]
    assert not broken, [str(each) for each in broken]
    house.clock.advance(seconds=200)
    assert (await compare_books(house.gateway, [house.channel])).agrees


async def test_a_card_is_kept_for_nothing_and_charged_later(house: House) -> None:
    kept = await keep(house, "registration")
    assert (kept.step, kept.amount, kept.customer_uid_usage) == (Step.PAID, Money(0), "issue")
    assert await told(house) == ["paid"]
    key = await key_of(house, "gildong")
    assert key is not None
    assert key.imp_uid == kept.imp_uid
    assert key.card is not None
    assert key.card.number == "451842******7811"
    paid = await charged_by(house, key, 1004)
    assert (paid.step, paid.customer_uid_usage) == (Step.PAID, "payment")
    # Nothing was taken, so nothing is given back.
    with pytest.raises(NotCancellable):
        await cancel(house.gateway, house.merchant.id, kept.imp_uid, CancelRequest())
    await all_is_well(house)


async def test_a_page_names_no_customer_whom_nobody_sees(house: House) -> None:
    for name in (" ", "gildong\u200b", "\u3164"):
        with pytest.raises(BadCustomerUid, match="customer_uid"):
            await house.open(0, customer_uid=name, customer_uid_usage="issue")


async def test_a_card_may_be_charged_and_kept_in_one_window(house: House) -> None:
    kept = await keep(house, "both", 1004)
    assert (kept.step, kept.amount) == (Step.PAID, Money(1004))
    await charged_by(house, await key_of(house, "gildong"), 500)
    given = await cancel(house.gateway, house.merchant.id, kept.imp_uid, CancelRequest())
    assert given.step is Step.CANCELLED
    assert await key_of(house, "gildong") is not None
    await all_is_well(house)


@pytest.mark.fault("G1_CA", "G1_LR")
@pytest.mark.parametrize(
    ("point", "amount"),
    [("claim.after_commit", 0), ("approve.after_pg", 1004), ("settle.before_commit", 0)],
)
async def test_a_window_that_kept_a_card_while_we_died_is_found(
    house: House, point: str, amount: int
) -> None:
    payment = await open_window(house, f"{point}-{amount}", amount)
    fields = await type_in(house, payment, CARD)
    with dying(point):
        await approve(house.gateway, payment.imp_uid, fields)
    assert await key_of(house, "gildong") is None
    house.clock.advance(seconds=30)
    await reconcile(house.gateway, payment.imp_uid)
    ended = await house.payment(payment.imp_uid)
    asked = point != "claim.after_commit"
    assert ended.step is (Step.PAID if asked else Step.FAILED)
    assert ((await key_of(house, "gildong")) is not None) == asked
    await all_is_well(house)


@pytest.mark.fault("G1_WD")
async def number_of(house: House) -> str | None:
    key = await key_of(house, "gildong")
    return None if key is None or key.card is None else key.card.number


SHINHAN, SAMSUNG = "451842******7811", "531070******8929"


async def test_a_browser_puts_no_card_in_the_place_of_another(house: House) -> None:
    await keep(house, "first")
    for order in ("theft", "announced"):
        # That the order was announced is no consent: it names no customer.
        if order == "announced":
            announced = Prepared(MerchantUid(order), Money(0))
            await prepare(house.gateway, house.merchant.id, announced)
        with pytest.raises(BadRequest, match="이미 빌링키가 등록된"):
            await open_window(house, order)
    # The server takes the old one away, and the next window keeps another.
    await delete_billing_key(house.gateway, house.merchant.id, "gildong")
    await keep(house, "second", card=OTHER)
    assert await number_of(house) == SAMSUNG


@pytest.mark.parametrize("server", ["gives another", "takes it away"])
async def test_what_the_server_did_while_a_window_was_open_stands(
    server: str, house: House
) -> None:
    early = await open_window(house, "early")
    typed = await type_in(house, early, OTHER)
    house.clock.advance(seconds=1)
    await keep(house, "meanwhile")
    if server == "takes it away":
        await delete_billing_key(house.gateway, house.merchant.id, "gildong")
    ended = await approve(house.gateway, early.imp_uid, typed)
    assert ended is not None
    assert ended.step is Step.PAID
    assert await number_of(house) == (SHINHAN if server == "gives another" else None)
    await all_is_well(house)


async def test_a_card_kept_for_nothing_pays_no_order(house: House) -> None:
    order = MerchantUid("umbrella")
    await prepare(house.gateway, house.merchant.id, Prepared(order, Money(5_000)))
    kept = await keep(house, order)
    assert (kept.step, kept.amount) == (Step.PAID, Money(0))
    # The buyer still pays, once, and what was announced still binds.
    with pytest.raises(PreparedDiffers):
        await house.open(100, merchant_uid=order)
    paid = await charged_by(house, await key_of(house, "gildong"), 5_000, order)
    assert (paid.step, paid.merchant_uid) == (Step.PAID, order)
    with pytest.raises(AlreadyPaid):
        await house.open(5_000, merchant_uid=order)
    await all_is_well(house)


async def test_only_a_window_that_keeps_a_card_is_opened_for_nothing(house: House) -> None:
    with pytest.raises(BadAmount):
        await house.open(0)


def test_what_a_window_takes_is_the_manner_of_its_pg() -> None:
    won = Money(1004)
    assert amount_of_keeping("tosspayments", "card", won) == Money(0)
    assert amount_of_keeping("kakaopay", "card", won) == won
    assert amount_of_keeping("kakaopay", "card", Money(0)) == Money(0)
    assert amount_of_keeping("welcome", "card", won) == Money(0)
    assert amount_of_keeping("welcome", "phone", won) == won
    assert amount_of_keeping("mobilians", "phone", won) == won
    with pytest.raises(BadAmount):
        amount_of_keeping("mobilians", "phone", Money(0))
    with pytest.raises(NotSupported):
        amount_of_keeping("ksnet", "card", won)
