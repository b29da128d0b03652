"""Billing keys, and charges without a window: by a key, or by a card that the member brings.

`key_no` is the member's number for the question, as `order_no` is for a charge: the same number
with the same content gets the same answer, with other content CONFLICT.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import cards, keys, magic, mpi
from naru.sandbox import wire as w
from naru.sandbox.door import Refusal, bad_request
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import Means, Months, Order, OrderAsk, OrderNo, ShortText
from naru.sandbox.vault import Vault

Answer = dict[str, Any]


class KeyIn(msgspec.Struct, frozen=True):
    """A card as its holder would type it; never kept."""

    number: Annotated[str, Meta(pattern=r"^[0-9]{12,19}\Z")]
    expiry: Annotated[str, Meta(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])\Z")]
    birth: Annotated[str, Meta(pattern=r"^([0-9]{6}|[0-9]{10})\Z")] | None = None
    password: Annotated[str, Meta(pattern=r"^[0-9]{2}\Z")] | None = None
    cvc: Annotated[str, Meta(pattern=r"^[0-9]{3,4}\Z")] | None = None

    def __repr__(self) -> str:
        return "KeyIn(...)"


class KeyAsk(msgspec.Struct, frozen=True):
    """The body of `POST /v1/billing-keys`."""

    key_no: OrderNo
    card: KeyIn
    holder: ShortText | None = None
    test: bool = True


class ChargeAsk(OrderAsk, frozen=True, kw_only=True):
    """The body of `POST /v1/charges`: one of `billing_key` and `card`."""

    tax_free: Annotated[int, Meta(ge=0, le=1_000_000_000_000)] = 0
    installment_months: Months = 0
    interest_free: bool = False
    use_card_point: bool = False
    keep_card: bool = False
    billing_key: Annotated[str, Meta(max_length=200)] | None = None
    card: KeyIn | None = None


# What a card is


def card_of(book: Book, vault: Vault, typed: KeyIn, now: int) -> cards.Card | tuple[str, str]:
    """The card that was typed, or the code and words of the card company's refusal."""
    row = book.card_by_number(vault.number_mac(typed.number))
    card = None if row is None else cards.CARD_BY_ID.get(row["id"])
    if card is None or card.scenario == "refused_card":
        return magic.BAD_NUMBER
    expiry = typed.expiry[5:] + typed.expiry[2:4]
    if mpi.is_expired(expiry, now):
        assert magic.EXPIRED.code is not None
        return magic.EXPIRED.code, magic.EXPIRED.message
    if expiry != card.expiry:
        return magic.BAD_EXPIRY
    if typed.cvc is not None and not hmac.compare_digest(typed.cvc, card.cvc):
        return magic.BAD_CVC
    if typed.password == magic.WRONG_PASSWORD:
        return magic.BAD_PASSWORD
    return magic.refusal_at(magic.scenario_of(card.scenario, 0), "authentication") or card


# POST /v1/billing-keys


async def issue(call: w.Call) -> Answer | Response:
    ask = call.read(KeyAsk)
    company, mid = call.company, call.member.mid

    async def deed() -> Answer:
        return await company.ledger.write(_issue, company.vault, mid, ask, company.now())

    manner = magic.KEY_MANNERS.get(ask.card.password or "", magic.PLAIN)
    if manner is magic.PLAIN:
        return await deed()
    return await w.misbehave(call, manner, deed)


def _issue(book: Book, vault: Vault, mid: str, ask: KeyAsk, now: int) -> Answer:
    content = vault.mac("key question", w.fingerprint(ask)).hex()
    row = keys.find(book, mid, ask.key_no)
    if row is None:
        card = card_of(book, vault, ask.card, now)
        if isinstance(card, cards.Card):
            keys.keep(book, mid, ask.key_no, content, mpi.means_of(card, 0), now)
        else:
            keys.decline(book, mid, ask.key_no, content, card, now)
        row = keys.find(book, mid, ask.key_no)
    elif row["state"] != "forgotten" and row["content"] != content:
        raise Refusal(409, "CONFLICT", "this number was used with other content")
    assert row is not None
    return _told(vault, mid, row)


