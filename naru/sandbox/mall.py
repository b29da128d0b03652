"""The mall: what members tell about their orders, and the page where the buyer lives with the goods.

Members of three manners tell different things. `naverco`: product orders, each with its own life
(`product_orders.py`). `naverpay`: points and the decision of an order as a whole. `payco` and
`paymentwall`: where the goods are. Whatever is told carries the member's own number: the same number
is the same question, and a number that was asked about in vain can never act.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import magic
from naru.sandbox import product_orders as goods
from naru.sandbox import wire as w
from naru.sandbox.company import Company, company_of
from naru.sandbox.door import Refusal, bad_request, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import CancelNo, LongText, MallLine, Order, OrderNo, ShortText

ORDERS_SHOWN = 20
WINDOW_SECONDS_MAX = 366 * 86_400
# What a buyer types at a real mall; here everybody lives in one house.
ADDRESS = {"base": "서울특별시 성동구 성수이로 20길 16", "detail": "101호", "postcode": "04783"}

ProductOrderId = Annotated[str, Meta(pattern=r"^[0-9]{20}\Z")]
Word = Annotated[str, Meta(pattern=r"^[a-z-]{1,30}\Z")]


class ActAsk(msgspec.Struct, frozen=True):
    """The body of `POST /v1/mall/acts`. `product_order_id` null: about the order as a whole."""

    number: CancelNo
    order_no: OrderNo
    act: Word
    product_order_id: ProductOrderId | None = None
    said: dict[ShortText, LongText | int] = {}


# The members' side


async def act(call: w.Call) -> w.Answer | Response:
    """One thing told about an order, in the manner of the order's scenario."""
    ask = call.read(ActAsk)
    order = call.company.ledger.read(Book.order, call.member.mid, ask.order_no)
    scenario = None if order is None else magic.scenario_of(order.scenario, order.amount)

    async def deed() -> w.Answer:
        refusal = magic.refusal_at(scenario, "order")
        now = call.company.now()
        return await call.company.ledger.write(_act, call.member.mid, ask, refusal, now)

    manner = magic.manner_at(scenario, "order")
    return await deed() if manner is magic.PLAIN else await w.misbehave(call, manner, deed)


async def end(call: w.Call) -> w.Answer:
    """What became of this number; if nothing has, nothing will: it is void from now on."""
    number, now = call.path("number"), call.company.now()
    if not w.order_no_fits(number):
        raise bad_request("a number is 6 to 40 letters, digits, _ and -")
    return await call.company.ledger.write(_end, call.member.mid, number, now)


def _act(book: Book, mid: str, ask: ActAsk, refusal: goods.Refused | None, now: int) -> w.Answer:
    content = w.fingerprint(ask)
    earlier = _told(book, mid, ask.number)
    if earlier is not None and earlier["act"] == "":
        return _read(earlier)
    if earlier is not None:
        return w.same_answer(earlier, content)
    order = book.order(mid, ask.order_no)
    status = ""
    if order is None:
        refusal = "ORDER_NOT_FOUND", "존재하지 않는 주문입니다."
    elif refusal is None and ask.product_order_id is not None:
        row = goods.one(book, mid, ask.product_order_id)
        if row is None or row["order_no"] != ask.order_no:
            refusal = goods.NOT_FOUND
        elif ask.act not in goods.RULES or ask.act in (
            "cancel",
            "approve-cancel",
            "approve-return",
        ):
            refusal = "ACT_UNKNOWN", "처리할 수 없는 요청입니다."  # money moves by /v1/cancels
        else:
            refusal = goods.why_not(row, ask.act) or _incomplete(ask)
            if refusal is None:
                goods.do(book, row, ask.act, ask.said, now)
    elif refusal is None:
        tell = WHOLE_ORDER_ACTS.get((order.announced.profile, ask.act))
        if tell is None:
            refusal = "ACT_UNKNOWN", "처리할 수 없는 요청입니다."
        else:
            refusal = tell(book, order, ask)
            status = str(ask.said.get("status", ask.act))
    answer: w.Answer = {"result": "acted", "number": ask.number}
    if refusal is not None:
        code, message = refusal
        answer = {"result": "refused", "number": ask.number, "code": code, "message": message}
    _keep(book, mid, ask, status, content, answer, now)
    return answer


def _end(book: Book, mid: str, number: str, now: int) -> w.Answer:
    earlier = _told(book, mid, number)
    if earlier is not None:
        return _read(earlier)
    answer: w.Answer = {
        "result": "refused",
        "number": number,
        "code": "NEVER_ARRIVED",
        "message": "PG사에 요청이 전달되지 않았습니다.",
    }
    _keep(book, mid, ActAsk(number, "", ""), "", "", answer, now)
    return answer


