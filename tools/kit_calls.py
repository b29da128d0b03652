"""Every operation of the kit as the calls that it makes: for a table of the reference, and for tests."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from naru.kit import Card, Plan
from naru.kit.operations import Call, Operations
from naru.rest import operations
from naru.rest.operation import Router

WHEN = datetime(2026, 12, 1, 3, 4, 5, tzinfo=UTC)
_PLACE = {"name": "나루", "tel": "02", "addr": "서울", "postcode": "04524"}
# What a parameter is given; one that is not here is given its own name.
GIVEN: dict[str, Any] = {
    "imp_uid": "imp_123456789012",
    "imp_uids": ["imp_123456789012"],
    "merchant_uid": "order 1/é",
    "merchant_uids": ["order-1"],
    "customer_uids": ["customer-1"],
    "amount": 1004,
    "card": Card("4518-4212-3456-7811", "2049-12", "900101", "12", "111"),
    "plans": [Plan("order-1", WHEN, Decimal("12.5"), currency="USD", more={"buyer_name": "나루"})],
    "at": WHEN,
    "since": WHEN,
    "until": WHEN,
    "vbank_due": WHEN,
    "sent_at": WHEN,
    "dispatched_at": WHEN,
    "sender": _PLACE,
    "receiver": _PLACE,
    "parts": [{"company_name": "가", "amount": 500}],
    "status": "paid",
    "code": "361",
}
# What these need is not in their signature: one of two parameters, or both.
_NEEDED = {
    "payments": ("imp_uids",),
    "cancel": ("imp_uid",),
    "unschedule_payments": ("customer_uid", "merchant_uids"),
}


def calls() -> dict[str, Call[Any]]:
    """Every operation as a call, made with what it needs and nothing else."""
    return {name: _call(name, describe, ()) for name, describe in _described()}


def asked() -> dict[tuple[str, str], str]:
    """The method that asks an operation of the gateway, by the operation's verb and path."""
    router = Router(operations())
    found = {}
    for name, describe in _described():
        # A status that is given may become a segment of its own.
        more = {"status"} & inspect.signature(describe).parameters.keys()
        for call in (_call(name, describe, ()), _call(name, describe, more)):
            row = router.find(call.method, call.path.encode()).operation
            # `find` answers a verb that a path does not have with GET: then it is not what was asked.
            if row.method == call.method:
                found[row.method, row.path] = name
    return found


def _described() -> Iterator[tuple[str, Any]]:
    for name, operation in vars(Operations).items():
        if not name.startswith("_"):
            yield name, operation._describe


def _call(name: str, describe: Any, more: Iterable[str]) -> Call[Any]:
    parameters = inspect.signature(describe).parameters.values()
    needed = _NEEDED.get(name) or [
        each.name
        for each in parameters
        if each.default is inspect.Parameter.empty and each.kind is not each.VAR_KEYWORD
    ]
    call: Call[Any] = describe(**{each: GIVEN.get(each, each) for each in (*needed, *more)})
    return call
