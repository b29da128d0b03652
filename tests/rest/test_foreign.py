"""What belongs to another merchant is answered exactly as what does not exist (P10), on every operation."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
import msgspec
import pytest

from naru.rest import Operation, operations
from tests.rest.conftest import Answered, Desk

NAMED = ("imp_uid", "merchant_uid", "imp_uid[]", "merchant_uid[]")
NOBODYS = {"imp_uid": "imp_999999999999", "merchant_uid": "order_that_nobody_placed"}
# What an operation needs besides, so that it gets as far as the look-up.
BESIDES: dict[str, Any] = {
    "amount": 100, "vbank_code": "004", "vbank_holder": "x", "payment_status": "paid", "reason": "x",
}  # fmt: skip
# What a payment alone does not have: its owner, too, is told so. Owners who have it are in
# tests/contract/test_isolation.py.
NOT_OF_A_PAYMENT = {
    "GET /payments/prepare/{merchant_uid}",
    "GET /certifications/{imp_uid}",
    "GET /subscribe/payments/schedule/{merchant_uid}",
    "GET /receipts/{imp_uid}",
    "GET /receipts/external/{merchant_uid}",
}
ABOUT_PAYMENTS = [
    each
    for each in operations()
    if each.verb is not None
    and any(field.encode_name in NAMED for field in msgspec.structs.fields(each.request))
]


async def ask(desk: Desk, operation: Operation, ids: dict[str, str]) -> Answered:
    """This operation as the stranger asks it, with every id that it takes."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(operation.request):
        name = field.encode_name
        if (plain := name.removesuffix("[]")) in ids:
            fields[name] = [ids[plain]] if name != plain else ids[plain]
        elif name in BESIDES:
            fields[name] = BESIDES[name]
        elif name == "vbank_due":
            fields[name] = int(desk.clock().timestamp()) + 86_400
    path = re.sub(r"\{(\w+)\}", lambda found: str(fields.pop(found[1])), operation.path)
    token = desk.stranger.token
    if operation.method == "GET":
        query = [(name, each) for name, value in fields.items()
                 for each in (value if isinstance(value, list) else [value])]  # fmt: skip
        return await desk.ask("GET", path, token=token, params=query)
    return await desk.ask(operation.method, path, token=token, json=fields)


def without(answer: Answered, ids: dict[str, str]) -> tuple[int, str, list[str]]:
    """The answer with the ids that were asked for taken out, and what differs between any two calls."""
    text = answer.raw.decode()
    for name, value in ids.items():
        text = text.replace(value, name)
    text = re.sub(r"imps?_\d{12}|naru-?[\w-]{10,}|\d[\d-]{5,}", "#", text)
    text = re.sub(r'"(pg_tid|pg_id|receipt_url|vbank_num)":"[^"]*"', r'"\1":"#"', text)
    return answer.status, text, sorted(answer.headers)


@pytest.mark.promise("P10")
@pytest.mark.parametrize("operation", ABOUT_PAYMENTS, ids=lambda each: f"{each.method} {each.path}")
async def test_it_is_as_if_it_did_not_exist(desk_with_pg: Desk, operation: Operation) -> None:
    desk = desk_with_pg
    payment = await desk.buy(1004)
    ours = {"imp_uid": payment.imp_uid, "merchant_uid": payment.merchant_uid}
    before = await _history(desk, payment.imp_uid)

    foreign = await ask(desk, operation, ours)
    unknown = await ask(desk, operation, NOBODYS)

    assert without(foreign, ours) == without(unknown, NOBODYS)
    assert await _history(desk, payment.imp_uid) == before
    if operation.method == "GET":
        # The control: its owner is answered otherwise.
        desk.stranger, owner = desk.shop, desk.stranger
        own = await ask(desk, operation, ours)
        desk.stranger = owner
        if f"{operation.method} {operation.path}" not in NOT_OF_A_PAYMENT:
            assert without(own, ours) != without(unknown, NOBODYS)


def test_every_operation_that_names_a_payment_is_here() -> None:
    paths = {f"{each.method} {each.path}" for each in ABOUT_PAYMENTS}
    named = {
        f"{each.method} {each.path}"
        for each in operations()
        if re.search(r"\{(imp_uid|merchant_uid)\}", each.path)
    }
    assert named <= paths
    assert "POST /payments/cancel" in paths
    assert "GET /payments" in paths
    assert paths >= NOT_OF_A_PAYMENT


async def _history(desk: Desk, imp_uid: str) -> list[asyncpg.Record]:
    async with desk.gateway.store.direct() as session:
        found: list[Any] = [dict(each) for each in await session.payments.history(imp_uid)]
    return found
