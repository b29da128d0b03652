"""Product orders of a mall: deeds on the ledger. One payment pays for all of them, each lives its own life.

`RULES` is that life in one table: who may do what in which state, and what comes of it. A state is a
status and, while the buyer wants something, a claim (its type and how far it has come).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import LongText, MallLine, Order, Word

MALL = "naverco"  # the manners (profile) of the mall's members
DAYS_TO_SHIP = 3

Refused = tuple[str, str]
Claim = tuple[str, str]

# No claim, or one that is over: the buyer may want something anew.
FREE: frozenset[Claim | None] = frozenset(
    {
        None,
        ("CANCEL", "CANCEL_REJECT"),
        ("RETURN", "RETURN_REJECT"),
        ("EXCHANGE", "EXCHANGE_REJECT"),
        ("EXCHANGE", "EXCHANGE_DONE"),
    }
)
ASKED_TO_CANCEL: frozenset[Claim | None] = frozenset({("CANCEL", "CANCEL_REQUEST")})
SENDING_BACK: frozenset[Claim | None] = frozenset(
    ("RETURN", each) for each in ("RETURN_REQUEST", "COLLECTING", "COLLECT_DONE")
)
EXCHANGING: frozenset[Claim | None] = frozenset(
    ("EXCHANGE", each) for each in ("EXCHANGE_REQUEST", "COLLECTING")
)
ON_ITS_WAY = frozenset({"DELIVERING", "DELIVERED"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What has to hold before a deed, and what holds behind it; None: as it was."""

    statuses: frozenset[str]
    claims: frozenset[Claim | None]
    status: str | None = None
    claim: Claim | None = None


PAYED = frozenset({"PAYED"})

# The merchant's deeds, by V1's words.
RULES: dict[str, Rule] = {
    "place": Rule(PAYED, FREE),
    "ship": Rule(PAYED, FREE, "DELIVERING"),
    "cancel": Rule(PAYED, FREE, "CANCELED", ("CANCEL", "CANCEL_DONE")),
    "approve-cancel": Rule(PAYED, ASKED_TO_CANCEL, "CANCELED", ("CANCEL", "CANCEL_DONE")),
    "request-return": Rule(ON_ITS_WAY, FREE, None, ("RETURN", "RETURN_REQUEST")),
    "approve-return": Rule(ON_ITS_WAY, SENDING_BACK, "RETURNED", ("RETURN", "RETURN_DONE")),
    "reject-return": Rule(ON_ITS_WAY, SENDING_BACK, None, ("RETURN", "RETURN_REJECT")),
    "withhold-return": Rule(ON_ITS_WAY, SENDING_BACK),
    "resolve-return": Rule(ON_ITS_WAY, SENDING_BACK),
    "collect-exchanged": Rule(ON_ITS_WAY, EXCHANGING, None, ("EXCHANGE", "COLLECT_DONE")),
    "ship-exchanged": Rule(
        ON_ITS_WAY,
        frozenset({("EXCHANGE", "COLLECT_DONE")}),
        None,
        ("EXCHANGE", "EXCHANGE_REDELIVERING"),
    ),
}
# The buyer's, on the mall's own page.
BUYERS_RULES: dict[str, Rule] = {
    "ask_cancel": Rule(PAYED, FREE, None, ("CANCEL", "CANCEL_REQUEST")),
    "ask_return": Rule(ON_ITS_WAY, FREE, None, ("RETURN", "RETURN_REQUEST")),
    "ask_exchange": Rule(ON_ITS_WAY, FREE, None, ("EXCHANGE", "EXCHANGE_REQUEST")),
    "withdraw_cancel": Rule(PAYED, ASKED_TO_CANCEL, None, ("CANCEL", "CANCEL_REJECT")),
    "withdraw_return": Rule(ON_ITS_WAY, SENDING_BACK, None, ("RETURN", "RETURN_REJECT")),
    "withdraw_exchange": Rule(ON_ITS_WAY, EXCHANGING, None, ("EXCHANGE", "EXCHANGE_REJECT")),
    "receive": Rule(frozenset({"DELIVERING"}), FREE, "DELIVERED"),
    "receive_exchanged": Rule(
        ON_ITS_WAY,
        frozenset({("EXCHANGE", "EXCHANGE_REDELIVERING")}),
        "EXCHANGED",
        ("EXCHANGE", "EXCHANGE_DONE"),
    ),
    "decide": Rule(frozenset({"DELIVERED"}), FREE, "PURCHASE_DECIDED"),
}

WRONG_STATE = ("WRONG_STATE", "현재 상태에서 처리할 수 없는 상품주문입니다.")
NOT_FOUND = ("PRODUCT_ORDER_NOT_FOUND", "존재하지 않는 상품주문입니다.")
WITHHELD = ("RETURN_WITHHELD", "반품이 보류된 상품주문입니다.")
NOT_WITHHELD = ("RETURN_NOT_WITHHELD", "반품이 보류되지 않은 상품주문입니다.")
ALREADY_PLACED = ("ALREADY_PLACED", "이미 발주처리된 상품주문입니다.")
WRONG_AMOUNT = ("AMOUNT_DIFFERS", "상품주문의 금액과 취소 요청 금액이 다릅니다.")
ONE_BY_ONE = ("BY_PRODUCT_ORDER", "주문형 결제의 일부 취소는 상품주문별로 요청해 주세요.")


class Goods(msgspec.Struct, frozen=True):
    """Which product order a cancel is about, and what the merchant does with it."""

    id: Word
    act: Literal["cancel", "approve-cancel", "approve-return"]
    reason: Annotated[str, Meta(max_length=40)] = ""
    memo: LongText = ""


