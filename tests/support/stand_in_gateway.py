"""A small true gateway for tests of the kit and the shop: real HTTP, real JSON, V1's own shapes.

It speaks the V1 operations that the kit uses and keeps payments in memory. A test puts payments in
(`pay`, `issue_account`, `fail`), and breaks it on purpose (`faults`): what it then does on the wire
is what a sick gateway does. `asked` is every request it saw, in order.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

API_KEY = "stand-in-key"
API_SECRET = "stand-in-secret"
LIFE_SECONDS = 1800


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    fields: dict[str, Any]
    token: str | None


# The least SDK that is one: no window is seen, `StandInGateway.window` says what happened in it.
SDK = """
(function () {
  var core = new URL(document.currentScript.src).origin;
  window.IMP = {
    init: function (code) { this.code = code; },
    request_pay: function (param, callback) {
      fetch(core + "/stand-in/window", { method: "POST", body: JSON.stringify(param) })
        .then(function (answer) { return answer.json(); })
        .then(callback);
    },
  };
})();
"""

# A fault is done instead of the answer; it may write to the socket, or just close it.
Fault = Callable[[BaseHTTPRequestHandler], None]


def payment_of(imp_uid: str, merchant_uid: str, amount: float, **changes: Any) -> dict[str, Any]:
    """A paid card payment in V1's shape, with the keys a merchant looks at."""
    return {
        "amount": amount,
        "apply_num": "45918441",
        "buyer_name": "홍길동",
        "buyer_tel": "010-4242-4242",
        "cancel_amount": 0,
        "cancel_history": [],
        "cancel_reason": None,
        "cancelled_at": 0,
        "card_code": "366",
        "card_name": "신한카드",
        "card_quota": 0,
        "channel": "pc",
        "currency": "KRW",
        "fail_reason": None,
        "failed_at": 0,
        "imp_uid": imp_uid,
        "merchant_uid": merchant_uid,
        "name": "노르웨이 회전 의자",
        "paid_at": 1700000100,
        "pay_method": "card",
        "pg_id": "T0000",
        "pg_provider": "kcp",
        "pg_tid": "20638689381545",
        "sandbox": True,
        "started_at": 1700000000,
        "status": "paid",
        "vbank_date": 0,
        "vbank_holder": None,
        "vbank_issued_at": 0,
        "vbank_name": None,
        "vbank_num": None,
    } | changes


