"""Taking the money, for naru/payments/approve.py and settle.py."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from naru.domain.errors import AlreadyPaid, ForgedReturn, PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Status, Step
from naru.domain.prepared import Prepared
from naru.payments.approve import approve
from naru.payments.prepare import change_prepared, prepare
from tests.support.gateway import House
from tests.support.receiver import Receiver
from tests.support.stand_in_pg import Asked, StandInPg


def back(pg: StandInPg, payment: Payment, **changes: str) -> dict[str, str]:
    return pg.returned(payment.pg_order_no, **{"amount": str(payment.amount.minor), **changes})


async def intents(house: House, imp_uid: str) -> list[str]:
    connection = await asyncpg.connect(house.dsn)
    try:
        rows = await connection.fetch(
            "SELECT state FROM intents WHERE imp_uid = $1 ORDER BY id", imp_uid
        )
        return [row["state"] for row in rows]
    finally:
        await connection.close()


async def webhooks(house: House) -> list[str]:
    connection = await asyncpg.connect(house.dsn)
    try:
        rows = await connection.fetch("SELECT status FROM webhook_deliveries ORDER BY id")
        return [row["status"] for row in rows]
    finally:
        await connection.close()


async def test_an_approved_payment_is_paid_with_what_the_pg_said(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await house.open(1004)
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    assert paid.card is not None
    assert (paid.card.issuer_name, paid.card.number) == ("신한카드", "536510******1234")
    assert paid.approval_number == "30012345"
    assert paid.balance == Money(1004)
    assert await house.history(paid.imp_uid) == ["opened", "authenticated", "approved"]
    assert await intents(house, paid.imp_uid) == ["done"]
    assert await webhooks(house) == ["paid"]
    assert pg.taken() == 1004


async def test_a_declined_payment_fails_with_the_words_of_the_pg_and_no_webhook(
    house: House, pg: StandInPg
) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")
    payment = await house.open()
    pg.answer("approvals", {"result": "declined", "code": "3011", "message": "한도초과"})
    failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert failed is not None
    assert (failed.step, failed.fail_code, failed.fail_reason) == (Step.FAILED, "3011", "한도초과")
    assert await intents(house, payment.imp_uid) == ["refused"]
    assert await webhooks(house) == []


HUGE = 10**30
GARBAGE: list[dict[str, Any] | bytes] = [
    b"",
    b"<html>busy</html>",
    b'"approved"',
    b"[" * 60_000,
    b'{"result":"approved"}',
    b"\xff\xfe\x00",
    {"result": "declined"},
    {"result": "declined", "order_no": "another-order", "code": "1", "message": "x"},
    {"result": "error", "code": "CONFLICT", "message": "x"},
    {"result": "approved", "code": "0000", "message": "ok"},
]


@pytest.mark.fault("C2_WD")
@pytest.mark.promise("P12")
async def test_an_answer_that_cannot_be_read_is_not_a_failure(house: House, pg: StandInPg) -> None:
    for answer in GARBAGE:
        payment = await house.open()
        pg.answer("approvals", answer)
        standing = await approve(house.gateway, payment.imp_uid, back(pg, payment))
        assert standing is not None
        assert standing.step is Step.APPROVING, answer
        assert house.gateway.public_status(standing) is Status.READY
        assert await intents(house, payment.imp_uid) == ["unknown"]


IMPOSSIBLE: list[dict[str, Any]] = [
    {"approved_at": HUGE},
    {"approved_at": True},
    {"amount": HUGE},
    {"amount": True},
    {"amount": "1004"},
    {"amount": 1004.0},
    {"tid": ""},
    {"tid": "a\x00b"},
    {"tid": "\ud800"},
    {"tid": "t" * 10_000},
    {"order_no": None},
    {"currency": "???"},
]


@pytest.mark.fault("C2_WD")
@pytest.mark.promise("P9", "P12")
async def test_an_approval_with_an_impossible_content_is_unknown_and_found_out_later(
    house: House, pg: StandInPg
) -> None:
    for impossible in IMPOSSIBLE:
        payment = await house.open()
        pg.change("approvals", **impossible)
        standing = await approve(house.gateway, payment.imp_uid, back(pg, payment))
        assert standing is not None
        assert standing.step is Step.APPROVING, impossible
        assert await intents(house, payment.imp_uid) == ["unknown"]


async def test_odd_words_of_the_pg_are_cleaned_and_do_not_lose_the_money(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    pg.change(
        "approvals",
        approval_number="12\x0034",
        wallet="\ud800kakao",
        card={"issuer_code": 5, "number": "\x00", "installment_months": 10**20, "type": [1]},
        bank="none",
    )
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    assert (paid.approval_number, paid.hub_pg_code) == ("12 34", "kakao")


@pytest.mark.fault("C2_LQ", "C2_LR")
@pytest.mark.promise("P12")
@pytest.mark.parametrize("done", [True, False])
async def test_a_pg_that_hangs_up_leaves_the_payment_being_checked(
    house: House, pg: StandInPg, done: bool
) -> None:
    payment = await house.open()
    pg.hang_up("approvals", done=done)
    standing = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert standing is not None
    assert standing.step is Step.APPROVING
    assert await intents(house, payment.imp_uid) == ["unknown"]


async def test_a_pg_that_cannot_be_reached_has_taken_nothing(house: House, pg: StandInPg) -> None:
    payment = await house.open()
    async with house.gateway.store.begin() as tx:
        await tx.channels.change_settings(
            house.channel.id, {**house.channel.settings, "url": "http://127.0.0.1:1"}
        )
    failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert failed is not None
    assert (failed.step, failed.fail_code) == (Step.FAILED, "NOT_SENT")


@pytest.mark.fault("C2_WD", "C3_WD")
@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    "other", [{"amount": 1}, {"amount": 1005}, {"currency": "USD"}, {"order_no": "somebody-elses"}]
)
async def test_an_answer_about_something_else_is_undone_at_once(
    house: House, pg: StandInPg, other: dict[str, Any]
) -> None:
    payment = await house.open(1004)
    pg.change("approvals", **other)
    failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert failed is not None
    assert failed.step is Step.FAILED
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "undone"]
    assert await intents(house, payment.imp_uid) == ["undone"]
    assert (pg.count("net_cancel"), pg.taken()) == (1, 0)


@pytest.mark.promise("P13")
async def test_the_intention_is_committed_before_the_pg_hears_of_it(
    house: House, pg: StandInPg
) -> None:
    """P13, seen from the PG's side; and nobody holds a transaction open while it thinks."""
    seen: list[tuple[str, str, str, int]] = []
    connection = await asyncpg.connect(house.dsn)

    async def peek(asked: Asked) -> None:
        if asked.operation != "approvals":
            return
        row = await connection.fetchrow(
            "SELECT i.kind, i.state, p.step FROM intents i JOIN payments p USING (imp_uid)"
            " WHERE i.number = $1",
            asked.body["order_no"],
        )
        open_transactions = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
        )
        # Noted, not asserted: an error raised here would be the PG's and not this test's.
        intent = (row["kind"], row["state"], row["step"]) if row else ("none", "none", "none")
        seen.append((*intent, open_transactions))

    pg.peek = peek
    payment = await house.open()
    await approve(house.gateway, payment.imp_uid, back(pg, payment))
    await connection.close()
    assert seen == [("approve", "open", "approving", 0)]


