"""naru/rest/annotations.py: 54 keys, and what is null or 0 when."""

from __future__ import annotations

import msgspec
import pytest

import naru.rest.annotations as said
from naru.domain.money import Money
from naru.domain.payment import Status
from naru.rest.annotations import PaymentAnnotation, page_annotation, payment_annotation
from tests.rest.conftest import Desk

# The documented keys of a payment, and the type of each (null aside).
KEYS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        [
            "apply_num",
            "bank_code",
            "bank_name",
            "buyer_addr",
            "buyer_email",
            "buyer_name",
            "buyer_postcode",
            "buyer_tel",
            "cancel_reason",
            "card_code",
            "card_issuer_code",
            "card_issuer_name",
            "card_name",
            "card_number",
            "card_publisher_code",
            "card_publisher_name",
            "channel",
            "currency",
            "custom_data",
            "customer_uid",
            "customer_uid_usage",
            "emb_pg_provider",
            "fail_reason",
            "imp_uid",
            "merchant_uid",
            "name",
            "pay_method",
            "pg_id",
            "pg_provider",
            "pg_tid",
            "receipt_url",
            "status",
            "user_agent",
            "vbank_code",
            "vbank_holder",
            "vbank_name",
            "vbank_num",
        ],
        str,
    ),
    **dict.fromkeys(
        [
            "cancelled_at",
            "card_quota",
            "card_type",
            "failed_at",
            "paid_at",
            "started_at",
            "vbank_date",
            "vbank_issued_at",
        ],
        int,
    ),
    **dict.fromkeys(["amount", "cancel_amount"], (int, float)),
    **dict.fromkeys(["cash_receipt_issued", "escrow", "sandbox"], bool),
    **dict.fromkeys(["cancel_history", "cancel_receipt_urls", "deposit_history"], list),
    "promotion": dict,
}
NEVER_NULL = [
    "amount",
    "cancel_amount",
    "cancel_history",
    "cancel_receipt_urls",
    "cancelled_at",
    "card_quota",
    "cash_receipt_issued",
    "channel",
    "currency",
    "deposit_history",
    "escrow",
    "failed_at",
    "imp_uid",
    "merchant_uid",
    "paid_at",
    "pay_method",
    "pg_id",
    "pg_provider",
    "sandbox",
    "started_at",
    "status",
    "vbank_date",
    "vbank_issued_at",
]


def test_there_are_54_keys() -> None:
    assert len(KEYS) == 54
    # And one that is there only for who asks for it.
    assert set(PaymentAnnotation.__struct_fields__) == {*KEYS, "extension"}


@pytest.mark.parametrize(
    "annotation",
    [
        found
        for found in vars(said).values()
        if isinstance(found, type) and issubclass(found, msgspec.Struct)
        if found is not msgspec.Struct
    ],
)
def test_keys_stand_in_the_order_of_php(annotation: type[msgspec.Struct]) -> None:
    assert list(annotation.__struct_fields__) == sorted(annotation.__struct_fields__)


async def test_every_state_has_every_key_in_its_type(desk: Desk) -> None:
    paid = await desk.pay()
    states = [
        await desk.open(),
        paid,
        await desk.cancel(await desk.pay(), 1004),
        await desk.fail(),
        await desk.wait_for_deposit(),
    ]
    for payment in states:
        answer = (await desk.ask("GET", f"/payments/{payment.imp_uid}")).response
        assert list(answer) == sorted(KEYS)
        for key, value in answer.items():
            if value is None:
                assert key not in NEVER_NULL
            else:
                assert isinstance(value, KEYS[key]), key
                assert isinstance(value, bool) == (KEYS[key] is bool), key


async def test_a_paid_card_payment(desk: Desk) -> None:
    payment = await desk.pay()
    now = int(desk.clock().timestamp())

    answer = (await desk.ask("GET", f"/payments/{payment.imp_uid}")).response

    given = {key: value for key, value in answer.items() if value not in (None, 0, [], False)}
    assert given == {
        "amount": 1004,
        "apply_num": "45918441",
        "buyer_name": "홍길동",
        "buyer_tel": "010-4242-4242",
        "card_code": "366",
        "card_name": "신한카드",
        "card_number": "542879******0294",
        "card_quota": 3,
        "channel": "pc",
        "currency": "KRW",
        "imp_uid": payment.imp_uid,
        "merchant_uid": payment.merchant_uid,
        "name": "당근 10kg",
        "paid_at": now,
        "pay_method": "card",
        "pg_id": "T0000",
        "pg_provider": "kcp",
        "pg_tid": f"tid_{payment.imp_uid}",
        "receipt_url": "https://pg.example/receipt?a=b/c",
        "sandbox": True,
        "started_at": now,
        "status": "paid",
    }
    assert answer["card_type"] == 0
    assert answer["vbank_num"] is None
    assert answer["vbank_date"] == answer["vbank_issued_at"] == 0