class StandInGateway:
    """`with StandInGateway() as gateway: Client(..., base_url=gateway.url)`"""

    def __init__(self) -> None:
        self.payments: dict[str, dict[str, Any]] = {}
        self.prepared: dict[str, dict[str, Any]] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.tokens: set[str] = set()
        self.token_life_seconds = LIFE_SECONDS
        self.clock_skew_seconds = 0
        # What the stand-in's payment window does next: paid, failed, ready, closed or tampered.
        self.window = "paid"
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        # A short poll keeps the end of each test quick.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no more connections; those that are open stay. May be called again."""
        self._server.shutdown()
        self._server.server_close()

    # What a test arranges.

    def pay(self, merchant_uid: str, amount: float, **changes: Any) -> str:
        """A payment that was approved. Returns its imp_uid."""
        with self._lock:
            imp_uid = f"imp_{len(self.payments) + 1:012d}"
            self.payments[imp_uid] = payment_of(imp_uid, merchant_uid, amount, **changes)
            return imp_uid

    def fail(self, merchant_uid: str, amount: float, reason: str = "한도초과(3011)") -> str:
        """A payment that the PG refused."""
        return self.pay(
            merchant_uid,
            amount,
            status="failed",
            fail_reason=reason,
            paid_at=0,
            failed_at=1700000100,
        )

    def issue_account(self, merchant_uid: str, amount: float, **changes: Any) -> str:
        """A virtual account that waits for its deposit."""
        account = {
            "status": "ready",
            "pay_method": "vbank",
            "paid_at": 0,
            "vbank_code": "088",
            "vbank_name": "신한은행",
            "vbank_num": "56211105948400",
            "vbank_holder": "나루상점",
            "vbank_date": 1893423599,
            "vbank_issued_at": 1700000050,
        }
        return self.pay(merchant_uid, amount, **(account | changes))

    def deposit(self, imp_uid: str) -> None:
        """The buyer pays into the account."""
        self.payments[imp_uid] |= {"status": "paid", "paid_at": 1700000200}

    def forget_tokens(self) -> None:
        """Every token handed out so far is refused from now on."""
        self.tokens.clear()

    def count(self, method: str, path: str) -> int:
        """How often this was asked."""
        return Counter((one.method, one.path) for one in self.asked)[method, path]

    # What the wire sees.

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def answer(self) -> None:
                gateway._answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer  # noqa: N815

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        parts = urlsplit(handler.path)
        asked = Asked(
            handler.command,
            parts.path,
            parse_qs(parts.query),
            json.loads(body) if body else {},
            handler.headers.get("Authorization"),
        )
        with self._lock:
            self.asked.append(asked)
            fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            fault(handler)
            return
        if asked.path.startswith("/js/"):
            send_raw(handler, 200, SDK.encode(), "text/javascript")
            return
        if asked.path == "/stand-in/window":
            with self._lock:
                result = self._open_window(asked.fields)
            send(handler, 200, result)
            return
        with self._lock:
            status, code, message, response = self._decide(asked)
        send(handler, status, {"code": code, "message": message, "response": response})

    def _decide(self, asked: Asked) -> tuple[int, int, str | None, Any]:
        path = [unquote(part) for part in asked.path.strip("/").split("/")]
        if (asked.method, *path) == ("POST", "users", "getToken"):
            return self._sign_in(asked.fields)
        if asked.token not in self.tokens:
            return 401, -1, "Unauthorized", None
        match (asked.method, *path):
            case ("GET", "payments"):
                wanted = asked.query.get("imp_uid[]", []), asked.query.get("merchant_uid[]", [])
                found = [
                    payment
                    for payment in self.payments.values()
                    if payment["imp_uid"] in wanted[0] or payment["merchant_uid"] in wanted[1]
                ]
                whole = len(found) == len(wanted[0]) + len(wanted[1])
                return (200 if whole else 207, 0, None, found) if found else _missing()
            case ("GET", "payments", "find", merchant_uid, *status):
                found = self._of_order(merchant_uid, status)
                return (200, 0, None, found[-1]) if found else _missing()
            case ("GET", "payments", "findAll", merchant_uid, *status):
                found = self._of_order(merchant_uid, status)
                return (200, 0, None, _page(found, asked)) if found else _missing()
            case ("GET", "payments", "status", status):
                if status not in ("all", "ready", "paid", "cancelled", "failed"):
                    return 400, -1, "지원되지 않는 상태값입니다.", None
                found = [p for p in self.payments.values() if status in ("all", p["status"])]
                return 200, 0, None, _page(found, asked)
            case ("GET", "payments", "prepare", merchant_uid):
                if merchant_uid not in self.prepared:
                    return 404, -1, "사전등록된 결제정보가 존재하지 않습니다.", None
                return 200, 0, None, self.prepared[merchant_uid]
            case ("POST" | "PUT", "payments", "prepare"):
                return self._prepare(asked)
            case ("POST", "payments", "cancel"):
                return self._cancel(asked.fields)
            case ("GET", "payments", imp_uid, "balance"):
                if imp_uid not in self.payments:
                    return _missing()
                share = {"tax_free": 0, "supply": 913, "vat": 91, "service": 0}
                return 200, 0, None, {"amount": 1004, "primary": share, "histories": []}
            case ("GET", "payments", imp_uid):
                found_one = self.payments.get(imp_uid)
                return (200, 0, None, found_one) if found_one else _missing()
            case ("POST", "vbanks"):
                imp_uid = self.issue_account(
                    asked.fields["merchant_uid"],
                    asked.fields["amount"],
                    vbank_code=asked.fields["vbank_code"],
                    vbank_date=asked.fields["vbank_due"],
                )
                return 200, 0, None, self.payments[imp_uid]
            case ("DELETE", "vbanks", imp_uid):
                if imp_uid not in self.payments:
                    return _missing()
                self.payments[imp_uid] |= {"status": "failed", "fail_reason": "계좌 해지"}
                return 200, 0, None, self.payments[imp_uid]
            case ("GET", "users", "pg"):
                channel = {"pg_provider": "kcp", "pg_id": "T0000", "type": "payment"}
                return 200, 0, None, [channel | {"sandbox": True, "channel_key": "channel-key-1"}]
        return 404, -1, "알 수 없는 요청입니다.", None

    def _open_window(self, param: dict[str, Any]) -> dict[str, Any]:
        """What the buyer does in the window, at once; the answer is what the callback is given."""
        merchant_uid, amount = param["merchant_uid"], param["amount"]
        changes = {"currency": param.get("currency", "KRW"), "pay_method": param["pay_method"]}
        said = {"merchant_uid": merchant_uid, "success": self.window != "failed"}
        if self.window == "closed":
            error = {"error_code": "F400", "error_msg": "결제창을 열 수 없습니다."}
            return said | error | {"imp_uid": None, "success": False}
        if self.window == "failed":
            reason = "한도초과(3011)"
            error = {"error_code": "3011", "error_msg": reason}
            return said | error | {"imp_uid": self.fail(merchant_uid, amount, reason)}
        if self.window == "ready" or param["pay_method"] == "vbank":
            return said | {"imp_uid": self.issue_account(merchant_uid, amount)}
        if self.window == "tampered":
            amount = 100
        return said | {"imp_uid": self.pay(merchant_uid, amount, **changes)}

    def _sign_in(self, fields: dict[str, Any]) -> tuple[int, int, str | None, Any]:
        if (fields.get("imp_key"), fields.get("imp_secret")) != (API_KEY, API_SECRET):
            return 401, -1, "인증에 실패하였습니다. API키와 secret을 확인하세요.", None
        token = f"token-{len(self.asked)}"
        self.tokens.add(token)
        now = int(time.time()) + self.clock_skew_seconds
        life = self.token_life_seconds
        return 200, 0, None, {"access_token": token, "now": now, "expired_at": now + life}

    def _of_order(self, merchant_uid: str, status: list[str]) -> list[dict[str, Any]]:
        return [
            payment
            for payment in self.payments.values()
            if payment["merchant_uid"] == merchant_uid
            and (not status or payment["status"] == status[0])
        ]

    def _prepare(self, asked: Asked) -> tuple[int, int, str | None, Any]:
        merchant_uid = asked.fields["merchant_uid"]
        if asked.method == "POST" and merchant_uid in self.prepared:
            return (
                200,
                1,
                "결제정보 사전등록에 실패하였습니다(이미 등록된 merchant_uid입니다).",
                None,
            )
        if asked.method == "PUT" and merchant_uid not in self.prepared:
            return 404, -1, "사전등록된 결제정보가 존재하지 않습니다.", None
        self.prepared[merchant_uid] = {"currency": None} | asked.fields
        return 200, 0, None, self.prepared[merchant_uid]

    def _cancel(self, fields: dict[str, Any]) -> tuple[int, int, str | None, Any]:
        found = [
            payment
            for payment in self.payments.values()
            if payment["imp_uid"] == fields.get("imp_uid")
            or ("imp_uid" not in fields and payment["merchant_uid"] == fields.get("merchant_uid"))
        ]
        if not found:
            return 200, 1, "취소할 결제건이 존재하지 않습니다.", None
        payment = found[0]
        left = payment["amount"] - payment["cancel_amount"]
        if left == 0:
            return 200, 1, "이미 전액취소된 주문입니다.", None
        if fields.get("checksum") not in (None, left):
            return 200, 1, "취소가능금액이 다릅니다.", None
        amount = fields.get("amount") or left
        entry = {"amount": amount, "cancelled_at": 1700000300, "reason": fields.get("reason")}
        payment |= {
            "status": "cancelled",
            "cancel_amount": payment["cancel_amount"] + amount,
            "cancelled_at": 1700000300,
            "cancel_history": [*payment["cancel_history"], entry],
        }
        return 200, 0, None, payment