async def test_a_return_that_comes_twice_takes_the_money_once(house: House, pg: StandInPg) -> None:
    payment = await house.open()
    fields = back(pg, payment)
    first = await approve(house.gateway, payment.imp_uid, fields)
    again = await approve(house.gateway, payment.imp_uid, fields)
    assert first == again
    assert pg.count("approvals") == 1


@pytest.mark.fault("B1_DU", "C1_DU", "C2_DU")
@pytest.mark.promise("P8")
async def test_sixty_four_returns_at_once_take_the_money_once(house: House, pg: StandInPg) -> None:
    payment = await house.open()
    fields = back(pg, payment)
    await asyncio.gather(*(approve(house.gateway, payment.imp_uid, fields) for _ in range(64)))
    assert pg.count("approvals") == 1
    assert (await house.payment(payment.imp_uid)).step is Step.PAID
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]


@pytest.mark.fault("A2_DU")
@pytest.mark.promise("P2")
async def test_many_windows_of_one_order_end_in_one_approval(house: House, pg: StandInPg) -> None:
    order = MerchantUid("one-order")
    payments = [await house.open(merchant_uid=order) for _ in range(16)]
    ends = await asyncio.gather(
        *(approve(house.gateway, each.imp_uid, back(pg, each)) for each in payments)
    )
    assert sorted(each.step for each in ends if each) == [Step.FAILED] * 15 + [Step.PAID]
    assert {each.fail_code for each in ends if each and each.step is Step.FAILED} == {"F1002"}
    assert (pg.count("approvals"), pg.taken()) == (1, 1004)
    with pytest.raises(AlreadyPaid):
        await house.open(merchant_uid=order)


