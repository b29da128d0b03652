"""A buyer without a browser: presses 결제하기, proves who they are at the PG, comes back. True HTTP only.

What the SDK and the two windows say over the wire (docs/reference/window-protocol.md), and nothing
that a browser could not do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

Json = dict[str, Any]

TIMEOUT_SECONDS = 40.0  # An approval is answered within 20 s, or said to be under way.


class Refused(Exception):
    """The gateway opened no window. `result` is the callback's object; the text is its error_msg."""

    def __init__(self, result: Json) -> None:
        super().__init__(str(result.get("error_msg")))
        self.result = result


class Stuck(Exception):
    """The buyer cannot go on as the test wants; the text says what stands before them."""


@dataclass(frozen=True)
class Window:
    """An open payment window, the buyer in front of it."""

    imp_uid: str
    merchant_uid: str
    mode: str
    url: str = field(repr=False)
    token: str = field(repr=False)
    origin: str = field(repr=False)


@dataclass(frozen=True)
class Result:
    """What the shop's page hears. `state` is `final`, or `checking` while nobody knows yet.

    `fields` is the whole object of the callback; `redirect_url` is where the browser goes instead
    when the window was opened by redirect.
    """

    state: str
    imp_uid: str
    merchant_uid: str
    success: bool | None
    error_msg: str | None
    redirect_url: str | None
    fields: Json = field(repr=False)


