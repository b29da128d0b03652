"""The mall at the sandbox PG. Source: docs/reference/sandbox-wire.md, "The mall"."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import quote

from naru.connectors.sandbox.line import Line, Unreadable, name_of, read_no, text_of, time_of, why
from naru.domain.channel import Channel
from naru.domain.mall import (
    Acted,
    Address,
    CashAmount,
    OrderAct,
    Orderer,
    ProductOrder,
    Review,
)
from naru.domain.money import MINOR_MAX
from naru.domain.outcome import Declined, NotFound, Unknown
from naru.domain.text import clean
from naru.domain.window import Redirect
from naru.domain.wish import WalletVisit, Wish


class Mall(Line):
    """Product orders, and what is told about orders."""

    async def act_on_order(self, channel: Channel, act: OrderAct) -> Acted | Declined | Unknown:
        body = {
            "number": act.number,
            "order_no": act.order_no,
            "product_order_id": act.subject or None,
            "act": act.act,
            "said": act.said,
        }
        return _read_act(await self.ask(channel, "POST", "/v1/mall/acts", body), act.number)

    async def end_act(self, channel: Channel, number: str) -> Acted | Declined | Unknown:
        answer = await self.ask(channel, "POST", f"/v1/mall/acts/{number}/end", {})
        match answer:
            case {"result": "not_sent" | "error"}:
                # This question failed; of the first one that says nothing.
                return Unknown(why(answer))
            case _:
                return _read_act(answer, number)

    async def open_wishes(self, channel: Channel, wishes: tuple[Wish, ...]) -> Redirect | Declined:
        products = [{"id": each.id, "name": each.name} for each in wishes]
        body = {"profile": channel.pg_code, "products": products}
        match await self.ask(channel, "POST", "/v1/mall/wishes", body):
            case {"result": "wishes_opened", "url": str(url)}:
                return Redirect(url)
            case {"code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case _:
                # Nothing was asked for that could have an effect: a page that does not open.
                return Declined("WINDOW_FAILED", "찜하기 화면을 열지 못하였습니다.")

    async def open_wallet(self, channel: Channel, visit: WalletVisit) -> Redirect | Declined:
        body = {"profile": channel.pg_code, **asdict(visit)}
        match await self.ask(channel, "POST", "/v1/wallets", body):
            case {"result": "wallet_opened", "url": str(url)}:
                return Redirect(url)
            case {"code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case _:
                return Declined("WINDOW_FAILED", "브랜드페이 화면을 열지 못하였습니다.")

    async def product_orders(
        self, channel: Channel, order_no: str
    ) -> tuple[ProductOrder, ...] | NotFound | Unknown:
        match await self.ask(channel, "GET", f"/v1/mall/orders/{order_no}"):
            case {"result": "product_orders", "product_orders": list(rows)}:
                try:
                    return tuple(_read_product_order(row) for row in rows)
                except (Unreadable, KeyError, TypeError) as error:
                    return Unknown(f"unreadable product orders: {error}")
            case {"result": "error", "code": "NOT_FOUND"}:
                return NotFound()
            case answer:
                return Unknown(why(answer))

    async def product_order(
        self, channel: Channel, product_order_id: str
    ) -> ProductOrder | NotFound | Unknown:
        path = f"/v1/mall/product-orders/{quote(product_order_id, safe='')}"
        match await self.ask(channel, "GET", path):
            case {"result": "product_order", "product_order": dict(row)}:
                try:
                    return _read_product_order(row)
                except (Unreadable, KeyError, TypeError) as error:
                    return Unknown(f"unreadable product order: {error}")
            case {"result": "error", "code": "NOT_FOUND"}:
                return NotFound()
            case answer:
                return Unknown(why(answer))

    async def reviews(
        self, channel: Channel, since: datetime, until: datetime, *, premium: bool
    ) -> tuple[Review, ...] | Unknown:
        path = (
            f"/v1/mall/reviews?since={int(since.timestamp())}&until={int(until.timestamp())}"
            f"&kind={'premium' if premium else 'general'}"
        )
        match await self.ask(channel, "GET", path):
            case {"result": "reviews", "reviews": list(rows)}:
                try:
                    return tuple(_read_review(row) for row in rows)
                except (Unreadable, KeyError, TypeError) as error:
                    return Unknown(f"unreadable reviews: {error}")
            case answer:
                return Unknown(why(answer))

    async def cash_amount(
        self, channel: Channel, order_no: str
    ) -> CashAmount | Declined | NotFound | Unknown:
        answer = await self.ask(channel, "GET", f"/v1/mall/orders/{order_no}/cash-amount")
        match answer:
            case {"result": "cash_amount"}:
                try:
                    return CashAmount(
                        total=_amount(answer["total"]),
                        by_point=_amount(answer["by_point"]),
                        by_primary=_amount(answer["by_primary"]),
                        supply=_amount(answer["supply"]),
                        vat=_amount(answer["vat"]),
                    )
                except (Unreadable, KeyError) as error:
                    return Unknown(f"unreadable amounts: {error}")
            case {"result": "refused", "code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case {"result": "error", "code": "NOT_FOUND"}:
                return NotFound()
            case _:
                return Unknown(why(answer))


def _read_act(answer: Any, number: str) -> Acted | Declined | Unknown:
    match answer:
        case {"result": "acted", "number": str(theirs)} if theirs == number:
            return Acted(number)
        case _:
            return read_no(answer, number)


def _read_product_order(row: Any) -> ProductOrder:
    orderer, address = row["orderer"], row["address"]
    return ProductOrder(
        id=name_of(row["id"]),
        order_no=name_of(row["order_no"]),
        status=_text(row["status"]),
        claim_type=text_of(row["claim_type"]),
        claim_status=text_of(row["claim_status"]),
        product_id=_text(row["product_id"]),
        product_name=_text(row["product_name"]),
        option_id=_text(row["option_id"]),
        option_name=_text(row["option_name"]),
        product_amount=_amount(row["product_amount"]),
        delivery_amount=_amount(row["delivery_amount"]),
        quantity=_amount(row["quantity"]),
        orderer=None
        if orderer is None
        else Orderer(_text(orderer["name"]), _text(orderer["id"]), _text(orderer["tel"])),
        address=None
        if address is None
        else Address(
            base=_text(address["base"]),
            postcode=_text(address["postcode"]),
            tel1=_text(address["tel1"]),
            name=_text(address["name"]),
            detail=text_of(address["detail"]),
            tel2=text_of(address["tel2"]),
        ),
        shipping_memo=text_of(row["shipping_memo"]),
        shipping_due=None if row["shipping_due"] is None else time_of(row["shipping_due"]),
        individual_code=text_of(row["individual_code"]),
    )


def _read_review(row: Any) -> Review:
    return Review(
        id=name_of(row["id"]),
        score=_text(row["score"]),
        title=_text(row["title"]),
        content=text_of(row["content"]),
        product_order_id=name_of(row["product_order_id"]),
        order_no=name_of(row["order_no"]),
        product_id=_text(row["product_id"]),
        product_name=_text(row["product_name"]),
        option_name=text_of(row["option_name"]),
        writer=_text(row["writer"]),
        created_at=time_of(row["created_at"]),
        modified_at=None if row["modified_at"] is None else time_of(row["modified_at"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable("a text that is none")
    return clean(value)


def _amount(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MINOR_MAX:
        raise Unreadable("a number that is none")
    return value
