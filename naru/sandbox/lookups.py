"""What members may look up: whose account a number is, and the orders of a day at a wallet company.

Banks of the sandbox know every account number: who holds it follows from the number, always the same
person. A number that ends in 0000 is nobody's. A virtual account is in the name that it was issued for.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.routing import Route

from naru.sandbox import cards
from naru.sandbox import wire as w
from naru.sandbox.door import Refusal, bad_request
from naru.sandbox.ledger import Book
from naru.sandbox.orders import Announcement

ORDERS_ON_A_PAGE = 20
HOLDERS = ("김나루", "이하늘", "박바다", "최가람", "정다온", "강한별", "조은솔", "윤새봄")
NOBODY = "0000"

_KST = timedelta(hours=9)


async def holder(call: w.Call) -> w.Answer:
    bank, number = call.path("bank_code"), call.path("number")
    if not (number.isascii() and number.isdigit() and 6 <= len(number) <= 20):
        raise bad_request("an account number is 6 to 20 digits")
    account = call.company.ledger.read(Book.account, number)
    if account is not None and account["bank_code"] == bank:
        name = account["holder"]
    elif bank not in cards.BANKS or number.endswith(NOBODY):
        raise Refusal(404, "NOT_FOUND", "해당 계좌를 찾을 수 없습니다.")
    else:
        name = HOLDERS[hashlib.sha256(f"{bank}/{number}".encode()).digest()[0] % len(HOLDERS)]
    return {"result": "holder", "bank_code": bank, "number": number, "holder": name}


async def orders_of_a_day(call: w.Call) -> w.Answer:
    """`?date=YYYYMMDD&page=<1..>`: orders at this company's wallet `wallet` on a day in Korea."""
    query = call.request.query_params
    wallet, page = call.path("wallet"), query.get("page", "1")
    try:
        day = datetime.strptime(query.get("date", ""), "%Y%m%d").replace(tzinfo=UTC) - _KST
        if not (page.isascii() and page.isdigit() and 1 <= int(page) <= 100_000):
            raise ValueError
    except ValueError:
        raise bad_request("date is YYYYMMDD and page a number from 1") from None
    since = int(day.timestamp())
    rows = call.company.ledger.read(
        Book.all,
        "SELECT o.order_no, o.announced, o.state, o.created_at, c.tid, c.taken, c.returned"
        " FROM orders o LEFT JOIN charges c USING (mid, order_no)"
        " WHERE o.mid = ? AND o.announced ->> 'pay_method' = ?"
        " AND o.created_at >= ? AND o.created_at < ? ORDER BY o.id LIMIT ? OFFSET ?",
        *(call.member.mid, wallet, since, since + 86_400),
        *(ORDERS_ON_A_PAGE, (int(page) - 1) * ORDERS_ON_A_PAGE),
    )
    return {
        "result": "orders",
        "date": query["date"],
        "page": int(page),
        "orders": [_order(row) for row in rows],
    }


def _order(row: dict[str, Any]) -> dict[str, Any]:
    announced = msgspec.json.decode(row["announced"], type=Announcement)
    return {
        "order_no": row["order_no"],
        "tid": row["tid"],
        "state": row["state"],
        "merchant_order_no": announced.merchant_order_no,
        "item_name": announced.item_name,
        "amount": announced.amount,
        "currency": announced.currency,
        "taken": row["taken"] or 0,
        "returned": row["returned"] or 0,
        "created_at": row["created_at"],
    }


ROUTES = [
    Route("/v1/banks/{bank_code}/accounts/{number}", w.signed(holder), methods=["GET"]),
    Route("/v1/wallets/{wallet}/orders", w.signed(orders_of_a_day), methods=["GET"]),
]