def _missing() -> tuple[int, int, str | None, Any]:
    return 404, -1, "존재하지 않는 결제정보입니다.", None


def _page(found: list[dict[str, Any]], asked: Asked) -> dict[str, Any]:
    page = int(asked.query.get("page", ["1"])[0])
    limit = int(asked.query.get("limit", ["20"])[0])
    return {
        "total": len(found),
        "previous": page - 1,
        "next": page + 1 if page * limit < len(found) else 0,
        "list": found[(page - 1) * limit : page * limit],
    }


def send(handler: BaseHTTPRequestHandler, status: int, document: Any) -> None:
    """Answer with JSON, as PHP spells it: escaped, keys in alphabetical order."""
    send_raw(handler, status, json.dumps(document, sort_keys=True).encode())


def send_raw(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    content_type: str = "application/json",
) -> None:
    """Answer with any bytes. Pages of any origin may read it, as the stand-in's SDK must."""
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Access-Control-Allow-Origin", "*")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def answers(status: int, document: Any) -> Fault:
    """Instead of the truth, this JSON."""
    return lambda handler: send(handler, status, document)


def answers_raw(status: int, body: bytes) -> Fault:
    """Instead of the truth, these bytes."""
    return lambda handler: send_raw(handler, status, body)


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """The request was read; the line is cut without a word."""
    handler.close_connection = True


def stays_silent(seconds: float) -> Fault:
    """The request was read; nothing is said for so long, then the line is cut."""

    def stay(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return stay


def drips(seconds_between: float) -> Fault:
    """One byte at a time: a slow answer, each byte of it in time."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            for _ in range(1000):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(seconds_between)
        except OSError:
            return

    return drip