def _told(vault: Vault, mid: str, row: Row) -> Answer:
    if row["state"] == "issued":
        issued = keys.told(vault, mid, row["key_no"], keys.means_of(row))
        return {"result": "key_issued", **issued}
    return {
        "result": "declined",
        "key_no": row["key_no"],
        "code": row["code"],
        "message": row["message"],
    }


# GET and DELETE /v1/billing-keys/{key_no}


async def read(call: w.Call) -> Answer:
    row = call.company.ledger.read(keys.find, call.member.mid, call.path("key_no"))
    if row is None:
        raise Refusal(404, "NOT_FOUND", "this number never arrived")
    return _told(call.company.vault, call.member.mid, row)


async def forget(call: w.Call) -> Answer:
    key_no = call.path("key_no")
    if not w.order_no_fits(key_no):
        raise bad_request("a key number is 6 to 40 letters, digits, _ and -")
    mid, now = call.member.mid, call.company.now()
    await call.company.ledger.write(keys.forget, mid, key_no, now)
    return {"result": "forgotten", "key_no": key_no}


# POST /v1/charges


async def charge(call: w.Call) -> Answer | Response:
    ask = call.read(ChargeAsk)
    if (ask.billing_key is None) == (ask.card is None):
        raise bad_request("one of billing_key and card")
    if ask.tax_free > ask.amount:
        raise bad_request("tax_free is larger than amount")
    company, mid = call.company, call.member.mid

    async def deed(manner: magic.Manner) -> Answer | magic.Manner:
        return await company.ledger.write(
            _charge, company.vault, company.address, mid, ask, manner, company.now()
        )

    first = await deed(magic.PLAIN)
    if not isinstance(first, magic.Manner):
        return first

    async def deed_in_its_manner() -> Answer:
        answer = await deed(first)
        assert not isinstance(answer, magic.Manner)
        return answer

    return await w.misbehave(call, first, deed_in_its_manner)


def _charge(
    book: Book,
    vault: Vault,
    address: str,
    mid: str,
    ask: ChargeAsk,
    manner: magic.Manner,
    now: int,
) -> Answer | magic.Manner:
    """Deed: take the money at once. As with a window's approval, bad manners are an answer first."""
    means = _means(book, vault, mid, ask, now)
    brought = keys.scenario_of(means) if isinstance(means, Means) else None
    scenario = magic.scenario_of(brought, ask.amount)
    wanted = magic.manner_at(scenario, "approval")
    if manner == magic.PLAIN != wanted and book.tombstone(mid, ask.order_no) is None:
        return wanted

    def look() -> tuple[str, str] | None:
        return means if isinstance(means, tuple) else magic.refusal_at(scenario, "approval")

    def take(order: Order) -> Answer:
        assert isinstance(means, Means)
        order = w.authenticated(book, order, means, now, brought)
        answer = w.take_money(book, address, order, order.amount + manner.amount_off, now)
        w.keep_card(book, vault, order, answer, now)
        book.advance(order, ("authenticated",), "approved", "", "")
        return answer

    method = "card"
    if isinstance(means, Means) and not means.issuer_code:
        method = means.wallet or "phone"
    announced = ask.announcement(method, tax_free=ask.tax_free, keep_card=ask.keep_card)
    # What was asked holds a card or a key: only who has the pepper can guess at it.
    content = vault.mac("charge", w.fingerprint(ask)).hex()
    return w.answer_order(book, mid, announced, content, look, take, now)


def _means(book: Book, vault: Vault, mid: str, ask: ChargeAsk, now: int) -> Means | tuple[str, str]:
    """What is charged, or the code and words of a refusal."""
    if ask.card is None:
        means = keys.means_behind(book, vault, mid, ask.billing_key or "")
        if means is None:
            return magic.UNKNOWN_KEY
        return msgspec.structs.replace(means, installment_months=ask.installment_months)
    card = card_of(book, vault, ask.card, now)
    if isinstance(card, cards.Card):
        return mpi.means_of(card, ask.installment_months)
    return magic.BAD_NUMBER_CHARGED if card == magic.BAD_NUMBER else card


ROUTES = [
    Route("/v1/billing-keys", w.signed(issue), methods=["POST"]),
    Route("/v1/billing-keys/{key_no}", w.signed(read), methods=["GET"]),
    Route("/v1/billing-keys/{key_no}", w.signed(forget), methods=["DELETE"]),
    Route("/v1/charges", w.signed(charge), methods=["POST"]),
]
