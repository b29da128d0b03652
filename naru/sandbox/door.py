"""What every door of the sandbox shares: reading hostile bodies, refusing, and page headers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from naru.sandbox.company import Company, company_of

BODY_BYTES_MAX = 64 * 1024
# A body that is too large is read to its end up to here, so that the sender sees our refusal
# instead of a broken pipe.
DRAIN_BYTES_MAX = 32 * 1024 * 1024
BODY_SECONDS_MAX = 20
PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
NO_PAGE = "default-src 'none'; frame-ancestors 'none'"
HSTS = "max-age=31536000"

_T = TypeVar("_T")


class Refusal(Exception):
    """The request cannot be understood or is not allowed; becomes an HTTP error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> Refusal:
    return Refusal(400, "BAD_REQUEST", message)


def json_response(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def read_body(request: Request) -> bytes:
    """The raw body. Raises Refusal 413 above 64 KiB, 408 when it trickles in too slowly."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                size += len(chunk)
                if size > DRAIN_BYTES_MAX:
                    break
                if size <= BODY_BYTES_MAX:
                    chunks.append(chunk)
    except TimeoutError:
        raise Refusal(408, "TOO_SLOW", "the body did not arrive in time") from None
    except ClientDisconnect:
        raise bad_request("the connection ended before the body") from None
    if size > BODY_BYTES_MAX:
        raise Refusal(413, "TOO_LARGE", "a body holds at most 64 KiB")
    return b"".join(chunks)


def read_json(body: bytes, shape: type[_T]) -> _T:
    """Decode a JSON body into a shape. Raises Refusal 400; the message never repeats a value."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise bad_request(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_request("the body is not JSON") from None


async def read_page_json(request: Request, shape: type[_T]) -> _T:
    """The body of a call that a page of ours makes: JSON, and from our own origin.

    A form of another site can send neither this content type nor our Origin, and there is no
    cookie that it could ride on.
    """
    if request.headers.get("origin") != company_of(request).origin:
        raise Refusal(403, "FOREIGN_ORIGIN", "only the sandbox's own pages may call this")
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "JSON_ONLY", "the body must be application/json")
    return read_json(await read_body(request) or b"{}", shape)


def render(
    company: Company,
    template: str,
    context: Mapping[str, Any],
    frame_ancestors: str | None = "'none'",
    popup: bool = False,
) -> Response:
    """A page with its nonce and its content security policy; `frame_ancestors` None names nobody.

    `popup`: it may stand in a popup that somebody waits for, and must not be cut off from them.
    """
    nonce = secrets.token_urlsafe(16)
    page = company.templates.get_template(template).render(context=context, nonce=nonce)
    # There is no form-action: browsers apply it to every redirect behind the return form too,
    # and where a merchant's gateway sends the buyer then is not ours to know.
    policy = (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}';"
        " img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'"
    )
    if frame_ancestors is not None:
        policy += f"; frame-ancestors {frame_ancestors}"
    headers = {"Content-Security-Policy": policy}
    if not popup:
        headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
    return HTMLResponse(page, headers=headers)


class PageHeaders:
    """Middleware: the headers that every answer carries, static files excepted from no-store.

    `secure`: browsers reach us over TLS, and shall never come without it again.
    """

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self.app = app
        self.secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caching = "no-cache" if scope["path"].startswith("/static/") else "no-store"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = caching
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Permissions-Policy"] = PERMISSIONS
                # A page of ours has its own; anything else is none.
                headers.setdefault("Content-Security-Policy", NO_PAGE)
                if self.secure:
                    headers["Strict-Transport-Security"] = HSTS
            await send(message)

        await self.app(scope, receive, send_with_headers)
