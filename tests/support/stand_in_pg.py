"""A small PG for faults that the sandbox cannot make: true HTTP, its own book, answers on command.

It speaks docs/reference/sandbox-wire.md as far as verbs need it. A test says per operation what to
do with the next requests (`pg.next["approvals"].append(...)`); without a word it behaves.
`pg.peek`, when set, is awaited while a request is being served: the moment between the gateway's
commit and its knowledge of the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

SECRET = "s" * 32
MID = "T0000"
# Money without a window and without a card: to this PG a charge as any other.
QUICK = "/v1/quick/payments"
CHARGED = ("/v1/points/payments", QUICK)
# What one path is called whose other half is called by its first word.
NAMED = dict.fromkeys(CHARGED, "charges") | {"/v1/virtual-accounts/changes": "account_changes"}
CODE, CODE_SECONDS, CODE_TRIES = "246810", 180, 5

Act = Callable[["Asked", dict[str, Any]], Awaitable[web.StreamResponse | dict[str, Any]]]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    operation: str
    method: str
    path: str
    body: dict[str, Any]
    request: web.Request = field(repr=False)


@dataclass
class StandInPg:
    """What was asked, and the book: orders by their number, cancels by theirs."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    next: dict[str, list[Act]] = field(default_factory=lambda: defaultdict(list))
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancels: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)  # None behind a number: forgotten
    book: list[dict[str, Any]] = field(default_factory=list)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the tax office's number
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)  # of certifications
    # Of quick pay, by MID and name. None: everybody is one, and has entered their PIN.
    members: dict[tuple[str, str], dict[str, Any]] | None = None
    pins: dict[str, str] = field(default_factory=dict)  # who entered it, by the order
    peek: Callable[[Asked], Awaitable[None]] | None = None
    now: Callable[[], float] = time.time
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def count(self, operation: str) -> int:
        """How often this operation was asked for."""
        return sum(1 for asked in self.asked if asked.operation == operation)

    def taken(self) -> int:
        """The money in this PG's book: approved, less what was given back."""
        return sum(
            order["amount"] - order["cancelled"]
            for order in self.orders.values()
            if order["state"] in ("approved", "deposited")
        )

    def returned(self, order_no: str, **changes: str) -> dict[str, str]:
        """What the browser brings back after authentication, signed; `changes` are signed too."""
        fields = {
            "mid": MID,
            "order_no": order_no,
            "status": "authenticated",
            "auth_token": f"auth-{order_no}",
            "amount": "1004",
            "currency": "KRW",
            "pay_method": "card",
            "code": "",
            "message": "",
            "expires_at": str(int(self.now()) + 600),
            **changes,
        }
        signed = "return\n" + "\n".join(fields.values())
        return {**fields, "signature": _hmac(signed.encode())}

    def move(self, kind: str, order_no: str, tid: str, reference: str, amount: int) -> None:
        """One more row of the book, as of now."""
        row = {"seq": len(self.book) + 1, "at": int(self.now()), "kind": kind}
        row |= {"order_no": order_no, "tid": tid, "reference": reference}
        self.book.append(row | {"amount": amount, "currency": "KRW"})

    def pay_in(self, order_no: str, amount: int) -> str:
        """A deposit that nobody was told of yet; the number of its notice."""
        order = self.orders[order_no]
        order["state"] = "deposited"
        order["deposited"] = order.get("deposited", 0) + amount
        reference = f"ntc{next(self._numbers):08d}"
        self.move("deposit", order_no, order["approval"]["tid"], reference, amount)
        return reference

    def deposit(self, order_no: str, reference: str, amount: int, at: int) -> None:
        """Money that arrived at that time; the account takes no more once it is exact."""
        order = self.orders[order_no]
        approval = order["approval"]
        order["deposited"] = order.get("deposited", 0) + amount
        if at <= approval["virtual_account"]["due"]:
            order["in_time"] = order.get("in_time", 0) + amount
            if order["in_time"] == order["amount"]:
                order["state"] = "deposited"
        self.move("deposit", order_no, approval["tid"], reference, amount)

    def cancel_at_console(self, order_no: str, amount: int) -> str:
        """The PG's staff gives money back by hand; the number of that cancel."""
        order, number = self.orders[order_no], f"console{next(self._numbers):06d}"
        order["cancelled"] += amount
        self.move("cancel", order_no, order["approval"]["tid"], number, amount)
        return number

    # --- the deeds -----------------------------------------------------------------------------

    def do_approvals(self, asked: Asked) -> dict[str, Any]:
        body = asked.body
        order = self.orders.get(body["order_no"])
        if order is not None and order["state"] == "undone":
            return {
                "result": "declined",
                "order_no": body["order_no"],
                "code": "NET_CANCELLED",
                "message": "망취소된 주문",
            }
        if order is None:
            answer = {
                "result": "approved",
                "order_no": body["order_no"],
                "tid": f"tid{next(self._numbers):08d}",
                "amount": body["amount"],
                "currency": body["currency"],
                "pay_method": "card",
                "approval_number": "30012345",
                "approved_at": int(self.now()),
                "receipt_url": "https://pg.example/receipt",
                "card": {
                    "issuer_code": "366",
                    "issuer_name": "신한카드",
                    "number": "536510******1234",
                    "installment_months": 0,
                    "type": 0,
                },
                "bank": None,
                "wallet": None,
                "cash_receipt_issued": False,
            }
            order = self._write("approved", body, answer)
            self.move("charge", body["order_no"], answer["tid"], "30012345", body["amount"])
        approval: dict[str, Any] = order["approval"]
        return approval

    def do_net_cancel(self, asked: Asked) -> dict[str, Any]:
        number = asked.path.split("/")[3]
        order = self.orders.setdefault(
            number, {"state": "undone", "amount": 0, "cancelled": 0, "approval": None}
        )
        if order["state"] == "deposited":
            return {"result": "refused", "code": "ALREADY_DEPOSITED", "message": "이미 입금"}
        had = order["state"] == "approved"
        if had:
            self.move("net_cancel", number, order["approval"]["tid"], number, order["amount"])
        order["state"] = "undone"
        return {"result": "undone", "order_no": number, "had_approved": had}

    def do_orders(self, asked: Asked) -> dict[str, Any] | None:
        if asked.method == "POST":
            return {
                "result": "registered",
                "order_no": asked.body["order_no"],
                "window_url": f"{self.url}/window/{asked.body['order_no']}",
                "expires_at": int(self.now()) + 1800,
            }
        order = self.orders.get(asked.path.split("/")[3])
        return None if order is None else {"result": "order", "code": "", "message": "", **order}

    def do_cancels(self, asked: Asked) -> dict[str, Any] | None:
        if asked.method == "GET":
            return self.cancels.get(asked.path.split("/")[3])
        body = asked.body
        if body["cancel_no"] in self.cancels:
            return self.cancels[body["cancel_no"]]
        [order] = [
            o for o in self.orders.values() if (o["approval"] or {}).get("tid") == body["tid"]
        ]
        taken = order.get("deposited", order["amount"])
        if body["balance_before"] != taken - order["cancelled"]:
            return {"result": "refused", "code": "BALANCE_DIFFERS", "message": "잔액 불일치"}
        order["cancelled"] += body["amount"]
        number = order["approval"]["order_no"]
        self.move("cancel", number, body["tid"], body["cancel_no"], body["amount"])
        self.cancels[body["cancel_no"]] = {
            "result": "cancelled",
            "cancel_no": body["cancel_no"],
            "cancel_tid": f"ctid{next(self._numbers):08d}",
            "tid": body["tid"],
            "amount": body["amount"],
            "balance": taken - order["cancelled"],
            "cancelled_at": int(self.now()),
            "receipt_url": None,
        }
        return self.cancels[body["cancel_no"]]

    def do_virtual_accounts(self, asked: Asked) -> dict[str, Any]:
        order_no = asked.path.split("/")[3] if asked.method == "DELETE" else asked.body["order_no"]
        order = self.orders.get(order_no)
        if asked.method == "DELETE":
            if order is not None and order["state"] == "deposited":
                return {"result": "refused", "code": "ALREADY_DEPOSITED", "message": "이미 입금"}
            if order is not None:
                order["state"] = "closed"
            return {"result": "closed"}
        if order is not None and order["state"] == "undone":
            refused = {"result": "declined", "order_no": order_no, "code": "NET_CANCELLED"}
            return {**refused, "message": "망취소된 주문"}
        if order is not None:
            answered: dict[str, Any] = order["approval"]
            return answered
        number = next(self._numbers)
        answer = {
            "result": "account_issued",
            "order_no": asked.body["order_no"],
            "tid": f"tid{number:08d}",
            "amount": asked.body["amount"],
            "currency": asked.body["currency"],
            "virtual_account": {
                "bank_code": asked.body["bank_code"],
                "bank_name": "국민은행",
                "number": f"7995{number:010d}",
                "holder": asked.body["holder"],
                "due": asked.body["due"],
                "issued_at": int(self.now()),
            },
        }
        self._write("waiting_deposit", asked.body, answer)
        return answer

    def do_barcodes(self, asked: Asked) -> dict[str, Any]:
        """A barcode is an account of a bank that is a shop."""
        due = asked.body["due"] or int(self.now()) + 86_400
        body = {**asked.body, "bank_code": "CVS", "holder": None, "due": due}
        return self.do_virtual_accounts(replace(asked, body=body))

    def do_billing_keys(self, asked: Asked) -> dict[str, Any] | None:
        number = asked.body["key_no"] if asked.method == "POST" else asked.path.split("/")[3]
        forgotten = {
            "result": "declined",
            "key_no": number,
            "code": "KEY_FORGOTTEN",
            "message": "삭제",
        }
        if asked.method == "DELETE":
            self.keys[number] = forgotten
            return {"result": "forgotten", "key_no": number}
        if asked.method == "POST" and number not in self.keys:
            self.keys[number] = {"result": "key_issued", **self._key(number, asked.body["card"])}
        return self.keys.get(number)

    @staticmethod
    def _key(number: str, card: dict[str, Any] | None) -> dict[str, Any]:
        digits = "5365100000001234" if card is None else card["number"]
        shown = {"issuer_code": "366", "issuer_name": "신한카드", "type": 0}
        masked = f"{digits[:6]}******{digits[12:]}"
        return {
            "key_no": number,
            "billing_key": f"key-{number}",
            "card": {**shown, "number": masked},
        }

    def live_keys(self) -> list[str]:
        """The numbers of keys that could be charged."""
        return [number for number, key in self.keys.items() if key["result"] == "key_issued"]

    def do_charges(self, asked: Asked) -> dict[str, Any]:
        """A charge is an approval whose proof is a key, a card or a member's PIN."""
        body, known = asked.body, asked.body["order_no"] in self.orders
        if asked.path == QUICK and self.members is not None and not known:
            member = self.members.get((_mid(asked), body["member_id"]))
            if member is None or self.pins.get(body["pin_order_no"]) != body["member_id"]:
                refused = {"result": "declined", "order_no": body["order_no"], "code": "PIN"}
                return {**refused, "message": "PIN 인증이 확인되지 않습니다."}
            del self.pins[body["pin_order_no"]]
        key = body.get("billing_key")
        if key is not None and not known and key.removeprefix("key-") not in self.live_keys():
            refused = {"result": "declined", "order_no": body["order_no"], "code": "F210"}
            return {**refused, "message": "등록되지 않은 빌링키입니다."}
        answer = self.do_approvals(asked)
        if asked.path in CHARGED and answer["result"] == "approved":
            answer |= {"pay_method": "point", "card": None}
        if body.get("keep_card") and answer["result"] == "approved" and not known:
            issued = self._key(body["order_no"], body["card"])
            self.keys[body["order_no"]] = {"result": "key_issued", **issued}
            answer["issued_key"] = issued
        return answer

    # --- promises of no money, each done once by its number ------------------------------------

    def _once(self, asked: Asked, deed: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        number = asked.body["number"]
        if number not in self._answers:
            self._answers[number] = {"number": number, **deed()}
        return self._answers[number]

    def do_cash_receipts(self, asked: Asked) -> dict[str, Any]:
        return self._once(
            asked,
            lambda: self._revoke(asked) if asked.path.endswith("/cancel") else self._receipt(asked),
        )

    def _receipt(self, asked: Asked) -> dict[str, Any]:
        body = asked.body
        if body["tid"] is not None:
            [order] = [
                o for o in self.orders.values() if (o["approval"] or {}).get("tid") == body["tid"]
            ]
            left = order.get("deposited", order["amount"]) - order["cancelled"]
            if body["amount"] > left:
                return _no("EXCEEDS_BALANCE", "발급 금액이 거래 잔액보다 큽니다.")
            if any(each["tid"] == body["tid"] for each in self.live_receipts()):
                return _no("ALREADY_ISSUED", "이미 현금영수증이 발급된 거래입니다.")
        number = next(self._numbers)
        told = {"receipt_tid": f"rcp{number:08d}", "amount": body["amount"]}
        self.receipts[told["receipt_tid"]] = {**told, **body, "cancelled_at": None}
        answer = {"result": "issued", "apply_no": f"{number:09d}", "issued_at": int(self.now())}
        return {**told, **answer, "receipt_url": None}

    def _revoke(self, asked: Asked) -> dict[str, Any]:
        receipt = self.receipts.get(asked.path.split("/")[3])
        if receipt is None or receipt["cancelled_at"] is not None:
            return _no("NOT_LIVE", "취소할 현금영수증이 없습니다.")
        receipt["cancelled_at"] = int(self.now())
        return {"result": "cancelled", "cancelled_at": receipt["cancelled_at"]}

    def live_receipts(self) -> list[dict[str, Any]]:
        """What the tax office knows of."""
        return [each for each in self.receipts.values() if each["cancelled_at"] is None]

    def do_account_changes(self, asked: Asked) -> dict[str, Any]:
        return self._once(asked, lambda: self._change_account(asked.body))

    def _change_account(self, body: dict[str, Any]) -> dict[str, Any]:
        order = self.orders[body["order_no"]]
        if order["state"] != "waiting_deposit":
            return _no("NOT_WAITING", "입금 대기 중인 가상계좌가 아닙니다.")
        if order.get("deposited"):
            return _no("DEPOSITED", "이미 입금된 내역이 있는 가상계좌입니다.")
        if body["due"] <= self.now():
            return _no("DUE_PASSED", "입금기한이 이미 지났습니다.")
        order["amount"] = order["approval"]["amount"] = body["amount"]
        order["approval"]["virtual_account"]["due"] = body["due"]
        return {"result": "registered", "registered_at": int(self.now())}

    def do_quick(self, asked: Asked) -> dict[str, Any]:
        return self._once(asked, lambda: self._about_member(asked))

    def _about_member(self, asked: Asked) -> dict[str, Any]:
        name, deletes = asked.path.split("/")[4], asked.path.endswith("/delete")
        members = self.members or {}
        member = members.get((_mid(asked), name))
        if member is None and deletes:
            return _no("MEMBER_NOT_FOUND", "등록된 회원이 없습니다.")
        if member is None or not (deletes or member["fido"]):
            return _no("C210", "등록된 거래가 없습니다.")
        if deletes:
            del members[_mid(asked), name]
        else:
            member |= {"fido": False, "updated": int(self.now())}
        told = {each: member[each] for each in ("inserted", "updated")}
        return {"result": "deleted" if deletes else "released", "member_id": name, **told}

    # --- who somebody is -----------------------------------------------------------------------

    def do_certification_codes(self, asked: Asked) -> dict[str, Any]:
        body, now = asked.body, int(self.now())
        kept = self.codes.setdefault(
            body["number"],
            {"said": body, "mid": _mid(asked), "tries": 0, "until": now + CODE_SECONDS},
        )
        return {"result": "sent", "number": body["number"], "expires_at": kept["until"]}

    def do_certifications(self, asked: Asked) -> dict[str, Any] | None:
        """Asked (GET), or to compare a code."""
        number = asked.path.split("/")[3]
        kept = self.codes.get(number)
        if kept is None or asked.method == "GET" or "answer" in kept:
            opened = {"result": "open", "number": number}
            return None if kept is None else kept.get("answer", opened)
        if self.now() >= kept["until"]:
            wrong = _no("CODE_DEAD", "인증번호 입력시간이 지났습니다.")
            return {**wrong, "result": "wrong", "number": number, "attempts_left": 0}
        kept["tries"] += 1
        left = CODE_TRIES - kept["tries"]
        if asked.body["code"] == CODE:
            kept["answer"] = self._certified(number, kept)
        elif left:
            wrong = _no("CODE_WRONG", "인증번호가 일치하지 않습니다.")
            return {**wrong, "result": "wrong", "number": number, "attempts_left": left}
        else:
            failed = _no("TOO_MANY_TRIES", "인증번호를 5회 잘못 입력하였습니다.")
            kept["answer"] = {**failed, "result": "failed", "number": number}
        answer: dict[str, Any] = kept["answer"]
        return answer

    def _certified(self, number: str, kept: dict[str, Any]) -> dict[str, Any]:
        said = kept["said"]
        birth, digit = said["birth"], said["gender_digit"]
        century = "19" if digit in "1256" else "20"
        person = {
            "name": said["name"],
            "birthday": f"{century}{birth[:2]}-{birth[2:4]}-{birth[4:]}",
            "gender": "male" if digit in "1357" else "female",
            "foreigner": digit in "5678",
            "phone": said["phone"],
            "carrier": said["carrier"],
            "ci": f"ci-{said['name']}",
            "di": f"di-{kept['mid']}-{said['name']}",
        }
        answer = {"result": "certified", "number": number, "person": person}
        return {**answer, "tid": f"sbi{number}", "certified_at": int(self.now())}

    def do_book(self, asked: Asked) -> dict[str, Any]:
        query = asked.request.query
        after, limit = int(query["after"]), int(query["limit"])
        since, until = int(query["since"]), int(query["until"])
        rows = [r for r in self.book if r["seq"] > after and since <= r["at"] < until][:limit]
        return {"result": "book", "rows": rows, "more": len(rows) == limit}

    def _write(self, state: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        order = {
            "state": state,
            "amount": body["amount"],
            "cancelled": 0,
            "currency": body["currency"],
            "approval": answer,
        }
        self.orders[body["order_no"]] = order
        return order

    # --- the line ------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        stamp = request.headers.get("X-Sandbox-Timestamp", "")
        message = f"{stamp}.{request.method}.{request.path_qs}.".encode() + raw
        if request.headers.get("X-Sandbox-Signature") != _hmac(message):
            return self.say({"result": "error", "code": "UNAUTHENTICATED", "message": "?"}, 401)
        operation = "net_cancel" if "net-cancel" in request.path else request.path.split("/")[2]
        operation = NAMED.get(request.path, operation)
        asked = Asked(
            operation.replace("-", "_"),
            request.method,
            request.path,
            json.loads(raw) if raw else {},
            request,
        )
        self.asked.append(asked)
        if self.peek is not None:
            await self.peek(asked)
        waiting = self.next[f"{asked.method} {asked.operation}"] or self.next[asked.operation]
        if waiting:
            answer = await waiting.pop(0)(asked, {})
            return answer if isinstance(answer, web.StreamResponse) else self.say(answer)
        return self.say(self.do(asked))

    def do(self, asked: Asked) -> dict[str, Any]:
        """The deed that was asked for, and its answer."""
        answer = getattr(self, f"do_{asked.operation}")(asked)
        return answer or {"result": "error", "code": "NOT_FOUND", "message": "없음"}

    def say(self, answer: dict[str, Any] | bytes, status: int = 200) -> web.Response:
        """A signed answer."""
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        stamp = str(int(self.now()))
        headers = {
            "X-Sandbox-Timestamp": stamp,
            "X-Sandbox-Signature": _hmac(stamp.encode() + b"." + raw),
            "Content-Type": "application/json",
        }
        return web.Response(status=status, body=raw, headers=headers)

    # --- what a test may order -------------------------------------------------------------------

    def answer(self, operation: str, answer: dict[str, Any] | bytes, status: int = 200) -> None:
        """The next request of this kind does nothing and gets this signed answer."""

        async def act(asked: Asked, _: dict[str, Any]) -> web.StreamResponse:
            return self.say(answer, status)

        self.next[operation].append(act)

    def change(self, operation: str, **changes: Any) -> None:
        """The next request is done, and its answer is changed by these fields."""

        async def act(asked: Asked, _: dict[str, Any]) -> dict[str, Any]:
            return {**self.do(asked), **changes}

        self.next[operation].append(act)

    def hang_up(self, operation: str, *, done: bool) -> None:
        """The connection is cut without a word; the deed is done or not."""

        async def act(asked: Asked, _: dict[str, Any]) -> web.StreamResponse:
            if done:
                self.do(asked)
            assert asked.request.transport is not None
            asked.request.transport.abort()
            return web.Response()

        self.next[operation].append(act)

    def hold(self, operation: str, *, done_first: bool) -> tuple[asyncio.Event, asyncio.Event]:
        """The next request waits: (it has arrived, let it go on). The deed comes before or after."""
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def act(asked: Asked, _: dict[str, Any]) -> dict[str, Any]:
            answer = self.do(asked) if done_first else None
            arrived.set()
            await go_on.wait()
            return answer or self.do(asked)

        self.next[operation].append(act)
        return arrived, go_on


def _mid(asked: Asked) -> str:
    return asked.request.headers["X-Sandbox-Mid"]


def _no(code: str, message: str) -> dict[str, Any]:
    return {"result": "declined", "code": code, "message": message}


def _hmac(message: bytes) -> str:
    return hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()


@asynccontextmanager
async def standing_in() -> AsyncIterator[StandInPg]:
    """A stand-in PG on a free port of this machine."""
    pg = StandInPg()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", pg.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    pg.url = f"http://127.0.0.1:{port}"
    try:
        yield pg
    finally:
        await runner.cleanup()