async def test_a_ready_payment_shows_no_end(desk: Desk) -> None:
    payment = await desk.open()

    answer = (await desk.ask("GET", f"/payments/{payment.imp_uid}")).response

    assert answer["status"] == "ready"
    assert answer["paid_at"] == answer["failed_at"] == answer["cancelled_at"] == 0
    assert answer["pg_tid"] is None
    assert answer["receipt_url"] is None


async def test_a_waiting_account_shows_no_card(desk: Desk) -> None:
    payment = await desk.wait_for_deposit()
    assert payment.virtual_account is not None

    answer = (await desk.ask("GET", f"/payments/{payment.imp_uid}")).response

    assert answer["status"] == "ready"
    assert answer["vbank_num"] == "79959078731512"
    assert answer["vbank_code"] == "004"
    assert answer["vbank_holder"] == "나루"
    assert answer["vbank_date"] == int(payment.virtual_account.due.timestamp())
    assert answer["card_quota"] == 0
    assert answer["card_code"] is None


async def test_a_failed_payment_says_when_and_why(desk: Desk) -> None:
    payment = await desk.fail()

    answer = (await desk.ask("GET", f"/payments/{payment.imp_uid}")).response

    assert answer["status"] == "failed"
    assert answer["failed_at"] == int(desk.clock().timestamp())
    assert answer["fail_reason"] == "[결제포기] 사용자가 결제를 취소하셨습니다"
    assert answer["paid_at"] == 0


async def test_a_cancelled_payment_keeps_when_it_was_paid(desk: Desk) -> None:
    payment = await desk.pay()
    paid_at = int(desk.clock().timestamp())
    desk.clock.advance(60)
    await desk.cancel(payment, 4)
    desk.clock.advance(60)
    await desk.cancel(payment, 1000)

    answer = (await desk.ask("GET", f"/payments/{payment.imp_uid}")).response

    assert answer["status"] == "cancelled"
    assert answer["amount"] == answer["cancel_amount"] == 1004
    assert answer["paid_at"] == paid_at
    assert answer["cancelled_at"] == paid_at + 120
    assert answer["cancel_reason"] == "변심"
    assert [cancel["amount"] for cancel in answer["cancel_history"]] == [4, 1000]
    assert [cancel["cancelled_at"] for cancel in answer["cancel_history"]] == [
        paid_at + 60,
        paid_at + 120,
    ]
    assert set(answer["cancel_history"][0]) == {
        "amount",
        "cancellation_id",
        "cancelled_at",
        "pg_tid",
        "reason",
        "receipt_url",
    }
    assert answer["cancel_receipt_urls"] == ["https://pg.example/cancel"] * 2


async def test_a_partly_cancelled_payment_is_cancelled_unless_switched(desk: Desk) -> None:
    payment = await desk.cancel(await desk.pay(), 4)

    assert payment_annotation(payment).status is Status.CANCELLED
    assert payment_annotation(payment, partial_cancel=Status.PAID).status is Status.PAID


async def test_dollars_keep_their_cents_and_won_stay_integers(desk: Desk) -> None:
    dollars = await desk.pay(
        amount=Money(1250, "USD"), cancelled=Money(0, "USD"), tax_free=Money(0, "USD")
    )
    won = await desk.pay()

    assert b'"amount":12.5,' in (await desk.ask("GET", f"/payments/{dollars.imp_uid}")).raw
    assert b'"amount":1004,' in (await desk.ask("GET", f"/payments/{won.imp_uid}")).raw


def test_pages_point_to_their_neighbours_by_number() -> None:
    def neighbours(page: int, total: int) -> tuple[int, int]:
        made = page_annotation([], total=total, page=page, limit=20, partial_cancel=Status.PAID)
        return made.previous, made.next

    assert neighbours(1, 0) == (0, 0)
    assert neighbours(1, 20) == (0, 0)
    assert neighbours(1, 21) == (0, 2)
    assert neighbours(2, 21) == (1, 0)
    assert neighbours(2, 41) == (1, 3)
