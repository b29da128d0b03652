"""The members' API: signed questions, signed answers (docs/reference/sandbox-wire.md).

Each operation is one deed in the ledger. When an order's scenario says so, the operation then
behaves badly on purpose (`misbehave`): late, silent, cut off, garbled, forged.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from naru.sandbox import held, keys, magic, product_orders, signing, virtual_account
from naru.sandbox.company import Company, Member, company_of
from naru.sandbox.door import Refusal, bad_request, json_response, read_body, read_json
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import (
    Amount,
    AmountOrNothing,
    Announcement,
    CancelNo,
    Currency,
    LongText,
    Means,
    Order,
    OrderNo,
    ShortText,
    Word,
)
from naru.sandbox.vault import Vault

WINDOW_SECONDS = 30 * 60
NET_CANCEL_SECONDS = 60 * 60
BOOK_ROWS_MAX = 1000
SILENCE_SECONDS_MAX = 120

Answer = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """A question whose signature fits."""

    company: Company
    member: Member
    request: Request
    body: bytes

    def read(self, shape: type[_T]) -> _T:
        return read_json(self.body, shape)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])


Operation = Callable[[Call], Awaitable[Answer | Response]]


def error(refusal: Refusal) -> Answer:
    return {"result": "error", "code": refusal.code, "message": refusal.message}


def signed(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that only members reach; its answers are signed."""

    async def endpoint(request: Request) -> Response:
        company = company_of(request)
        try:
            body = await read_body(request)
            member = _who_speaks(company, request, body)
        except Refusal as refusal:
            return json_response(error(refusal), refusal.status)
        try:
            answer = await operation(Call(company, member, request, body))
        except Refusal as refusal:
            return _seal(company, member, error(refusal), refusal.status)
        if isinstance(answer, Response):
            return answer
        return _seal(company, member, answer)

    return endpoint