def _told(book: Book, mid: str, number: str) -> Row | None:
    return book.one("SELECT * FROM mall_acts WHERE mid = ? AND number = ?", mid, number)


def _read(row: Row) -> w.Answer:
    answer: w.Answer = msgspec.json.decode(row["answer"])
    return answer


def _keep(
    book: Book, mid: str, ask: ActAsk, status: str, content: str, answer: w.Answer, now: int
) -> None:
    book.do(
        "INSERT INTO mall_acts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(mid, ask.number, ask.order_no, ask.product_order_id or "", ask.act, status, content),
        *(answer["result"], msgspec.json.encode(answer).decode(), now),
    )


def _incomplete(ask: ActAsk) -> goods.Refused | None:
    """The mall wants to know with whom a parcel travels."""
    if ask.said.get("delivery_method") in ("DELIVERY", "RETURN_DELIVERY") and not (
        ask.said.get("delivery_company") and ask.said.get("tracking_number")
    ):
        return "PARCEL_UNKNOWN", "택배사와 송장번호가 필요합니다."
    return None


# Acts about an order as a whole


def _balance(book: Book, order: Order) -> int:
    charge = book.charge_of(order.mid, order.order_no)
    return 0 if charge is None else int(charge["taken"] - charge["returned"])


def _statuses(book: Book, order: Order, act: str) -> list[str]:
    rows = book.all(
        "SELECT status FROM mall_acts WHERE mid = ? AND order_no = ? AND act = ? AND result = 'acted'"
        " ORDER BY rowid",
        *(order.mid, order.order_no, act),
    )
    return [row["status"] for row in rows]


NOTHING_LEFT = ("NOTHING_LEFT", "결제되지 않았거나 전액취소된 주문입니다.")


def _once(book: Book, order: Order, ask: ActAsk) -> goods.Refused | None:
    if not _balance(book, order):
        return NOTHING_LEFT
    if _statuses(book, order, ask.act):
        return "ALREADY_DONE", "이미 처리된 요청입니다."
    return None


PAYCO_NEXT = {
    "": {"DELIVERY_START", "PURCHASE_DECISION", "CANCELED"},
    "DELIVERY_START": {"PURCHASE_DECISION", "CANCELED"},
    "PURCHASE_DECISION": set[str](),
    "CANCELED": set[str](),
}


def _order_status(book: Book, order: Order, ask: ActAsk) -> goods.Refused | None:
    told = _statuses(book, order, ask.act)
    wanted = str(ask.said.get("status", ""))
    # An order whose money went back whole may still be called cancelled: that is what it is.
    if wanted != "CANCELED" and not _balance(book, order):
        return NOTHING_LEFT
    if wanted not in PAYCO_NEXT[told[-1] if told else ""]:
        return "STATUS_REFUSED", "현재 주문상태에서 변경할 수 없는 상태입니다."
    return None


DELIVERY_STEPS = ("order_placed", "order_shipped", "delivering", "delivered")


def _delivery(book: Book, order: Order, ask: ActAsk) -> goods.Refused | None:
    """Paymentwall's own numbers for its refusals."""
    told = _statuses(book, order, ask.act)
    wanted = str(ask.said.get("status", ""))
    if not _balance(book, order):
        return "3005", "Payment is refunded or does not exist"
    if wanted not in DELIVERY_STEPS:
        return "3101", "Unknown delivery status"
    if told and DELIVERY_STEPS.index(wanted) < DELIVERY_STEPS.index(told[-1]):
        return "3102", "Delivery status cannot go back"
    return None


WHOLE_ORDER_ACTS: dict[tuple[str, str], Callable[[Book, Order, ActAsk], goods.Refused | None]] = {
    ("naverpay", "point"): _once,
    ("naverpay", "confirm"): _once,
    ("payco", "order-status"): _order_status,
    ("paymentwall", "delivery"): _delivery,
}


# What members read


async def read_orders(call: w.Call) -> w.Answer:
    mid, order_no = call.member.mid, call.path("order_no")
    order = call.company.ledger.read(Book.order, mid, order_no)
    if order is None:
        raise Refusal(404, "NOT_FOUND", "this order number was never seen")
    rows = call.company.ledger.read(goods.of_order, mid, order_no)
    return {"result": "product_orders", "product_orders": [_wire_view(order, row) for row in rows]}


async def read_one(call: w.Call) -> w.Answer:
    mid = call.member.mid
    row = call.company.ledger.read(goods.one, mid, call.path("product_order_id"))
    if row is None:
        raise Refusal(404, "NOT_FOUND", "this product order was never seen")
    order = call.company.ledger.read(Book.order, mid, row["order_no"])
    assert order is not None
    return {"result": "product_order", "product_order": _wire_view(order, row)}