@pytest.mark.fault("B1_WD")
async def test_a_return_that_was_touched_changes_nothing(house: House, pg: StandInPg) -> None:
    payment = await house.open()
    for name in back(pg, payment):
        for value in ("forged", "x\x00y", "\ud800", "９", None):
            fields = back(pg, payment)
            del fields[name]
            if value is not None:
                fields[name] = value
            elif fields.get(name, "") == back(pg, payment)[name]:
                continue  # an empty field that is left out says the same
            with pytest.raises(ForgedReturn):
                await approve(house.gateway, payment.imp_uid, fields)
    assert (await house.payment(payment.imp_uid)).step is Step.OPENED
    assert pg.asked == []


@pytest.mark.fault("B1_WD")
async def test_a_return_of_another_order_or_amount_is_forged_even_with_a_true_signature(
    house: House, pg: StandInPg
) -> None:
    cheap, dear = await house.open(100), await house.open(90_000)
    for fields in (back(pg, cheap), back(pg, dear, amount="100"), back(pg, dear, currency="USD")):
        with pytest.raises(ForgedReturn):
            await approve(house.gateway, dear.imp_uid, fields)
    with pytest.raises(ForgedReturn):
        await approve(house.gateway, dear.imp_uid, {})
    assert pg.asked == []


@pytest.mark.fault("B1_RO")
async def test_an_authentication_that_grew_old_is_refused_by_the_pg_that_made_it(
    house: House, pg: StandInPg
) -> None:
    """By its own clock: ours may be wrong."""
    payment = await house.open()
    fields = back(pg, payment, expires_at="1")
    pg.answer("approvals", {"result": "error", "code": "TOKEN_EXPIRED", "message": "지났습니다."})
    failed = await approve(house.gateway, payment.imp_uid, fields)
    assert failed is not None
    assert (failed.step, failed.fail_code) == (Step.FAILED, "TOKEN_EXPIRED")
    assert await approve(house.gateway, payment.imp_uid, fields) == failed
    assert pg.count("approvals") == 1