class Buyer:
    """Somebody at a page of the shop."""

    def __init__(self, gateway_url: str, sandbox_url: str) -> None:
        self._gateway, self._sandbox = gateway_url, sandbox_url
        self._http = urllib3.PoolManager(maxsize=4, retries=False)

    def close(self) -> None:
        """Let the lines go."""
        self._http.clear()

    def press_pay(
        self,
        user_code: str,
        param: Mapping[str, Any],
        *,
        origin: str,
        surface: str,
        generation: str,
    ) -> Window:
        """What `IMP.request_pay` does. Raises Refused."""
        body = {
            "user_code": user_code,
            "tier_code": None,
            "param": dict(param),
            "page_url": f"{origin}/order",
            "surface": surface,
            "mode": None,
            "generation": generation,
            "request_id": "req_1",
        }
        status, answer = self._json(
            "POST",
            f"{self._gateway}/checkout/payments",
            _dumps(body),
            {"Origin": origin, "Content-Type": "text/plain;charset=UTF-8"},
        )
        if status != 200:
            raise Refused(answer["error"])
        return Window(
            answer["imp_uid"],
            answer["merchant_uid"],
            answer["mode"],
            answer["window_url"],
            answer["token"],
            origin,
        )

    def enter(self, window: Window) -> str | None:
        """Go on to the PG: the address of its window; None when the gateway leads to the end."""
        self._ask("GET", window.url)
        answer = self._ask("GET", window.url.replace("/checkout/window/", "/checkout/enter/"))
        where = answer.headers.get("Location", "")
        if answer.status == 303 and where.startswith(f"{self._sandbox}/window/"):
            return where
        if answer.status == 303:
            return None
        raise Stuck(f"The window of {window.imp_uid} does not open: {_title(answer.data)}.")

    def look(self, pg_window: str) -> Json:
        """What the PG's window shows."""
        _, context = self._json("GET", f"{pg_window}/context")
        return context

    def choose_scenario(self, pg_window: str, name: str) -> None:
        """Open the window's drawer 개발자 도구 and choose. Raises Stuck."""
        self._press(pg_window, "/scenario", {"scenario": name})

    def authenticate(self, pg_window: str, context: Json, card: str | None) -> Json:
        """Prove who one is, by what the window offers; the PG's answer.

        `card` is the id of a test card that has a Safe Click password (docs/reference/sandbox.md).
        """
        kind = context["order"]["method_kind"]
        match kind:
            case "card":
                return self._post(pg_window, "/mpi", _card(context, card))
            case "trans":
                return self._post(pg_window, "/trans", context["demo_account"])
            case "phone":
                number = {"carrier": context["carriers"][0]["code"], "number": "01042424242"}
                self._press(pg_window, "/phone/code", number)
                return self._post(pg_window, "/phone/answer", {"code": self._sms_code()})
            case "vbank":
                choice = {"bank_code": context["banks"][0]["code"], "holder": "홍길동"}
                return self._post(pg_window, "/vbank", choice)
            case "wallet":
                return self._post(pg_window, "/wallet", {})
        raise Stuck(f"This buyer does not know how to pay by {kind}.")

    def give_up(self, pg_window: str) -> Json:
        """Leave the PG's window after it refused: the form that brings the browser back."""
        form: Json = self._press(pg_window, "/finish", {})["return_form"]
        return form

    def come_back(self, form: Json) -> None:
        """The browser carries the PG's form to the gateway, and follows to the last page."""
        answer = self._ask(
            "POST",
            form["action"],
            urlencode(form["fields"]).encode(),
            {"Content-Type": "application/x-www-form-urlencoded", "Origin": _origin(self._sandbox)},
        )
        if answer.status != 303:
            raise Stuck(f"The gateway does not take the PG's word: {_title(answer.data)}.")
        self._ask("GET", answer.headers["Location"])

    def close_window(self, window: Window) -> None:
        """Close the layer or the popup."""
        body = {"token": window.token, "reason": "closed"}
        self._json("POST", self._of(window, "abandon"), _dumps(body), {"Origin": window.origin})

    def hear(self, window: Window) -> Result:
        """What the shop's page hears now."""
        _, answer = self._json("GET", f"{self._of(window, 'result')}?token={window.token}")
        fields: Json = answer["result"] or {}
        # Newer PGs' callbacks say only what went wrong.
        success = fields.get("success", "error_code" not in fields) if fields else None
        return Result(
            answer["state"],
            window.imp_uid,
            window.merchant_uid,
            success,
            fields.get("error_msg"),
            answer["redirect_url"],
            fields,
        )

    def deposit(self, number: str, amount: int, depositor: str) -> None:
        """Pay into a virtual account, at any bank: the sandbox's deposit desk. Raises Stuck."""
        body = {"number": number, "amount": amount, "depositor": depositor}
        self._press(self._sandbox, "/desk/deposits", body)

    def scenarios(self) -> list[Json]:
        """The sandbox's table of what can go wrong (docs/reference/sandbox.md)."""
        _, answer = self._json("GET", f"{self._sandbox}/v1/magic")
        rows: list[Json] = answer["magic"]
        return rows

    def _sms_code(self) -> str:
        _, answer = self._json("GET", f"{self._sandbox}/inbox/messages")
        found = re.search(r"\b\d{6}\b", answer["messages"][0]["text"])
        if found is None:
            raise Stuck("The newest message in the sandbox's inbox holds no code.")
        return found[0]

    def _of(self, window: Window, what: str) -> str:
        return f"{self._gateway}/checkout/payments/{window.imp_uid}/{what}"

    def _press(self, page: str, path: str, body: Json) -> Json:
        answer = self._post(page, path, body)
        if not answer.get("ok"):
            raise Stuck(f"The PG says {answer.get('code')}: {answer.get('message')}")
        return answer

    def _post(self, page: str, path: str, body: Json) -> Json:
        headers = {"Origin": _origin(page), "Content-Type": "application/json"}
        _, answer = self._json("POST", page + path, _dumps(body), headers)
        return answer

    def _json(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Json]:
        answer = self._ask(method, url, body, headers)
        try:
            read: Json = json.loads(answer.data)
        except ValueError:
            raise Stuck(
                f"{method} {urlsplit(url).path}: HTTP {answer.status}, and no JSON."
            ) from None
        return answer.status, read

    def _ask(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(
                method, url, body=body, headers=headers, redirect=False, timeout=TIMEOUT_SECONDS
            )
        except urllib3.exceptions.HTTPError as error:
            where = urlsplit(url)
            raise Stuck(
                f"{where.netloc}{where.path} does not answer: {type(error).__name__}."
            ) from error


def _card(context: Json, card: str | None) -> Json:
    cards = context["demo_cards"]["mpi"]
    offered = {each["code"] for each in context["card_companies"] if "mpi" in each["auth"]}
    for each in cards:
        if each["id"] == card or (
            card is None and not each["note_en"] and each["issuer_code"] in offered
        ):
            return {
                "card_number": each["number"],
                "expiry": each["expiry"],
                "cvc": each["cvc"],
                "password": each["password"],
                "installment_months": 0,
            }
    known = ", ".join(each["id"] for each in cards)
    raise Stuck(f"This window takes no card {card!r}; those with a password are {known}.")


def _dumps(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False, default=_number).encode()


def _number(value: object) -> int | float:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    raise TypeError(f"{type(value).__name__} is nothing that a page can say")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _title(page: bytes) -> str:
    found = re.search(rb"<title>(.*?)</title>", page, re.DOTALL)
    return found[1].decode("utf-8", "replace").strip() if found else "a page without a title"