def _wire_view(order: Order, row: Row) -> dict[str, Any]:
    line = msgspec.json.decode(row["line"], type=MallLine)
    buyer = order.announced.buyer
    name = (buyer and buyer.name) or "홍길동"
    tel = (buyer and buyer.tel) or "010-0000-0000"
    return {
        "id": row["id"],
        "order_no": row["order_no"],
        "status": row["status"],
        "claim_type": row["claim_type"],
        "claim_status": row["claim_status"],
        "product_id": line.product_id,
        "product_name": line.name,
        "option_id": line.option_id,
        "option_name": line.option_name,
        "product_amount": row["amount"],
        "delivery_amount": row["delivery_amount"],
        "quantity": line.quantity,
        "orderer": {"name": name, "id": "narl****", "tel": tel},
        "address": {**ADDRESS, "tel1": tel, "tel2": None, "name": name},
        "shipping_memo": None,
        "shipping_due": row["due"],
        "individual_code": None,
    }


async def read_reviews(call: w.Call) -> w.Answer:
    """`?since=&until=&kind=general|premium`, oldest first."""
    asked = call.request.query_params
    since, until, kind = asked.get("since", ""), asked.get("until", ""), asked.get("kind", "")
    if not all(text.isascii() and text.isdigit() and len(text) <= 12 for text in (since, until)):
        raise bad_request("since and until are UNIX seconds")
    if kind not in ("general", "premium") or int(until) - int(since) > WINDOW_SECONDS_MAX:
        raise bad_request("kind is general or premium, and a year is the longest window")
    rows = call.company.ledger.read(_reviews, call.member.mid, int(since), int(until), kind)
    return {"result": "reviews", "reviews": [_review_view(call.company, row) for row in rows]}


def _reviews(book: Book, mid: str, since: int, until: int, kind: str) -> list[Row]:
    return book.all(
        "SELECT r.*, p.line, p.order_no FROM mall_reviews r JOIN product_orders p"
        " ON p.id = r.product_order_id"
        " WHERE r.mid = ? AND r.created_at BETWEEN ? AND ? AND kind = ? ORDER BY r.id LIMIT 500",
        *(mid, since, until, kind),
    )


def _review_view(company: Company, row: Row) -> dict[str, Any]:
    line = msgspec.json.decode(row["line"], type=MallLine)
    return {
        "id": str(row["id"]),
        "score": str(row["score"]),
        "title": row["title"],
        "content": row["content"],
        "product_order_id": row["product_order_id"],
        "order_no": row["order_no"],
        "product_id": line.product_id,
        "product_name": line.name,
        "option_name": line.option_name or None,
        "writer": "narl****",
        "created_at": row["created_at"],
        "modified_at": None,
    }


async def read_cash_amount(call: w.Call) -> w.Answer:
    """How much of the money a cash receipt may be issued for: what is left, paid by money and by points."""
    order = call.company.ledger.read(Book.order, call.member.mid, call.path("order_no"))
    if order is None:
        raise Refusal(404, "NOT_FOUND", "this order number was never seen")
    balance = call.company.ledger.read(_balance, order)
    if order.announced.profile != "naverpay" or not balance:
        code, message = NOTHING_LEFT
        return {"result": "refused", "code": code, "message": message}
    card = order.means is not None and order.means.card_id is not None
    # A card company tells the tax office itself: nothing of a card is left for a cash receipt.
    primary = 0 if card else balance
    vat = max(0, primary - min(primary, order.announced.tax_free)) * 2 + 11
    return {
        "result": "cash_amount",
        "total": primary,
        "by_point": 0,
        "by_primary": primary,
        "supply": primary - vat // 22,
        "vat": vat // 22,
    }


# The buyer's page

BuyersAct = Literal[
    "ask_cancel",
    "ask_return",
    "ask_exchange",
    "withdraw_cancel",
    "withdraw_return",
    "withdraw_exchange",
    "receive",
    "receive_exchanged",
    "decide",
]


class BuyerAsk(msgspec.Struct):
    """The body of `POST /mall/product-orders/{id}`."""

    act: BuyersAct


class ReviewAsk(msgspec.Struct):
    """The body of `POST /mall/product-orders/{id}/reviews`."""

    kind: Literal["general", "premium"]
    score: Annotated[int, Meta(ge=0, le=3)]
    title: Annotated[ShortText, Meta(min_length=1)]
    content: LongText = ""


async def show_mall(request: Request) -> Response:
    return render(company_of(request), "mall.html", _mall(request))


async def read_mall(request: Request) -> Response:
    return json_response(_mall(request))