@pytest.mark.fault("B1_RO", "C1_RO")
async def test_a_buyer_who_gives_up_is_told_in_the_pgs_words_once(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    fields = back(pg, payment, status="cancelled", auth_token="", code="U\x001", message="그만\n둠")
    failed = await approve(house.gateway, payment.imp_uid, fields)
    assert failed is not None
    assert (failed.fail_code, failed.fail_reason) == ("U 1", "그만 둠")
    # A true authentication of the same window comes too late.
    late = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert late == failed
    assert pg.asked == []


async def test_an_unknown_payment_is_nobody(house: House) -> None:
    assert await approve(house.gateway, "imp_000000000000", {}) is None


# --- the announced amount ------------------------------------------------------------------------


async def announce(house: House, order: str, amount: int) -> None:
    await prepare(house.gateway, house.merchant.id, Prepared(MerchantUid(order), Money(amount)))


async def test_a_window_for_another_amount_than_announced_does_not_open(house: House) -> None:
    await announce(house, "o1", 1004)
    # Announced without a currency: a bare number is of won where the PG assumes won.
    for amount in (1003, 1005, Money(1004_00, "USD")):
        with pytest.raises(PreparedDiffers):
            await house.open(amount, merchant_uid=MerchantUid("o1"))
    await house.open(1004, merchant_uid=MerchantUid("o1"))


@pytest.mark.promise("P17")
async def test_an_amount_announced_while_the_window_is_open_stops_the_approval(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open(100, merchant_uid=MerchantUid("o2"))
    await announce(house, "o2", 90_000)
    failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert failed is not None
    assert failed.step is Step.FAILED
    assert "90,000원" in (failed.fail_reason or "")
    assert pg.asked == []


@pytest.mark.fault("A1_RO")
@pytest.mark.promise("P17")
async def test_the_announced_amount_stays_once_the_approval_began(
    house: House, pg: StandInPg
) -> None:
    await announce(house, "o3", 1004)
    payment = await house.open(1004, merchant_uid=MerchantUid("o3"))
    arrived, go_on = pg.hold("approvals", done_first=True)
    approval = asyncio.create_task(approve(house.gateway, payment.imp_uid, back(pg, payment)))
    await arrived.wait()
    with pytest.raises(AlreadyPaid):
        await change_prepared(
            house.gateway, house.merchant.id, Prepared(MerchantUid("o3"), Money(5))
        )
    go_on.set()
    assert (await approval) is not None


@pytest.mark.promise("P17")
async def test_an_amount_changed_while_the_merchant_is_being_asked_still_counts(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    await announce(house, "o4", 1004)
    await house.set_merchant(confirm_url=f"{merchant_server.url}/confirm")
    payment = await house.open(1004, merchant_uid=MerchantUid("o4"))

    async def change_meanwhile(told: object) -> Any:
        from aiohttp import web

        await change_prepared(
            house.gateway, house.merchant.id, Prepared(MerchantUid("o4"), Money(90_000))
        )
        return web.Response(text="OK")

    merchant_server.reply = change_meanwhile
    failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert failed is not None
    assert failed.step is Step.FAILED
    assert pg.asked == []


@pytest.mark.fault("A1_RO")
@pytest.mark.promise("P17")
async def test_announcing_and_approving_at_once_never_differ(house: House, pg: StandInPg) -> None:
    """Either the change is refused, or the approval is: never an approval beside another amount."""
    for number in range(12):
        order = MerchantUid(f"race-{number}")
        await announce(house, order, 1004)
        payment = await house.open(1004, merchant_uid=order)
        new = Prepared(order, Money(2000))
        _, changed = await asyncio.gather(
            approve(house.gateway, payment.imp_uid, back(pg, payment)),
            change_prepared(house.gateway, house.merchant.id, new),
            return_exceptions=True,
        )
        ended = await house.payment(payment.imp_uid)
        assert (ended.step is Step.PAID) == isinstance(changed, AlreadyPaid), ended


# --- the merchant's word -------------------------------------------------------------------------


async def test_the_merchant_is_asked_and_a_yes_goes_on(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    payment = await house.open(confirm_url=f"{merchant_server.url}/browser-named")
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    [told] = merchant_server.told
    assert told.path == "/browser-named"
    assert payment.imp_uid.encode() in told.body


@pytest.mark.promise("P18")
async def test_the_merchants_own_setting_wins_over_the_browsers(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    await house.set_merchant(confirm_url=f"{merchant_server.url}/staff")
    merchant_server.then, merchant_server.text = 500, '{"reason": "품절"}'
    payment = await house.open(confirm_url="http://127.0.0.1:1/always-yes")
    failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert failed is not None
    assert failed.step is Step.FAILED
    assert failed.fail_reason == "고객사 요청에 의해 결제를 중단합니다. (상세사유 : 품절)"
    assert [told.path for told in merchant_server.told] == ["/staff"]
    assert pg.asked == []


@pytest.mark.fault("B3_WD")
@pytest.mark.promise("P18")
async def test_only_200_is_a_yes(house: House, pg: StandInPg, merchant_server: Receiver) -> None:
    for status in (201, 204, 301, 404, 500):
        merchant_server.then = status
        payment = await house.open(confirm_url=merchant_server.url)
        failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
        assert failed is not None
        assert (failed.step, failed.fail_code) == (Step.FAILED, "CONFIRM_REFUSED")
    assert pg.asked == []


@pytest.mark.fault("B3_LQ")
@pytest.mark.promise("P18")
async def test_a_merchant_who_cannot_be_asked_has_not_said_yes(house: House, pg: StandInPg) -> None:
    for url in ("http://127.0.0.1:1/", "nonsense", "http://[::1", "file:///etc"):
        payment = await house.open(confirm_url=url)
        failed = await approve(house.gateway, payment.imp_uid, back(pg, payment))
        assert failed is not None
        assert (failed.step, failed.fail_code) == (Step.FAILED, "CONFIRM_REFUSED")
    assert pg.asked == []
