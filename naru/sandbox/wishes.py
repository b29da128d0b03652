"""Wish lists of the mall (찜): a shop's page names products, and the shopper keeps them in mind.

The page is opened by the shop's gateway and reached by its unguessable id. No money is near it.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import wire as w
from naru.sandbox.company import company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import ShortText, Word

PAGE_SECONDS = 30 * 60


class WishedProduct(msgspec.Struct, frozen=True):
    """A product of a shop."""

    id: Annotated[ShortText, Meta(min_length=1)]
    name: Annotated[ShortText, Meta(min_length=1)]


class OpenAsk(msgspec.Struct, frozen=True):
    """The body of `POST /v1/mall/wishes`."""

    profile: Word
    products: Annotated[tuple[WishedProduct, ...], Meta(min_length=1, max_length=50)]


class WishAsk(msgspec.Struct, frozen=True):
    """The body of `POST /mall/wishes/{id}`: the page's products, wished for or let go."""

    keep: bool = True


async def open_page(call: w.Call) -> w.Answer:
    ask = call.read(OpenAsk)
    if ask.profile != "naverco":
        return {
            "result": "refused",
            "code": "WRONG_PROFILE",
            "message": "네이버페이 주문형으로 다시 시도해주세요.",
        }
    page_id = secrets.token_urlsafe(18)
    await call.company.ledger.write(_keep_page, page_id, call.member.mid, ask, call.company.now())
    return {"result": "wishes_opened", "url": f"{call.company.address}/mall/wishes/{page_id}"}


def _keep_page(book: Book, page_id: str, mid: str, ask: OpenAsk, now: int) -> None:
    products = msgspec.json.encode(ask.products).decode()
    book.do("INSERT INTO mall_wish_pages VALUES (?, ?, ?, ?)", page_id, mid, products, now)


async def show(request: Request) -> Response:
    company = company_of(request)
    found = company.ledger.read(_read, request.path_params["page_id"], company.now())
    return render(company, "wishes.html", found, popup=True)


async def change(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, WishAsk)
    page_id = request.path_params["page_id"]
    await company.ledger.write(_change, page_id, ask.keep, company.now())
    return json_response({"ok": True})


def _page(book: Book, page_id: str, now: int) -> Row:
    row = book.one("SELECT * FROM mall_wish_pages WHERE id = ?", page_id)
    if row is None or now >= row["opened_at"] + PAGE_SECONDS:
        raise Refusal(
            404, "NOT_FOUND", "찜하기 화면의 시간이 지났습니다. 쇼핑몰에서 다시 열어 주세요."
        )
    return row


def _read(book: Book, page_id: str, now: int) -> dict[str, Any]:
    row = _page(book, page_id, now)
    products = msgspec.json.decode(row["products"])
    kept = {
        each["product_id"]
        for each in book.all("SELECT product_id FROM mall_wishes WHERE mid = ?", row["mid"])
    }
    return {
        "products": [{**each, "kept": each["id"] in kept} for each in products],
        "kept": all(each["id"] in kept for each in products),
    }


def _change(book: Book, page_id: str, keep: bool, now: int) -> None:
    row = _page(book, page_id, now)
    for product in msgspec.json.decode(row["products"]):
        if keep:
            book.do(
                "INSERT INTO mall_wishes VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                *(row["mid"], product["id"], product["name"], now),
            )
        else:
            book.do(
                "DELETE FROM mall_wishes WHERE mid = ? AND product_id = ?",
                *(row["mid"], product["id"]),
            )


ROUTES = [
    Route("/v1/mall/wishes", w.signed(open_page), methods=["POST"]),
    Route("/mall/wishes/{page_id}", show, methods=["GET"]),
    Route("/mall/wishes/{page_id}", change, methods=["POST"]),
]
