"""The shop as one ASGI application: `create_app(settings)`.

Handlers read what came, hand it to `Orders` or to the kit in a thread, and show what is stored.
Nothing here decides whether an order is paid: that is the kit, with finalise.py.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from naru.kit import BadWebhook, Client, Forged, KitError, Report, Unknown, read_report
from naru.kit.receive import Answer, Incoming, Receiver
from naru.shop import goods
from naru.shop.finalise import KST, due_text, open_till
from naru.shop.orders import Buyer, Orders, StoredOrder
from naru.shop.sms import Inbox, Sender
from naru.shop.words import Language, read_language, word

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 10.0
LINGER_BYTES_MAX = 16_000_000
PERMISSIONS = b"camera=(), display-capture=(), geolocation=(), microphone=(), usb=()"
ACCOUNT_LIFE_DAYS = 3
VISITOR_COOKIE = "naru_shop_visitor"
LANGUAGE_COOKIE = "naru_shop_language"
COOKIE_SECONDS = 180 * 24 * 3600
VISITOR = re.compile(r"[A-Za-z0-9_-]{20,64}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
TEL = re.compile(r"[0-9+][0-9 -]{7,15}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
SAMPLES = ("sample", "react", "vue")


@dataclass(frozen=True)
class Settings:
    """What the shop is told when it starts.

    `sdk_url` is the address of the SDK file; None takes the gateway's own. `allow_sandbox` makes
    play money count: for demonstrations and tests, never for a real shop. `webhook_secret` is the
    gateway's `whsec_…`; with one, an unsigned webhook is refused.
    """

    database: Path
    gateway_url: str
    api_key: str
    api_secret: str = field(repr=False)
    user_code: str
    sdk_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    allow_sandbox: bool = False
    gateway_timeout_seconds: float = 8.0


def create_app(settings: Settings, sender: Sender | None = None) -> Starlette:
    """The shop, ready to be served. Raises ValueError for settings that can never work."""
    shop = Shop(settings, sender or Inbox())
    get, post = ["GET"], ["POST"]
    app = Starlette(
        routes=[
            Route("/", shop.home, methods=get),
            Route("/products/{key}", shop.product, methods=get),
            Route("/order", shop.order_form, methods=get),
            Route("/orders", shop.place, methods=post),
            Route("/orders", shop.my_orders, methods=get),
            Route("/orders/{merchant_uid}", shop.order, methods=get),
            Route("/orders/{merchant_uid}/state", shop.order_state, methods=get),
            Route("/orders/{merchant_uid}/check", shop.check, methods=post),
            Route("/payments/complete", shop.complete, methods=post),
            Route("/payments/complete", shop.landing, methods=get),
            Route("/payments/webhook", shop.webhook, methods=post),
            Route("/inbox", shop.inbox, methods=get),
            Route("/samples", shop.samples, methods=get),
            Route("/samples/{name}.html", shop.sample, methods=get),
            Route("/favicon.ico", shop.mark, methods=get),
            Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        ],
        middleware=[Middleware(SafeHeaders, script_origin=_origin(shop.sdk_url))],
        exception_handlers={
            HTTPException: shop.refused,
            sqlite3.Error: shop.database_down,
        },
    )
    # The redirect would be built from the request's Host, which is the caller's word.
    app.router.redirect_slashes = False
    return app


class Shop:
    """The handlers, and what they share."""

    def __init__(self, settings: Settings, sender: Sender) -> None:
        self.settings = settings
        self.client = Client(
            settings.api_key,
            settings.api_secret,
            base_url=settings.gateway_url,
            timeout_seconds=settings.gateway_timeout_seconds,
            connect_timeout_seconds=min(2.0, settings.gateway_timeout_seconds),
        )
        self.sdk_url = settings.sdk_url or (
            settings.gateway_url.rstrip("/") + "/js/iamport.payment-1.2.0.js"
        )
        self.orders = Orders(settings.database)
        self.till = open_till(
            self.client, self.orders, sender, allow_sandbox=settings.allow_sandbox
        )
        self.receiver = Receiver(self.till, secret=settings.webhook_secret)
        self.pages = Environment(
            loader=FileSystemLoader([HERE / "templates", HERE / "samples"]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    # Looking around.

    async def home(self, request: Request) -> Response:
        return self._page(request, "home.html", products=goods.PRODUCTS.values())

    async def product(self, request: Request) -> Response:
        product = goods.PRODUCTS.get(request.path_params["key"])
        if product is None:
            raise HTTPException(404)
        return self._page(request, "product.html", product=product)

    async def order_form(self, request: Request) -> Response:
        product, quantity = _wanted(request.query_params)
        return self._order_form(request, product, quantity, values={}, errors=[])

    async def place(self, request: Request) -> Response:
        """Store the order. Only the goods and their number are the browser's choice; the price
        and the order number are ours."""
        fields = await _form(request)
        product, quantity = _wanted(fields)
        values = {
            key: fields.get(key, "").strip() for key in ("name", "tel", "email", "addr", "postcode")
        }
        errors = _wrong_fields(values)
        if errors:
            return self._order_form(request, product, quantity, values=values, errors=errors)
        visitor = _visitor(request) or secrets.token_urlsafe(24)
        amount = goods.price(product, quantity)
        merchant_uid = await run_in_threadpool(
            partial(
                self.orders.place,
                visitor=visitor,
                product_key=product.key,
                quantity=quantity,
                amount_minor=amount,
                currency=product.currency,
                buyer=Buyer(**values),
            )
        )
        await run_in_threadpool(self._announce, merchant_uid, amount, product.currency)
        response = RedirectResponse(f"/orders/{merchant_uid}", 303)
        _set_cookie(request, response, VISITOR_COOKIE, visitor)
        return response

    def _announce(self, merchant_uid: str, amount: int, currency: str) -> None:
        """Tell the gateway the price beforehand, so that a changed one is refused in the window.

        A second lock only: when the gateway cannot be told, the check after payment still holds.
        """
        try:
            self.client.prepare(merchant_uid, goods.to_wire(amount, currency), currency)
        except KitError as error:
            log.warning("price of %s not announced: %s", merchant_uid, error)

    async def my_orders(self, request: Request) -> Response:
        visitor = _visitor(request)
        orders = await run_in_threadpool(self.orders.of_visitor, visitor) if visitor else []
        return self._page(request, "orders.html", orders=orders, goods=goods)

    async def order(self, request: Request) -> Response:
        order = await self._order_of(request)
        return self._show_order(
            request,
            order,
            checking="checking" in request.query_params and order.status == "placed",
        )

    async def order_state(self, request: Request) -> Response:
        """How it stands: what was paid for it and not given back, and the parcels that left."""
        order = await self._order_of(request)
        parcels = await run_in_threadpool(self.orders.parcels, order.merchant_uid)
        kept = order.amount_minor - order.cancelled_minor if order.status == "paid" else 0
        state = {
            "status": order.status,
            "parcels": parcels,
            "paid_amount": _wire_number(kept, order.currency),
        }
        return JSONResponse(state, headers={"Cache-Control": "no-store"})

    async def check(self, request: Request) -> Response:
        """The buyer asks us to look: for a browser that never came back."""
        order = await self._order_of(request)
        address = f"/orders/{order.merchant_uid}"
        verdict = await run_in_threadpool(self.till.look_again, order.merchant_uid)
        if isinstance(verdict, Forged):
            return self._message(request, "forged", 400, back=address)
        waits = isinstance(verdict, Unknown)
        return RedirectResponse(f"{address}?checking=1" if waits else address, 303)

    # The three ways in which a payment is reported. All of them end in the kit's one path.

    async def complete(self, request: Request) -> Response:
        """The browser's report, as the requirement's samples send it."""
        return await self._receive(request, self.receiver.complete)

    async def webhook(self, request: Request) -> Response:
        """The gateway's tip. Anything but 200 asks it to come again."""
        return await self._receive(request, self.receiver.webhook)

    async def _receive(self, request: Request, door: Callable[[Incoming], Answer]) -> Response:
        incoming = Incoming(request.method, request.headers, await _body(request))
        answer = await run_in_threadpool(door, incoming)
        return Response(answer.body, answer.status, dict(answer.headers))

    async def landing(self, request: Request) -> Response:
        """Where a redirect brings the buyer: `?imp_uid&merchant_uid&imp_success[&error_msg]`."""
        report = _read_landing(request.query_params)
        order = None
        if report is not None and report.merchant_uid is not None:
            order = await run_in_threadpool(self.orders.find, report.merchant_uid)
        if report is None or order is None:
            # Without an order of ours nothing is shown, but a payment is never ignored.
            if report is not None and report.imp_uid:
                await run_in_threadpool(self.till.finalise, report.imp_uid, report.merchant_uid)
            return self._message(request, "bad_request", 400)
        address = f"/orders/{order.merchant_uid}"
        if not report.imp_uid:
            # The window never opened, or only told us the order: what it says is not a fact, and whoever
            # made this link may have written it. So the shop says in its own words that it did not work.
            # F1002: paid, or being paid, in another window. Nobody is to try again before that is known.
            if (
                request.query_params.get("error_msg")
                and request.query_params.get("error_code") != "F1002"
            ):
                return self._show_order(request, order, trouble=True)
            return RedirectResponse(f"{address}?checking=1", 303)
        verdict = await run_in_threadpool(self.till.finalise, report.imp_uid, report.merchant_uid)
        if isinstance(verdict, Unknown):
            return RedirectResponse(f"{address}?checking=1", 303)
        if isinstance(verdict, Forged):
            return self._message(request, "forged", 400, back=address)
        return RedirectResponse(address, 303)

    # Around the shop.

    async def inbox(self, request: Request) -> Response:
        """Everybody's messages, so it is a page of the demonstration only."""
        if not self.settings.allow_sandbox:
            raise HTTPException(404)
        messages = await run_in_threadpool(self.orders.messages)
        return self._page(request, "inbox.html", messages=messages)

    async def samples(self, request: Request) -> Response:
        return self._page(request, "samples.html", samples=SAMPLES)

    async def sample(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in SAMPLES:
            raise HTTPException(404)
        text = self.pages.get_template(f"{name}.html").render(
            sdk_url=self.sdk_url, user_code=self.settings.user_code
        )
        return HTMLResponse(text)

    async def mark(self, request: Request) -> Response:
        """Browsers ask for this address by themselves where a page names no icon, as the samples."""
        return FileResponse(HERE / "static" / "mark.svg")

    async def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.startswith("/payments/"):
            return JSONResponse(
                {"status": "error", "message": error.detail}, error.status_code, error.headers
            )
        key = "not_found" if error.status_code == 404 else "bad_request"
        return self._message(request, key, error.status_code, headers=error.headers)

    async def database_down(self, request: Request, error: Exception) -> Response:
        log.error("the shop's database refuses: %s", error)
        if request.url.path.startswith("/payments/"):
            return JSONResponse({"status": "error", "message": word("busy", "ko")}, 503)
        return self._message(request, "busy", 503)

    # Showing.

    async def _order_of(self, request: Request) -> StoredOrder:
        order = await run_in_threadpool(self.orders.find, request.path_params["merchant_uid"])
        if order is None:
            raise HTTPException(404)
        return order

    def _order_form(
        self,
        request: Request,
        product: goods.Product,
        quantity: int,
        *,
        values: Mapping[str, str],
        errors: list[str],
    ) -> Response:
        return self._page(
            request,
            "order_form.html",
            422 if errors else 200,
            product=product,
            quantity=quantity,
            amount_minor=goods.price(product, quantity),
            values=values,
            errors=errors,
        )

    def _show_order(
        self,
        request: Request,
        order: StoredOrder,
        *,
        checking: bool = False,
        trouble: bool = False,
    ) -> Response:
        language = _language(request)
        mine = _visitor(request) == order.visitor
        return self._page(
            request,
            "order.html",
            order=order,
            product=goods.PRODUCTS.get(order.product_key),
            methods=goods.methods_for(order.currency),
            mine=mine,
            checking=checking,
            trouble=trouble,
            due=_due(order.account_due, language),
            paid_at=_moment(order.paid_at),
            window=self._window(order, language, mine),
            sdk_url=self.sdk_url,
        )

    def _window(self, order: StoredOrder, language: Language, mine: bool) -> dict[str, Any]:
        """What the page's script needs to open the payment window. Only the buyer's own browser is
        told who the buyer is."""
        due = datetime.now(KST) + timedelta(days=ACCOUNT_LIFE_DAYS)
        param = {
            "merchant_uid": order.merchant_uid,
            "name": _order_name(order, language),
            "amount": _wire_number(order.amount_minor, order.currency),
            "currency": order.currency,
            "language": language,
        }
        if mine:
            param |= {
                "buyer_name": order.buyer_name,
                "buyer_tel": order.buyer_tel,
                "buyer_email": order.buyer_email,
                "buyer_addr": order.buyer_addr,
                "buyer_postcode": order.buyer_postcode,
            }
        own: dict[str, dict[str, Any]] = {
            "phone": {"digital": False},
            "vbank": {"vbank_due": f"{due:%Y%m%d}"},
        }
        return {
            "user_code": self.settings.user_code,
            "param": param,
            "methods": {
                method.key: {"pg": method.pg, "pay_method": method.pay_method}
                | own.get(method.key, {})
                for method in goods.methods_for(order.currency)
            },
            "words": {
                key: word(key, language)
                for key in ("pay", "paying", "confirming", "sdk_missing", "try_failed", "copied")
            },
        }

    def _message(
        self,
        request: Request,
        key: str,
        status: int,
        *,
        back: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        response = self._page(request, "message.html", status, key=key, back=back)
        response.headers.update(headers or {})
        return response

    def _page(
        self, request: Request, template: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        language = _language(request)
        text = self.pages.get_template(template).render(
            t=partial(word, language=language),
            name_of=lambda thing: thing.name[0 if language == "ko" else 1],
            about_of=lambda thing: thing.about[0 if language == "ko" else 1],
            shown=partial(goods.shown, language=language),
            moment=_moment,
            language=language,
            other_language_url=_with_language(request, "en" if language == "ko" else "ko"),
            demo=self.settings.allow_sandbox,
            path=request.url.path,
            **values,
        )
        response = HTMLResponse(text, status, headers={"Cache-Control": "no-store"})
        chosen = read_language(request.query_params.get("lang"))
        if chosen is not None:
            _set_cookie(request, response, LANGUAGE_COOKIE, chosen)
        return response


class SafeHeaders:
    """Headers that every answer carries. The samples keep their inline scripts, as written."""

    def __init__(self, app: ASGIApp, script_origin: str) -> None:
        self._app = app
        # Which PG's window comes into the layer is the gateway's choice, so any frame may.
        policy = (
            f"default-src 'none'; script-src 'self' {script_origin}; style-src 'self';"
            f" img-src 'self'; connect-src 'self' {script_origin}; frame-src http: https:;"
            " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        self._policy = policy.encode()
        self._sample_policy = b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        own = not path.startswith("/samples/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                extra = [
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"strict-origin-when-cross-origin"),
                    (b"cross-origin-opener-policy", b"same-origin-allow-popups"),
                    (b"cross-origin-resource-policy", b"same-origin"),
                    (b"permissions-policy", PERMISSIONS),
                    (b"content-security-policy", self._policy if own else self._sample_policy),
                ]
                if all(name != b"cache-control" for name, _ in given):
                    caching = b"no-cache" if path.startswith("/static/") else b"no-store"
                    extra.append((b"cache-control", caching))
                if scope.get("scheme") == "https":
                    extra.append((b"strict-transport-security", b"max-age=31536000"))
                message["headers"] = [*given, *extra]
            await send(message)

        await self._app(scope, receive, send_with_headers)


# Reading what came.


async def _body(request: Request) -> bytes:
    """The body; HTTP 413 when it is too long to be honest, 408 when it never ends.

    Too long a body is read on, within bounds, so that its sender reads why it was refused.
    """
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= BODY_BYTES_MAX:
                    body += chunk
                elif size > LINGER_BYTES_MAX:
                    break
    except TimeoutError:
        raise HTTPException(
            408, "본문이 제때 오지 않았습니다.", headers={"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise HTTPException(400, "본문이 도중에 끊겼습니다.") from None
    if size > BODY_BYTES_MAX:
        raise HTTPException(413, "본문이 너무 깁니다.")
    return bytes(body)


async def _form(request: Request) -> dict[str, str]:
    try:
        text = (await _body(request)).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise HTTPException(400, "읽을 수 없는 양식입니다.") from None
    return dict(pairs)


def _wire_number(minor: int, currency: str) -> int | float:
    """Money as a page's script has it: KRW 1004 is 1004, USD 1250 is 12.5."""
    amount = goods.to_wire(minor, currency)
    return int(amount) if currency == "KRW" else float(amount)


def _wanted(fields: Mapping[str, str]) -> tuple[goods.Product, int]:
    product = goods.PRODUCTS.get(fields.get("product", ""))
    if product is None:
        raise HTTPException(404)
    quantity = fields.get("quantity", "1")
    if not re.fullmatch(r"[0-9]{1,3}", quantity) or not 1 <= int(quantity) <= goods.QUANTITY_MAX:
        raise HTTPException(400, f"수량은 1에서 {goods.QUANTITY_MAX}까지입니다.")
    return product, int(quantity)


def _wrong_fields(values: Mapping[str, str]) -> list[str]:
    """The names of the fields that cannot stay as they are, in the order of the page."""
    fits = {
        "name": 1 <= len(values["name"]) <= 16,
        "tel": TEL.fullmatch(values["tel"]) is not None,
        "email": len(values["email"]) <= 64 and EMAIL.fullmatch(values["email"]) is not None,
        "postcode": len(values["postcode"]) <= 8,
        "addr": 1 <= len(values["addr"]) <= 128,
    }
    return [key for key, good in fits.items() if not good or CONTROL.search(values[key])]


def _read_landing(query: Mapping[str, str]) -> Report | None:
    """What a redirect says. An empty imp_uid is normal: the window may never have opened."""
    said = {key: query.get(key, "") for key in ("imp_uid", "merchant_uid")}
    if said["imp_uid"] in ("", "null", "undefined"):
        return Report("", said["merchant_uid"]) if said["merchant_uid"] else None
    try:
        return read_report(urlencode(said).encode())
    except (BadWebhook, UnicodeEncodeError):
        return None


def _visitor(request: Request) -> str | None:
    value = request.cookies.get(VISITOR_COOKIE, "")
    return value if VISITOR.fullmatch(value) else None


def _language(request: Request) -> Language:
    return (
        read_language(request.query_params.get("lang"))
        or read_language(request.cookies.get(LANGUAGE_COOKIE))
        or "ko"
    )


def _with_language(request: Request, language: Language) -> str:
    kept = [pair for pair in request.query_params.multi_items() if pair[0] != "lang"]
    path = request.url.path if request.method == "GET" else "/"
    # Two slashes at the beginning would name another host.
    path = "/" + path.lstrip("/\\")
    return f"{path}?{urlencode([*kept, ('lang', language)], errors='replace')}"


def _set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


# Showing what is stored.


def _order_name(order: StoredOrder, language: Language) -> str:
    product = goods.PRODUCTS.get(order.product_key)
    name = order.product_key if product is None else product.name[0 if language == "ko" else 1]
    return f"{name} × {order.quantity}" if order.quantity > 1 else name


def _moment(seconds: int | None) -> str:
    """`2026-12-01 14:03 KST`, or nothing."""
    if seconds is None:
        return ""
    return f"{datetime.fromtimestamp(seconds, KST):%Y-%m-%d %H:%M} KST"


def _due(seconds: int | None, language: Language) -> str:
    if seconds is None:
        return ""
    due = datetime.fromtimestamp(seconds, UTC)
    return due_text(due) if language == "ko" else f"{due.astimezone(KST):%a %Y-%m-%d %H:%M} KST"
