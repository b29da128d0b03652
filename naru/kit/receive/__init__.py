"""The three ways in which a payment is reported, for any framework: complete, webhook, redirect.

A request becomes an `Incoming`, what to answer is an `Answer`; `Receiver` and `AsyncReceiver` do
what lies between. Mount them with `naru.kit.receive.fastapi`, `.django` or `.flask`, or by hand:

    answer = Receiver(till).webhook(Incoming("POST", headers, raw_body, remote=address))

| answer | complete | webhook | redirect |
|---|---|---|---|
| paid | 200 success | 200 | 303 to the order |
| account opened | 200 vbankIssued | 200 | 303 to the order |
| failed, cancelled | 400 failed, cancelled | 200 | 303 to the order |
| for no order of the shop | 400 forgery | 200: it is somebody's, and needs no second telling | 303 to / |
| unknown to the gateway, or claimed for another order | 400 forgery | 400 | 303 to / |
| another price, a second payment | 400 forgery | 200: it is true, and a finding | 303 to the order |
| nobody can say yet | 202 checking | 503, so that it comes again | 303 to the order |
| not a report | 400, 401, 403, 405, 413, 415 | the same | 303 to / |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

from naru.kit.errors import BadWebhook
from naru.kit.verify import (
    Cancelled,
    Failed,
    Forged,
    Paid,
    Unknown,
    Verdict,
    WaitingForDeposit,
)
from naru.kit.webhook import BODY_BYTES_MAX, Report, read_redirect, read_report, read_webhook

if TYPE_CHECKING:
    from naru.kit.finalise import AsyncFinaliser, Finaliser

S = TypeVar("S")

# Where i'mport's webhooks come from, by its documents.
IMPORT_SOURCES = ("52.78.100.19", "52.78.48.223", "52.78.5.241")
RETRY_SECONDS = 30
# One byte more than a body may have shows that it is too long, and nobody reads further.
READ_BYTES_MAX = BODY_BYTES_MAX + 1
# The words and sentences of i'mport's own sample.
_WORDS = {
    Paid: ("success", "일반 결제 성공"),
    WaitingForDeposit: ("vbankIssued", "가상계좌 발급 성공"),
    Failed: ("failed", "결제에 실패하였습니다."),
    Cancelled: ("cancelled", "취소된 결제"),
    Forged: ("forgery", "위조된 결제시도"),
    Unknown: ("checking", "결제 결과를 확인하고 있습니다."),
}
_STATUS = {Paid: 200, WaitingForDeposit: 200, Unknown: 202}
# Who reports these has invented something; every other word of the gateway is heard and done with.
_INVENTED = {"not_found", "claimed"}
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")

Landing = Callable[[Verdict, str | None], str]


@dataclass(frozen=True)
class Incoming:
    """One request. `body` is raw, `query` without its question mark, `remote` the sender's address
    as the server saw it (a proxy's own header is the framework's to judge)."""

    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    query: str = ""
    remote: str | None = None


@dataclass(frozen=True)
class Answer:
    """What to answer, whole."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class _Desk:
    """What both receivers know: how to read a request, and how to say a verdict."""

    def __init__(
        self, *, secret: str | None, sources: Collection[str] | None, landing: str | Landing
    ) -> None:
        self._secret = secret
        self._sources = None if sources is None else [ip_network(each) for each in sources]
        if isinstance(landing, str):
            page = landing
            if own_path(page.replace("{merchant_uid}", "1")) is None:
                raise ValueError("landing is a path of the shop's own: /orders/{merchant_uid}")
            self._landing: Landing = lambda verdict, merchant_uid: (
                page.replace("{merchant_uid}", quote(merchant_uid, safe=""))
                if merchant_uid
                else "/"
            )
        else:
            self._landing = landing

    def read_complete(self, incoming: Incoming) -> Report:
        _check_method(incoming, "POST")
        _check_whole(incoming)
        return read_report(incoming.body, _header(incoming, "content-type"))

    def read_webhook(self, incoming: Incoming) -> Report:
        _check_method(incoming, "POST")
        if self._sources is not None and not self._is_known(incoming.remote):
            raise BadWebhook("the sender's address is not on the list", 403)
        _check_whole(incoming)
        tip = read_webhook(incoming.body, incoming.headers, secret=self._secret)
        return Report(tip.imp_uid, tip.merchant_uid)

    def read_redirect(self, incoming: Incoming) -> tuple[str | None, str | None]:
        _check_method(incoming, "GET")
        return read_redirect(incoming.query)

    def _is_known(self, remote: str | None) -> bool:
        try:
            address = ip_address((remote or "").partition("%")[0])
        except ValueError:
            return False
        # A server that listens on IPv6 sees an IPv4 caller in the other spelling.
        address = getattr(address, "ipv4_mapped", None) or address
        assert self._sources is not None
        return any(address in network for network in self._sources)

    def of_complete(self, verdict: Verdict) -> Answer:
        return _say(verdict, _STATUS.get(type(verdict), 400))

    def of_webhook(self, verdict: Verdict) -> Answer:
        if isinstance(verdict, Unknown):
            return _say(verdict, 503, {"Retry-After": str(RETRY_SECONDS)})
        invented = isinstance(verdict, Forged) and _INVENTED & set(verdict.reasons)
        return _say(verdict, 400 if invented else 200)

    def of_redirect(self, verdict: Verdict, claimed: str | None) -> Answer:
        merchant_uid = None if verdict.payment is None else verdict.payment.merchant_uid
        if isinstance(verdict, Unknown) and verdict.payment is None:
            merchant_uid = claimed
        elif isinstance(verdict, Forged) and {*_INVENTED, "no_order"} & set(verdict.reasons):
            merchant_uid = None
        return self.land(verdict, merchant_uid)

    def land(self, verdict: Verdict, merchant_uid: str | None) -> Answer:
        """To the shop's own page, and nowhere else whatever the landing says."""
        return _go(own_path(self._landing(verdict, merchant_uid)) or "/")


