"""Every changing operation of the REST API leaves its row in the merchant's audit log (P20)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from naru.rest import operations
from naru.store.audit_log import Entry
from tests.rest.conftest import Desk
from tests.rest.test_vbanks import issue

pytestmark = pytest.mark.promise("P20")

# What they change: nothing. (The change of an account is refused by every channel there is.)
READ_ONLY = {"POST /users/getToken", "PUT /vbanks/{imp_uid}"}


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
    assert changing == set(CHANGES) | READ_ONLY


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
