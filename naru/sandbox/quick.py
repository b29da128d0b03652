"""Quick pay (KCP 퀵페이): members of a shop with a PIN, a wallet of prepaid money and FIDO on their phone.

A person joins at the page of this company, enters the PIN for an order that their shop has announced,
and the shop then takes the money of the wallet with that order's number as its proof. A PIN entry is
good for one payment within ten minutes. The shop may delete a member and switch their FIDO off.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import points
from naru.sandbox import wire as w
from naru.sandbox.company import company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import CancelNo, OrderAsk, OrderNo, Word
from naru.sandbox.receipts import answer_once

PIN_SECONDS = 600
PIN_TRIES = 5
ROWS_SHOWN = 20
GRANT_MAX = 10_000_000

MemberId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{1,80}\Z")]
Pin = Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")]
Short = Annotated[str, Meta(max_length=80, pattern=r"^[\x21-\x7e]*\Z")]


class DeleteAsk(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/quick/members/{member_id}/delete`."""

    number: CancelNo
    partner_type: Short
    partner_subtype: Short


class ReleaseAsk(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/quick/members/{member_id}/fido/release`."""

    number: CancelNo


class MoneyAsk(OrderAsk, frozen=True, kw_only=True):
    """The body of `POST /v1/quick/payments`: `pin_order_no` is the order whose PIN was entered."""

    member_id: MemberId
    pin_order_no: OrderNo


# The members' side


def _member(book: Book, mid: str, member_id: str) -> Row | None:
    return book.one("SELECT * FROM quick_members WHERE mid = ? AND member_id = ?", mid, member_id)


async def delete(call: w.Call) -> w.Answer | Response:
    return await answer_once(call, call.read(DeleteAsk), _delete, call.path("member_id"))


def _delete(book: Book, mid: str, ask: DeleteAsk, member_id: str, now: int) -> w.Answer:
    """Deed: the person is forgotten, with everything but the money that moved."""
    member = _member(book, mid, member_id)
    if member is None:
        return _refused(ask.number, "MEMBER_NOT_FOUND", "등록된 회원이 없습니다.")
    book.do("DELETE FROM quick_members WHERE mid = ? AND member_id = ?", mid, member_id)
    return {"result": "deleted", "number": ask.number, **_told(member)}


async def release_fido(call: w.Call) -> w.Answer | Response:
    return await answer_once(call, call.read(ReleaseAsk), _release, call.path("member_id"))


def _release(book: Book, mid: str, ask: ReleaseAsk, member_id: str, now: int) -> w.Answer:
    """Deed: the phone of this person proves nothing any more; the PIN does."""
    member = _member(book, mid, member_id)
    if member is None or not member["fido"]:
        return _refused(ask.number, "C210", "등록된 거래가 없습니다.")
    book.do(
        "UPDATE quick_members SET fido = 0, updated = ? WHERE mid = ? AND member_id = ?",
        *(now, mid, member_id),
    )
    return {"result": "released", "number": ask.number, **_told({**member, "updated": now})}


def _refused(number: str, code: str, message: str) -> w.Answer:
    return {"result": "declined", "number": number, "code": code, "message": message}


def _told(member: Row) -> w.Answer:
    return {name: member[name] for name in ("member_id", "inserted", "updated")}


async def pay(call: w.Call) -> w.Answer | Response:
    ask = call.read(MoneyAsk)
    mid = call.member.mid

    def look(book: Book) -> points.Refused | None:
        member = _member(book, mid, ask.member_id)
        if member is None:
            return "MEMBER_NOT_FOUND", "등록된 회원이 없습니다."
        pin = book.one(
            "SELECT * FROM quick_pins WHERE mid = ? AND order_no = ?", mid, ask.pin_order_no
        )
        if pin is None or pin["member_id"] != ask.member_id or pin["used_by"] is not None:
            return "PIN_NOT_CHECKED", "PIN 인증이 확인되지 않습니다."
        if call.company.now() > pin["at"] + PIN_SECONDS:
            return "PIN_EXPIRED", "PIN 인증 유효시간이 지났습니다."
        if member["money"] - points.used(book, _wallet(member)) < ask.amount:
            return "MONEY_SHORT", "선불머니 잔액이 부족합니다."
        return None

    def keep(book: Book) -> None:
        member = _member(book, mid, ask.member_id)
        assert member is not None
        points.use(book, _wallet(member), mid, ask.order_no)
        book.do(
            "UPDATE quick_pins SET used_by = ? WHERE mid = ? AND order_no = ?",
            *(ask.order_no, mid, ask.pin_order_no),
        )

    return await points.purchase(call, ask, "point", look, keep)


def _wallet(member: Row) -> str:
    """Whoever joins again after they were deleted has another wallet."""
    return f"quick/{member['mid']}/{member['member_id']}/{member['inserted']}"


# The page, where a person acts


class Joining(msgspec.Struct):
    """The body of `POST /quick/members`; who joins again changes their PIN and is given more money."""

    mid: Word
    member_id: MemberId
    pin: Pin
    money: Annotated[int, Meta(ge=0, le=GRANT_MAX)]
    fido: bool = False


class PinEntry(msgspec.Struct):
    """The body of `POST /quick/pins`."""

    mid: Word
    order_no: OrderNo
    member_id: MemberId
    pin: Pin


async def show(request: Request) -> Response:
    return render(company_of(request), "quick.html", _page(request))


async def read(request: Request) -> Response:
    return json_response(_page(request))


def _page(request: Request) -> dict[str, Any]:
    read_ledger = company_of(request).ledger.read
    return {
        "members": [
            {
                "mid": row["mid"],
                "member_id": row["member_id"],
                "fido": bool(row["fido"]),
                "left": row["money"] - read_ledger(points.used, _wallet(row)),
                "inserted": row["inserted"],
            }
            for row in read_ledger(
                Book.all,
                "SELECT * FROM quick_members ORDER BY updated DESC, member_id LIMIT ?",
                ROWS_SHOWN,
            )
        ],
        "orders": read_ledger(
            Book.all,
            "SELECT o.mid, o.order_no, o.announced ->> 'item_name' AS item_name,"
            " o.announced ->> 'merchant_name' AS merchant_name, p.member_id, p.used_by"
            " FROM orders o LEFT JOIN quick_pins p USING (mid, order_no)"
            " WHERE o.announced ->> 'profile' = 'kcp_quick'"
            " AND (o.state = 'registered' OR p.at IS NOT NULL) ORDER BY o.id DESC LIMIT ?",
            ROWS_SHOWN,
        ),
    }


async def join(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, Joining)
    if company.member(ask.mid) is None:
        raise Refusal(404, "SHOP_NOT_FOUND", "없는 가맹점(MID)입니다.")
    mac = company.vault.mac("quick pin", ask.mid, ask.member_id, ask.pin)
    await company.ledger.write(_join, ask, mac, company.now())
    return json_response({"ok": True})


def _join(book: Book, ask: Joining, mac: bytes, now: int) -> None:
    book.do(
        "INSERT INTO quick_members (mid, member_id, pin_mac, tries, fido, money, inserted, updated)"
        " VALUES (?, ?, ?, 0, ?, ?, ?, ?) ON CONFLICT (mid, member_id) DO UPDATE SET"
        " pin_mac = excluded.pin_mac, tries = 0, fido = excluded.fido,"
        " money = money + excluded.money, updated = excluded.updated",
        *(ask.mid, ask.member_id, mac, int(ask.fido), ask.money, now, now),
    )


async def enter_pin(request: Request) -> Response:
    company = company_of(request)
    ask = await read_page_json(request, PinEntry)
    mac = company.vault.mac("quick pin", ask.mid, ask.member_id, ask.pin)
    left = await company.ledger.write(_enter_pin, ask, mac, company.now())
    if left is not None:
        raise Refusal(403, "PIN_WRONG", f"PIN이 올바르지 않습니다. (남은 횟수 {left}회)")
    return json_response({"ok": True})


def _enter_pin(book: Book, ask: PinEntry, mac: bytes, now: int) -> int | None:
    """Deed: None when the PIN fits, else the tries that are left."""
    member, order = _member(book, ask.mid, ask.member_id), book.order(ask.mid, ask.order_no)
    if member is None:
        raise Refusal(404, "MEMBER_NOT_FOUND", "등록된 회원이 없습니다.")
    if order is None or order.announced.profile != "kcp_quick" or order.state != "registered":
        raise Refusal(404, "ORDER_NOT_FOUND", "PIN을 기다리는 주문이 아닙니다.")
    if member["tries"] >= PIN_TRIES:
        raise Refusal(403, "PIN_LOCKED", "PIN 5회 오류로 이용할 수 없습니다.")
    if not secrets.compare_digest(member["pin_mac"], mac):
        book.do(
            "UPDATE quick_members SET tries = tries + 1 WHERE mid = ? AND member_id = ?",
            *(ask.mid, ask.member_id),
        )
        return int(PIN_TRIES - member["tries"] - 1)
    book.do(
        "UPDATE quick_members SET tries = 0 WHERE mid = ? AND member_id = ?",
        *(ask.mid, ask.member_id),
    )
    book.do(
        "INSERT INTO quick_pins (mid, order_no, member_id, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (mid, order_no) DO UPDATE SET member_id = excluded.member_id,"
        " at = excluded.at WHERE used_by IS NULL",
        *(ask.mid, ask.order_no, ask.member_id, now),
    )
    return None


_MEMBER = "/v1/quick/members/{member_id}"

ROUTES = [
    Route(f"{_MEMBER}/delete", w.signed(delete), methods=["POST"]),
    Route(f"{_MEMBER}/fido/release", w.signed(release_fido), methods=["POST"]),
    Route("/v1/quick/payments", w.signed(pay), methods=["POST"]),
    Route("/quick", show, methods=["GET"]),
    Route("/quick/state", read, methods=["GET"]),
    Route("/quick/members", join, methods=["POST"]),
    Route("/quick/pins", enter_pin, methods=["POST"]),
]