def _who_speaks(company: Company, request: Request, body: bytes) -> Member:
    refusal = Refusal(401, "UNAUTHENTICATED", "the signature does not fit")
    mid = request.headers.get("x-sandbox-mid", "")
    stamp = request.headers.get("x-sandbox-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise refusal
    timestamp = int(stamp)
    if abs(company.clock() - timestamp) > signing.TIMESTAMP_SLACK_SECONDS:
        raise Refusal(401, "UNAUTHENTICATED", "the timestamp is more than 300 s off")
    member = company.member(mid)
    if member is None:
        raise refusal
    expected = signing.sign_request(
        member.secret, timestamp, request.method, _raw_path(request.scope), body
    )
    if not signing.equal(expected, request.headers.get("x-sandbox-signature", "")):
        raise refusal
    return member


def _raw_path(scope: Scope) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _seal(
    company: Company, member: Member, answer: Answer, status: int = 200, forged: bool = False
) -> Response:
    body = msgspec.json.encode(answer)
    timestamp = company.now()
    secret = secrets.token_hex(32) if forged else member.secret
    return Response(
        body,
        status,
        {
            "X-Sandbox-Timestamp": str(timestamp),
            "X-Sandbox-Signature": signing.sign_answer(secret, timestamp, body),
        },
        media_type="application/json",
    )


def fingerprint(ask: object) -> str:
    """What was asked, in 64 hex digits: two questions are the same when these are."""
    return hashlib.sha256(msgspec.json.encode(ask, order="sorted")).hexdigest()


def new_tid(now: int) -> str:
    return f"sbx{datetime.fromtimestamp(now, UTC):%Y%m%d}{secrets.token_hex(10)}"


# Misbehaving on purpose


class Cut(Response):
    """No answer: the connection is torn down, without a byte where the server lets us."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handle = scope.get("extensions", {}).get("sandbox.transport")
        if handle is not None:
            handle["transport"].abort()
            await receive()
            return
        # A server that does not hand out its transport cuts off an answer that stops half way.
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"1000")],
            }
        )
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


async def misbehave(
    call: Call, manner: magic.Manner, deed: Callable[[], Awaitable[Answer]]
) -> Answer | Response:
    """Do the deed, or not, and answer in the manner of the scenario."""
    company = call.company
    if manner.does and manner.deed_after_seconds:

        async def later() -> None:
            await asyncio.sleep(manner.deed_after_seconds * company.pace)
            await deed()

        company.send_on_errand(later())
        answer: Answer = {}
    else:
        answer = await deed() if manner.does else {}
    if manner.answer_after_seconds:
        await asyncio.sleep(manner.answer_after_seconds * company.pace)
    match manner.answers:
        case "truth":
            return answer
        case "silence":
            await _until_gone(call.request, SILENCE_SECONDS_MAX * company.pace)
            return Cut()
        case "cut":
            return Cut()
        case "garbage":
            return Response(b'{"result":"appr\xff\xfe\x00<html>', media_type="application/json")
        case "forged":
            return _seal(company, call.member, answer, forged=True)
        case "error_page":
            return Response("<html><h1>502 Bad Gateway</h1></html>", 502, media_type="text/html")


async def _until_gone(request: Request, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


# PUT /v1/members/{mid}


class Joining(msgspec.Struct):
    secret: Annotated[str, Meta(min_length=32, max_length=200, pattern=r"^[\x21-\x7e]*\Z")]
    name: ShortText
    profile: Word


async def join(request: Request) -> Response:
    """The one unsigned operation: a sandbox must need no sign-up."""
    company = company_of(request)
    mid = request.path_params["mid"]
    try:
        ask = read_json(await read_body(request), Joining)
        if not mid_fits(mid):
            raise bad_request("a MID is 1 to 64 letters, digits and . _ - @ : +")
        row = await company.ledger.write(
            Book.join, mid, ask.secret, ask.name, ask.profile, company.now()
        )
        if not signing.equal(row["secret"], ask.secret):
            raise Refusal(409, "MEMBER_EXISTS", "this MID has joined with another secret")
    except Refusal as refusal:
        return json_response(error(refusal), refusal.status)
    return json_response({"result": "joined", "mid": mid})


def mid_fits(mid: str) -> bool:
    return (
        1 <= len(mid) <= 64
        and mid.isascii()
        and all(letter.isalnum() or letter in "._-@:+" for letter in mid)
    )


# POST /v1/orders


async def register(call: Call) -> Answer:
    announced = call.read(Announcement)
    if announced.return_url is None:
        raise bad_request("Object missing required field `return_url`")
    if announced.tax_free > announced.amount:
        raise bad_request("tax_free is larger than amount")
    if not announced.amount and not announced.keep_card:
        raise bad_request("an order of nothing keeps a card")
    return await call.company.ledger.write(
        _register, call.company.address, call.member.mid, announced, call.company.now()
    )


def _register(book: Book, address: str, mid: str, announced: Announcement, now: int) -> Answer:
    if book.tombstone(mid, announced.order_no) is not None:
        raise Refusal(409, "CONFLICT", "this order number was net-cancelled")
    text = msgspec.json.encode(announced).decode()
    window_id, expires_at = secrets.token_urlsafe(16), now + WINDOW_SECONDS
    if not book.add_order(mid, announced.order_no, window_id, text, now, expires_at):
        order = book.order(mid, announced.order_no)
        assert order is not None
        if order.announced != announced:
            raise Refusal(409, "CONFLICT", "this order number was announced with other content")
        window_id, expires_at = order.window_id, order.expires_at
    return {
        "result": "registered",
        "order_no": announced.order_no,
        "window_url": f"{address}/window/{window_id}",
        "expires_at": expires_at,
    }


# POST /v1/approvals


class ApprovalAsk(msgspec.Struct, frozen=True):
    order_no: OrderNo
    auth_token: Annotated[str, Meta(max_length=200)]
    amount: AmountOrNothing
    currency: Currency


async def approve(call: Call) -> Answer | Response:
    ask = call.read(ApprovalAsk)
    company, mid = call.company, call.member.mid

    async def deed(manner: magic.Manner) -> Answer | magic.Manner:
        return await company.ledger.write(
            _approve, company.vault, company.address, mid, ask, manner, company.now()
        )

    first = await deed(magic.PLAIN)
    if not isinstance(first, magic.Manner):
        return first
    manner = first

    async def deed_in_its_manner() -> Answer:
        answer = await deed(manner)
        assert not isinstance(answer, magic.Manner)
        return answer

    return await misbehave(call, manner, deed_in_its_manner)


def declined(order_no: str, code: str, message: str) -> Answer:
    return {"result": "declined", "order_no": order_no, "code": code, "message": message}


def _approve(
    book: Book,
    vault: Vault,
    address: str,
    mid: str,
    ask: ApprovalAsk,
    manner: magic.Manner,
    now: int,
) -> Answer | magic.Manner:
    """Deed: the one approval of an order.

    An order whose scenario wants bad manners gets nothing at first: the manner is the answer, and
    the deed is asked for again from within it. Plain orders, nearly all, need one look only.
    """
    if book.tombstone(mid, ask.order_no) is not None:
        return declined(ask.order_no, "NET_CANCELLED", "망취소된 주문입니다.")
    order = book.order(mid, ask.order_no)
    if order is None:
        return declined(ask.order_no, "ORDER_NOT_FOUND", "등록되지 않은 주문번호입니다.")
    scenario = magic.scenario_of(order.scenario, order.amount)
    wanted = magic.manner_at(scenario, "approval")
    if manner == magic.PLAIN != wanted:
        return wanted
    content = fingerprint(ask)
    earlier = book.approval(mid, ask.order_no)
    if earlier is not None:
        return same_answer(earlier, content)
    refusal = _why_not(vault, order, ask, now)
    if refusal is not None:
        answer = declined(ask.order_no, *refusal)
        book.advance(order, ("registered", "authenticated"), "declined", *refusal)
    elif order.announced.method_kind == "vbank":
        answer = virtual_account.issue(book, order, new_tid(now), now)
    else:
        answer = take_money(book, address, order, order.amount + manner.amount_off, now)
        keep_card(book, vault, order, answer, now)
        book.advance(order, ("authenticated",), "approved", "", "")
    book.keep_approval(mid, ask.order_no, content, answer, now)
    return answer


def answer_order(
    book: Book,
    mid: str,
    announced: Announcement,
    content: str,
    look: Callable[[], tuple[str, str] | None],
    take: Callable[[Order], Answer],
    now: int,
) -> Answer:
    """Deed: the one answer to an order without a window; asked again, it is read back.

    `look` finds the code and words of a refusal, `take` does what is asked; a fresh order alone is
    given to them.
    """
    order_no = announced.order_no
    if book.tombstone(mid, order_no) is not None:
        return declined(order_no, "NET_CANCELLED", "망취소된 주문입니다.")
    earlier = book.approval(mid, order_no)
    if earlier is not None:
        return same_answer(earlier, content)
    text = msgspec.json.encode(announced).decode()
    if not book.add_order(mid, order_no, secrets.token_urlsafe(16), text, now, now):
        raise Refusal(409, "CONFLICT", "this order number was announced with other content")
    order = book.order(mid, order_no)
    assert order is not None
    refusal = look()
    if refusal is not None:
        answer = declined(order_no, *refusal)
        book.advance(order, ("registered",), "declined", *refusal)
    else:
        answer = take(order)
    book.keep_approval(mid, order_no, content, answer, now)
    return answer


def authenticated(
    book: Book, order: Order, means: Means, now: int, scenario: str | None = None
) -> Order:
    """Inside a deed: the order, now that these means stand for it."""
    book.authenticate(order, means, scenario, now, now)
    found = book.order(order.mid, order.order_no)
    assert found is not None
    return found


def same_answer(earlier: Row, content: str) -> Answer:
    if earlier["content"] != content:
        raise Refusal(409, "CONFLICT", "this number was used with other content")
    answer: Answer = msgspec.json.decode(earlier["answer"])
    return answer


def _why_not(vault: Vault, order: Order, ask: ApprovalAsk, now: int) -> tuple[str, str] | None:
    if order.auth_expires_at is None or not signing.equal(vault.auth_token(order), ask.auth_token):
        return "TOKEN_INVALID", "인증 정보가 올바르지 않습니다."
    if order.state != "authenticated":
        return "TOKEN_USED", "이미 사용된 인증 정보입니다."
    if now >= order.auth_expires_at:
        return "TOKEN_EXPIRED", "인증 유효시간이 지났습니다."
    if ask.amount != order.amount:
        return "AMOUNT_DIFFERS", "인증된 금액과 승인 요청 금액이 다릅니다."
    if ask.currency != order.currency:
        return "CURRENCY_DIFFERS", "인증된 통화와 승인 요청 통화가 다릅니다."
    return magic.refusal_at(magic.scenario_of(order.scenario, order.amount), "approval")


def take_money(book: Book, address: str, order: Order, amount: int, now: int) -> Answer:
    """Deed: the money of an authenticated order."""
    means = order.means
    assert means is not None
    tid, approval_number = new_tid(now), f"{secrets.randbelow(10**8):08d}"
    book.add_charge(tid, order, amount, approval_number, now)
    product_orders.open_all(book, order, amount, now)
    return {
        "result": "approved",
        "order_no": order.order_no,
        "tid": tid,
        "amount": amount,
        "currency": order.currency,
        "pay_method": order.announced.pay_method,
        "approval_number": approval_number,
        "approved_at": now,
        "receipt_url": f"{address}/receipts/{tid}",
        "card": {
            "issuer_code": means.issuer_code,
            "issuer_name": means.issuer_name,
            "number": means.masked,
            "installment_months": means.installment_months,
            "type": int(means.debit),
        }
        if means.issuer_code
        else None,
        "bank": {"code": means.bank_code, "name": means.bank_name} if means.bank_code else None,
        "wallet": means.wallet,
        "cash_receipt_issued": means.cash_receipt,
    }


def keep_card(book: Book, vault: Vault, order: Order, answer: Answer, now: int) -> None:
    """Inside the deed that takes the money: the key of the means, if they are to be kept."""
    means = order.means
    if order.announced.keep_card and means is not None:
        keys.keep(book, order.mid, order.order_no, "", means, now)
        answer["issued_key"] = keys.told(vault, order.mid, order.order_no, means)


# POST /v1/approvals/{order_no}/net-cancel


class NetCancelAsk(msgspec.Struct):
    reason: LongText = ""


async def net_cancel(call: Call) -> Answer | Response:
    call.read(NetCancelAsk)
    order_no, mid, now = call.path("order_no"), call.member.mid, call.company.now()
    if not order_no_fits(order_no):
        raise bad_request("an order number is 6 to 40 letters, digits, _ and -")
    order = call.company.ledger.read(Book.order, mid, order_no)
    if order is not None and _net_cancel_is_down(call, order, now):
        return Response("<html><h1>503</h1></html>", 503, media_type="text/html")
    return await call.company.ledger.write(_net_cancel, mid, order_no, now)


def order_no_fits(order_no: str) -> bool:
    return (
        6 <= len(order_no) <= 40
        and order_no.isascii()
        and all(letter.isalnum() or letter in "_-" for letter in order_no)
    )


def _net_cancel_is_down(call: Call, order: Order, now: int) -> bool:
    scenario = magic.scenario_of(order.scenario, order.amount)
    seconds = magic.manner_at(scenario, "net_cancel").net_cancel_down_seconds
    if not seconds:
        return False
    approval = call.company.ledger.read(Book.approval, order.mid, order.order_no)
    return approval is not None and now < approval["at"] + seconds * call.company.pace


def _net_cancel(book: Book, mid: str, order_no: str, now: int) -> Answer:
    tombstone = book.tombstone(mid, order_no)
    if tombstone is not None:
        had_approved = bool(tombstone["had_approved"])
    else:
        charge = book.charge_of(mid, order_no)
        refusal = None if charge is None else _why_not_undo(book, mid, order_no, charge, now)
        if refusal is not None:
            code, message = refusal
            return {"result": "refused", "order_no": order_no, "code": code, "message": message}
        had_approved = charge is not None
        if charge is not None and charge["taken"]:
            book.give_back(charge, "net_cancel", order_no, charge["taken"], now)
        book.bury(mid, order_no, had_approved, now)
        keys.forget(book, mid, order_no, now)
        product_orders.close_all(book, mid, order_no)
        order = book.order(mid, order_no)
        if order is not None:
            book.advance(order, (order.state,), "undone", "NET_CANCELLED", "망취소된 주문입니다.")
    return {"result": "undone", "order_no": order_no, "had_approved": had_approved}


def _why_not_undo(
    book: Book, mid: str, order_no: str, charge: Row, now: int
) -> tuple[str, str] | None:
    approval = book.approval(mid, order_no)
    assert approval is not None
    if charge["returned"]:
        return "PARTLY_CANCELLED", "이미 취소가 이루어진 거래입니다."
    if now > approval["at"] + NET_CANCEL_SECONDS:
        return "TOO_LATE", "승인 후 1시간이 지나 망취소할 수 없습니다."
    if charge["taken"] and approval["result"] == "account_issued":
        return "ALREADY_DEPOSITED", "이미 입금된 가상계좌입니다."
    return None


# GET /v1/orders/{order_no}


async def inquire(call: Call) -> Answer:
    return _inquiry(call, call.member.mid, call.path("order_no"))


def _inquiry(call: Call, mid: str, order_no: str) -> Answer:
    read = call.company.ledger.read
    order = read(Book.order, mid, order_no)
    if order is None:
        if read(Book.tombstone, mid, order_no) is None:
            raise Refusal(404, "NOT_FOUND", "this order number was never seen")
        return _unregistered_but_undone(order_no)
    approval = read(Book.approval, mid, order_no)
    charge = read(Book.charge_of, mid, order_no)
    cancels = [] if charge is None else read(Book.cancels_of, mid, charge["tid"])
    state, code, message = order.state, order.code, order.message
    if state == "registered" and call.company.now() >= order.expires_at:
        state, code, message = "abandoned", "SESSION_EXPIRED", "결제 가능 시간이 지났습니다."
    return {
        "result": "order",
        "order_no": order_no,
        "state": state,
        "tid": None if charge is None else charge["tid"],
        "amount": order.amount,
        "currency": order.currency,
        "paid": 0 if charge is None else charge["taken"],
        "cancelled": 0 if charge is None else charge["returned"],
        "approval": None if approval is None else msgspec.Raw(approval["answer"].encode()),
        "code": code,
        "message": message,
        "auth_expires_at": order.auth_expires_at,
        "cancels": [msgspec.Raw(cancel["answer"].encode()) for cancel in cancels],
    }


def _unregistered_but_undone(order_no: str) -> Answer:
    return {
        "result": "order",
        "order_no": order_no,
        "state": "undone",
        "tid": None,
        "amount": 0,
        "currency": "",
        "paid": 0,
        "cancelled": 0,
        "approval": None,
        "code": "NET_CANCELLED",
        "message": "망취소된 주문입니다.",
        "auth_expires_at": None,
        "cancels": [],
    }


# POST /v1/cancels, GET /v1/cancels/{cancel_no}


class RefundAccount(msgspec.Struct, frozen=True):
    bank_code: Word
    number: ShortText
    holder: ShortText


class CancelAsk(msgspec.Struct, frozen=True):
    tid: Word
    cancel_no: CancelNo
    amount: Amount
    balance_before: Amount
    reason: LongText = ""
    refund_account: RefundAccount | None = None
    product_order: product_orders.Goods | None = None


async def cancel(call: Call) -> Answer | Response:
    ask = call.read(CancelAsk)
    company, mid = call.company, call.member.mid
    scenario = _scenario_of_charge(call, ask.tid)

    async def deed() -> Answer:
        refusal = magic.refusal_at(scenario, "cancel")
        return await company.ledger.write(
            _cancel, company.address, mid, ask, refusal, company.now()
        )

    manner = magic.manner_at(scenario, "cancel")
    if manner is magic.PLAIN:
        return await deed()
    return await misbehave(call, manner, deed)


def _scenario_of_charge(call: Call, tid: str) -> magic.Scenario | None:
    charge = call.company.ledger.read(Book.charge, tid)
    if charge is None or charge["mid"] != call.member.mid:
        return None
    order = call.company.ledger.read(Book.order, charge["mid"], charge["order_no"])
    return None if order is None else magic.scenario_of(order.scenario, order.amount)


def _cancel(
    book: Book, address: str, mid: str, ask: CancelAsk, refusal: tuple[str, str] | None, now: int
) -> Answer:
    content = fingerprint(ask)
    earlier = book.cancel(mid, ask.cancel_no)
    if earlier is not None:
        return same_answer(earlier, content)
    charge = book.charge(ask.tid)
    refusal = refusal or _why_not_cancel(book, mid, charge, ask)
    if refusal is not None or charge is None:
        code, message = refusal or ("TID_NOT_FOUND", "")
        answer: Answer = {
            "result": "refused",
            "cancel_no": ask.cancel_no,
            "code": code,
            "message": message,
        }
    else:
        balance = book.give_back(charge, "cancel", ask.cancel_no, ask.amount, now)
        product_orders.after_cancel(book, charge, ask.product_order, balance)
        order = book.order(mid, charge["order_no"])
        if order is not None and balance == 0:
            book.advance(order, ("approved", "deposited"), "cancelled", "", "")
        answer = {
            "result": "cancelled",
            "cancel_no": ask.cancel_no,
            "cancel_tid": new_tid(now),
            "tid": ask.tid,
            "amount": ask.amount,
            "balance": balance,
            "cancelled_at": now,
            "receipt_url": f"{address}/receipts/{ask.tid}",
        }
    book.keep_cancel(mid, ask.cancel_no, content, ask.tid, ask.amount, answer, now)
    return answer


def _why_not_cancel(
    book: Book, mid: str, charge: Row | None, ask: CancelAsk
) -> tuple[str, str] | None:
    if charge is None or charge["mid"] != mid:
        return "TID_NOT_FOUND", "존재하지 않는 거래입니다."
    is_account = book.account_of(mid, charge["order_no"]) is not None
    balance = charge["taken"] - charge["returned"]
    if is_account and not charge["taken"]:
        return "NOT_DEPOSITED", "아직 입금되지 않은 가상계좌입니다."
    if balance == 0:
        return "ALREADY_CANCELLED", "이미 전액취소된 거래입니다."
    if ask.balance_before != balance:
        return "BALANCE_DIFFERS", "취소 가능 잔액이 일치하지 않습니다."
    if ask.amount > balance:
        return "EXCEEDS_BALANCE", "취소 요청 금액이 잔액보다 큽니다."
    if is_account and ask.refund_account is None:
        return "REFUND_ACCOUNT_NEEDED", "환불 받을 계좌가 필요합니다."
    held_back = held.why_not_cancel(book, book.order(mid, charge["order_no"]), ask.tid)
    return held_back or product_orders.why_not_cancel(
        book, charge, ask.product_order, ask.amount, whole=ask.amount == balance
    )


async def read_cancel(call: Call) -> Answer:
    row = call.company.ledger.read(Book.cancel, call.member.mid, call.path("cancel_no"))
    if row is None:
        raise Refusal(404, "NOT_FOUND", "this cancel number never arrived")
    answer: Answer = msgspec.json.decode(row["answer"])
    return answer


# Virtual accounts without a window


async def issue_account(call: Call) -> Answer:
    ask = call.read(virtual_account.AccountAsk)
    return await call.company.ledger.write(_issue_account, call.member.mid, ask, call.company.now())


def _issue_account(book: Book, mid: str, ask: virtual_account.AccountAsk, now: int) -> Answer:
    def look() -> tuple[str, str] | None:
        return virtual_account.why_not(ask, now)

    def take(order: Order) -> Answer:
        means = virtual_account.means_of(ask.bank_code, ask.holder)
        order = authenticated(book, order, means, now)
        return virtual_account.issue(book, order, new_tid(now), now)

    announced = ask.announcement("vbank", vbank_due=ask.due)
    return answer_order(book, mid, announced, fingerprint(ask), look, take, now)


async def close_account(call: Call) -> Answer:
    return await call.company.ledger.write(
        virtual_account.close, call.member.mid, call.path("order_no")
    )


# GET /v1/book


async def read_book(call: Call) -> Answer:
    """The member's movements of money, oldest first: `?after=<seq>&since=&until=&limit=<1..1000>`."""
    after = _whole_number(call.request.query_params.get("after", "0"), 2**62)
    limit = _whole_number(call.request.query_params.get("limit", "1000"), BOOK_ROWS_MAX)
    since = _whole_number(call.request.query_params.get("since", "0"), 2**62)
    until = _whole_number(call.request.query_params.get("until", str(2**62)), 2**62)
    rows = call.company.ledger.read(Book.rows, call.member.mid, after, limit, since, until)
    return {"result": "book", "rows": rows, "more": len(rows) == limit > 0}


def _whole_number(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise bad_request("after, since, until and limit are whole numbers")
    return min(int(text), most)