def _mall(request: Request) -> dict[str, Any]:
    company = company_of(request)
    order_no = request.query_params.get("order", "").strip()[:40]
    rows = company.ledger.read(_latest, order_no)
    return {"order": order_no or None, "product_orders": [_page_view(company, row) for row in rows]}


def _latest(book: Book, order_no: str) -> list[Row]:
    if order_no:
        # The number that a buyer knows is the merchant's.
        return book.all(
            "SELECT p.* FROM product_orders p JOIN orders o USING (mid, order_no) WHERE ? IN"
            " (p.id, p.order_no, json_extract(o.announced, '$.merchant_order_no')) ORDER BY p.rowid",
            order_no,
        )
    return book.all("SELECT * FROM product_orders ORDER BY rowid DESC LIMIT ?", ORDERS_SHOWN)


def _page_view(company: Company, row: Row) -> dict[str, Any]:
    order = company.ledger.read(Book.order, row["mid"], row["order_no"])
    assert order is not None
    seen = _wire_view(order, row)
    reviews = company.ledger.read(_reviews_of, row["id"])
    written = [each["kind"] for each in reviews]
    over = row["status"] in ("PURCHASE_DECIDED", "EXCHANGED")
    return {
        **{name: seen[name] for name in ("id", "order_no", "status", "claim_type", "claim_status")},
        "product_name": seen["product_name"],
        "option_name": seen["option_name"],
        "quantity": seen["quantity"],
        "amount": row["amount"] + row["delivery_amount"],
        "currency": order.currency,
        "merchant_name": order.announced.merchant_name,
        "placed": row["placed_at"] is not None,
        "withheld": row["withheld"] is not None,
        "may": [a for a in goods.BUYERS_RULES if goods.why_not(row, a, goods.BUYERS_RULES) is None],
        "may_review": [kind for kind in ("general", "premium") if over and kind not in written],
    }


def _reviews_of(book: Book, product_order_id: str) -> list[Row]:
    return book.all("SELECT kind FROM mall_reviews WHERE product_order_id = ?", product_order_id)


async def act_as_buyer(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, BuyerAsk)
    product_order_id = str(request.path_params["product_order_id"])
    await company.ledger.write(_act_as_buyer, product_order_id, ask.act, company.now())
    return json_response({"ok": True})


def _act_as_buyer(book: Book, product_order_id: str, act: str, now: int) -> None:
    row = _of_anybody(book, product_order_id)
    refusal = goods.why_not(row, act, goods.BUYERS_RULES)
    if refusal is not None:
        raise Refusal(409, *refusal)
    goods.do(book, row, act, {}, now, goods.BUYERS_RULES)


async def write_review(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, ReviewAsk)
    product_order_id = str(request.path_params["product_order_id"])
    await company.ledger.write(_write_review, product_order_id, ask, company.now())
    return json_response({"ok": True})


def _write_review(book: Book, product_order_id: str, ask: ReviewAsk, now: int) -> None:
    row = _of_anybody(book, product_order_id)
    if row["status"] not in ("PURCHASE_DECIDED", "EXCHANGED"):
        raise Refusal(409, *goods.WRONG_STATE)
    score = min(ask.score, 2) if ask.kind == "general" else 10 + ask.score
    written = book.do(
        "INSERT INTO mall_reviews (mid, product_order_id, kind, score, title, content, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        *(row["mid"], row["id"], ask.kind, score, ask.title, ask.content or None, now),
    )
    if not written:
        raise Refusal(409, "ALREADY_WRITTEN", "이미 작성한 구매평입니다.")


def _of_anybody(book: Book, product_order_id: str) -> Row:
    row = book.one("SELECT * FROM product_orders WHERE id = ?", product_order_id)
    if row is None:
        raise Refusal(404, *goods.NOT_FOUND)
    return row


_PRODUCT_ORDER = "/mall/product-orders/{product_order_id}"

ROUTES = [
    Route("/v1/mall/acts", w.signed(act), methods=["POST"]),
    Route("/v1/mall/acts/{number}/end", w.signed(end), methods=["POST"]),
    Route("/v1/mall/orders/{order_no}", w.signed(read_orders), methods=["GET"]),
    Route("/v1/mall/orders/{order_no}/cash-amount", w.signed(read_cash_amount), methods=["GET"]),
    Route("/v1/mall/product-orders/{product_order_id}", w.signed(read_one), methods=["GET"]),
    Route("/v1/mall/reviews", w.signed(read_reviews), methods=["GET"]),
    Route("/mall", show_mall, methods=["GET"]),
    Route("/mall/state", read_mall, methods=["GET"]),
    Route(_PRODUCT_ORDER, act_as_buyer, methods=["POST"]),
    Route(f"{_PRODUCT_ORDER}/reviews", write_review, methods=["POST"]),
]
