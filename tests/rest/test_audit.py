"""Every changing operation of the REST API leaves its row in the merchant's audit log (P20)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from naru.rest import operations
from naru.store.audit_log import Entry
from tests.rest.conftest import Desk
from tests.rest.test_vbanks import issue

pytestmark = pytest.mark.promise("P20")

# What they change: nothing.
READ_ONLY = {"POST /users/getToken", "POST /benepia/point"}
# Their tables carry the same trigger (`audited`), but no test here reads the row of each one yet.
NOT_TRIED_HERE = {
    "DELETE /certifications/{imp_uid}",
    "DELETE /cvs/{imp_uid}",
    "DELETE /kcpquick/autopay/{customer_uid}",
    "DELETE /kcpquick/members/{member_id}",
    "DELETE /receipts/external/{merchant_uid}",
    "DELETE /receipts/{imp_uid}",
    "DELETE /subscribe/customers/{customer_uid}",
    "POST /benepia/payment",
    "POST /certifications/otp/confirm/{imp_uid}",
    "POST /certifications/otp/request",
    "POST /cvs",
    "POST /escrows/logis/{imp_uid}",
    "POST /kcpquick/members/{member_id}/fido/release",
    "POST /kcpquick/payment/autopay",
    "POST /kcpquick/payment/money",
    "POST /kcpquick/prepare/{merchant_uid}",
    "POST /partners/receipts/{imp_uid}",
    "POST /payco/orders/status/{imp_uid}",
    "POST /payments/{imp_uid}/naver/approve-cancel",
    "POST /payments/{imp_uid}/naver/approve-return",
    "POST /payments/{imp_uid}/naver/cancel",
    "POST /payments/{imp_uid}/naver/collect-exchanged",
    "POST /payments/{imp_uid}/naver/confirm",
    "POST /payments/{imp_uid}/naver/place",
    "POST /payments/{imp_uid}/naver/point",
    "POST /payments/{imp_uid}/naver/reject-return",
    "POST /payments/{imp_uid}/naver/request-return",
    "POST /payments/{imp_uid}/naver/resolve-return",
    "POST /payments/{imp_uid}/naver/ship",
    "POST /payments/{imp_uid}/naver/ship-exchanged",
    "POST /payments/{imp_uid}/naver/withhold-return",
    "POST /paymentwall/delivery",
    "POST /receipts/external/{merchant_uid}",
    "POST /receipts/{imp_uid}",
    "POST /subscribe/customers/{customer_uid}",
    "POST /subscribe/payments/again",
    "POST /subscribe/payments/foreign",
    "POST /subscribe/payments/onetime",
    "POST /subscribe/payments/schedule",
    "POST /subscribe/payments/schedule/{merchant_uid}/reschedule",
    "POST /subscribe/payments/schedule/{merchant_uid}/retry",
    "POST /subscribe/payments/unschedule",
    "PUT /escrows/logis/{imp_uid}",
    "PUT /kcpquick/prepare/{merchant_uid}",
    "PUT /subscribe/payments/schedule/{merchant_uid}",
    "PUT /vbanks/{imp_uid}",
}


async def _cancel(desk: Desk) -> str:
    payment = await desk.buy(1004)
    answer = await desk.ask("POST", "/payments/cancel", json={"imp_uid": payment.imp_uid})
    assert answer.verdict == (200, 0, None)
    return f"intents {payment.imp_uid}"


async def _announce(desk: Desk) -> str:
    answer = await desk.ask("POST", "/payments/prepare", json={"merchant_uid": "o1", "amount": 100})
    assert answer.status == 200
    return "prepared o1"


async def _announce_again(desk: Desk) -> str:
    await _announce(desk)
    answer = await desk.ask("PUT", "/payments/prepare", json={"merchant_uid": "o1", "amount": 200})
    assert answer.status == 200
    return "prepared o1"


async def _issue(desk: Desk) -> str:
    return f"intents {(await issue(desk)).response['imp_uid']}"


async def _close(desk: Desk) -> str:
    imp_uid = (await issue(desk)).response["imp_uid"]
    assert (await desk.ask("DELETE", f"/vbanks/{imp_uid}")).status == 200
    return f"intents {imp_uid}"


CHANGES: dict[str, Callable[[Desk], Awaitable[str]]] = {
    "POST /payments/cancel": _cancel,
    "POST /payments/prepare": _announce,
    "PUT /payments/prepare": _announce_again,
    "POST /vbanks": _issue,
    "DELETE /vbanks/{imp_uid}": _close,
}


def test_every_changing_operation_is_among_these() -> None:
    changing = {f"{each.method} {each.path}" for each in operations() if each.method != "GET"}
    assert changing == set(CHANGES) | READ_ONLY | NOT_TRIED_HERE


async def newest(desk: Desk) -> Entry:
    async with desk.gateway.store.direct() as session:
        assert await session.audit_log.broken() == []
        [entry, *_] = await session.audit_log.newest(desk.shop.merchant.id)
    return entry


@pytest.mark.parametrize("operation", CHANGES)
async def test_it_says_which_key_did_what_from_where(desk_with_pg: Desk, operation: str) -> None:
    desk = desk_with_pg
    subject = await CHANGES[operation](desk)
    entry = await newest(desk)
    assert entry.who == f"key {desk.shop.imp_key}"
    assert (entry.what, entry.address) == (operation, "127.0.0.1")
    assert entry.subject == subject


async def test_a_refused_call_changes_nothing_and_leaves_no_row(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await _announce(desk)
    before = await newest(desk)
    for body in ({"merchant_uid": "o1", "amount": 100}, {"merchant_uid": "o1", "amount": "x"}):
        assert (await desk.ask("POST", "/payments/prepare", json=body)).body["code"] != 0
    assert await newest(desk) == before


async def test_what_the_buyer_does_is_not_the_merchants_doing(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await _announce(desk)
    before = await newest(desk)
    await desk.buy(1004)
    assert await newest(desk) == before