def open_all(book: Book, order: Order, amount: int, now: int) -> None:
    """An order of the mall was paid: one product order for each product."""
    if order.announced.profile != MALL:
        return
    for line, product, delivery in share_out(order, amount):
        book.do(
            "INSERT INTO product_orders (id, mid, order_no, line, amount, delivery_amount, status,"
            " paid_at, due) VALUES (?, ?, ?, ?, ?, ?, 'PAYED', ?, ?)",
            *(_new_id(now), order.mid, order.order_no, msgspec.json.encode(line).decode()),
            *(product, delivery, now, now + DAYS_TO_SHIP * 86_400),
        )


def share_out(order: Order, amount: int) -> list[tuple[MallLine, int, int]]:
    """The products and what each cost: as announced if that adds up to what was paid, else evenly by quantity.

    However it is shared, every product costs something and all of them cost what was paid.
    """
    lines = order.announced.mall or (
        MallLine(product_id="item", name=order.announced.item_name[:120]),
    )
    said = [(line, line.amount or 0, line.delivery_amount) for line in lines]
    costs = [product + delivery for _, product, delivery in said]
    if sum(costs) == amount and all(costs):
        return said
    lines = lines[:amount]
    pieces = sum(line.quantity for line in lines)
    shares = [max(1, amount * line.quantity // pieces) for line in lines]
    while sum(shares) > amount:
        shares[shares.index(max(shares))] -= 1
    shares[0] += amount - sum(shares)
    return [(line, share, 0) for line, share in zip(lines, shares, strict=True)]


def of_order(book: Book, mid: str, order_no: str) -> list[Row]:
    return book.all(
        "SELECT * FROM product_orders WHERE mid = ? AND order_no = ? ORDER BY rowid",
        *(mid, order_no),
    )


def one(book: Book, mid: str, product_order_id: str) -> Row | None:
    return book.one("SELECT * FROM product_orders WHERE mid = ? AND id = ?", mid, product_order_id)


def why_not(row: Row, act: str, rules: dict[str, Rule] = RULES) -> Refused | None:
    """Why this cannot be done to it now, in the PG's words; None: it can."""
    rule = rules[act]
    if row["status"] not in rule.statuses or claim_of(row) not in rule.claims:
        return WRONG_STATE
    withheld = row["withheld"] is not None
    if act == "place" and row["placed_at"] is not None:
        return ALREADY_PLACED
    if act == "resolve-return" and not withheld:
        return NOT_WITHHELD
    if act in ("approve-return", "withhold-return") and withheld:
        return WITHHELD
    return None


def claim_of(row: Row) -> Claim | None:
    return None if row["claim_type"] is None else (row["claim_type"], row["claim_status"])


def do(
    book: Book,
    row: Row,
    act: str,
    said: dict[str, Any],
    now: int,
    rules: dict[str, Rule] = RULES,
) -> None:
    """Deed: what the rule says comes of it. `why_not` was asked before, in the same deed."""
    rule = rules[act]
    claim = rule.claim or claim_of(row)
    withheld = row["withheld"]
    if act == "withhold-return":
        withheld = msgspec.json.encode(said).decode()
    elif rule.claim is not None or act == "resolve-return":
        withheld = None
    delivery = row["delivery"]
    if act in ("ship", "ship-exchanged"):
        delivery = msgspec.json.encode(said).decode()
    # What is shipped was placed, even if nobody said so.
    placed = row["placed_at"] or (now if act in ("place", "ship") else None)
    book.do(
        "UPDATE product_orders SET status = ?, claim_type = ?, claim_status = ?, placed_at = ?,"
        " withheld = ?, delivery = ? WHERE id = ?",
        *(rule.status or row["status"], *(claim or (None, None)), placed, withheld, delivery),
        row["id"],
    )


# Money goes back: the cancel of a payment, and the product orders that it is about


def why_not_cancel(
    book: Book, charge: Row, goods: Goods | None, amount: int, *, whole: bool
) -> Refused | None:
    """Why the product orders of this payment forbid this cancel; None: they do not."""
    if goods is None:
        some = of_order(book, charge["mid"], charge["order_no"])
        return ONE_BY_ONE if some and not whole else None
    row = one(book, charge["mid"], goods.id)
    if row is None or row["order_no"] != charge["order_no"]:
        return NOT_FOUND
    refusal = why_not(row, goods.act)
    if refusal is None and amount != row["amount"] + row["delivery_amount"]:
        return WRONG_AMOUNT
    return refusal


def after_cancel(book: Book, charge: Row, goods: Goods | None, balance: int) -> None:
    """Deed, together with the money: the product order has ended, or all of them have."""
    if goods is not None:
        row = one(book, charge["mid"], goods.id)
        assert row is not None
        do(book, row, goods.act, {}, 0)
    if balance == 0:
        close_all(book, charge["mid"], charge["order_no"])


def close_all(book: Book, mid: str, order_no: str) -> None:
    """Deed: all the money is back, so nothing of this order is sold any more."""
    book.do(
        "UPDATE product_orders SET status = 'CANCELED', claim_type = 'ADMIN_CANCEL',"
        " claim_status = 'ADMIN_CANCEL_DONE', withheld = NULL"
        " WHERE mid = ? AND order_no = ? AND status NOT IN ('CANCELED', 'RETURNED')",
        *(mid, order_no),
    )


def _new_id(now: int) -> str:
    return f"{now:010d}{secrets.randbelow(10**10):010d}"