def own_path(path: str) -> str | None:
    """The path when a browser would stay in this shop with it: no other host, no other scheme."""
    parts = urlsplit(path)
    if parts.scheme or parts.netloc or not path.startswith("/") or path.startswith("//"):
        return None
    return None if _CONTROL.search(path) or not path.isascii() else path


def refused(error: BadWebhook) -> Answer:
    """The answer to what is no report."""
    headers = {"Allow": "POST"} if error.http_status == 405 else {}
    return _json(error.http_status, {"status": "error", "message": str(error)}, headers)


class Receiver(Generic[S]):
    """Answers for a `Finaliser`.

    `secret` is the endpoint's `whsec_…` of a naru gateway (i'mport signs nothing: leave it out);
    with one, an unsigned webhook is refused. `sources` are the addresses or networks that webhooks
    may come from (`IMPORT_SOURCES`), None for any. `landing` is where a redirect brings the buyer:
    a path with `{merchant_uid}`, or a function of the verdict and the order's number (None when it
    is no order of the shop); a path that would leave the shop is answered with "/".
    """

    def __init__(
        self,
        till: Finaliser[S],
        *,
        secret: str | None = None,
        sources: Collection[str] | None = None,
        landing: str | Landing = "/orders/{merchant_uid}",
    ) -> None:
        self._till = till
        self._desk = _Desk(secret=secret, sources=sources, landing=landing)

    def complete(self, incoming: Incoming) -> Answer:
        """What the page posts after the window: JSON for the page. Never raises for bad input."""
        try:
            report = self._desk.read_complete(incoming)
        except BadWebhook as error:
            return refused(error)
        return self._desk.of_complete(self._till.finalise(report.imp_uid, report.merchant_uid))

    def webhook(self, incoming: Incoming) -> Answer:
        """The gateway's tip. Anything but 200 asks for it again."""
        try:
            tip = self._desk.read_webhook(incoming)
        except BadWebhook as error:
            return refused(error)
        return self._desk.of_webhook(self._till.finalise(tip.imp_uid, tip.merchant_uid))

    def redirect(self, incoming: Incoming) -> Answer:
        """Where `m_redirect_url` brings the buyer: on to a page of the shop's own."""
        try:
            imp_uid, claimed = self._desk.read_redirect(incoming)
        except BadWebhook:
            return _go("/")
        if imp_uid is None:
            return self._desk.land(Unknown(None), claimed)
        verdict = self._till.finalise(imp_uid, claimed)
        return self._desk.of_redirect(verdict, claimed)


class AsyncReceiver(Generic[S]):
    """`Receiver` for an `AsyncFinaliser`."""

    def __init__(
        self,
        till: AsyncFinaliser[S],
        *,
        secret: str | None = None,
        sources: Collection[str] | None = None,
        landing: str | Landing = "/orders/{merchant_uid}",
    ) -> None:
        self._till = till
        self._desk = _Desk(secret=secret, sources=sources, landing=landing)

    async def complete(self, incoming: Incoming) -> Answer:
        """As `Receiver.complete`."""
        try:
            report = self._desk.read_complete(incoming)
        except BadWebhook as error:
            return refused(error)
        return self._desk.of_complete(
            await self._till.finalise(report.imp_uid, report.merchant_uid)
        )

    async def webhook(self, incoming: Incoming) -> Answer:
        """As `Receiver.webhook`."""
        try:
            tip = self._desk.read_webhook(incoming)
        except BadWebhook as error:
            return refused(error)
        return self._desk.of_webhook(await self._till.finalise(tip.imp_uid, tip.merchant_uid))

    async def redirect(self, incoming: Incoming) -> Answer:
        """As `Receiver.redirect`."""
        try:
            imp_uid, claimed = self._desk.read_redirect(incoming)
        except BadWebhook:
            return _go("/")
        if imp_uid is None:
            return self._desk.land(Unknown(None), claimed)
        verdict = await self._till.finalise(imp_uid, claimed)
        return self._desk.of_redirect(verdict, claimed)


def _check_method(incoming: Incoming, method: str) -> None:
    if incoming.method.upper() != method:
        raise BadWebhook(f"only {method} is understood here", 405)


def _check_whole(incoming: Incoming) -> None:
    # WSGI gives what came before a caller hung up, and half of a form may look like a whole one.
    told = _header(incoming, "content-length") or ""
    if told.isdecimal() and len(incoming.body) < min(int(told[:9]), READ_BYTES_MAX):
        raise BadWebhook("the body broke off")


def _header(incoming: Incoming, wanted: str) -> str | None:
    return next((value for name, value in incoming.headers.items() if name.lower() == wanted), None)


def _say(verdict: Verdict, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    word, sentence = _WORDS[type(verdict)]
    if isinstance(verdict, Failed) and verdict.reason:
        sentence = verdict.reason
    return _json(status, {"status": word, "message": sentence}, headers or {})


def _json(status: int, document: Any, headers: Mapping[str, str]) -> Answer:
    fixed = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(status, body, fixed | dict(headers))


def _go(path: str) -> Answer:
    # The buyer's imp_uid is in this address: no other site is to be told it.
    fixed = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Answer(303, b"", fixed | {"Location": path})
