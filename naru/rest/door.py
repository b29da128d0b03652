"""The door itself: a plain ASGI application that reads a request, finds its row, and writes one answer.

Whatever comes in, an envelope goes out: a refusal has V1's words and status, and what nobody foresaw is logged with a reference
and answered with 500 as the last net. Tokens, secrets and bodies are never logged.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any

from naru.domain.acting import Acting, acting
from naru.domain.errors import OutcomeUnknown, Refused
from naru.domain.ids import hash_secret
from naru.payments.gateway import Gateway
from naru.rest import messages
from naru.rest.authenticate import read_token, who_asks
from naru.rest.coerce import coerce
from naru.rest.envelope import Answer, HttpRefusal, refusal, refusal_of
from naru.rest.idempotency import answer_once, read_key
from naru.rest.operation import Call, Operation, Router
from naru.rest.read_fields import Fields, read_body, read_form
from naru.store import StoreUnavailable

BODY_BYTES_MAX = 1_000_000
BODY_SECONDS_MAX = 15.0
LINGER_BYTES_MAX = 16_000_000
LINGER_SECONDS_MAX = 3.0

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

_HEADERS: Headers = (
    (b"content-type", b"application/json; charset=UTF-8"),
    (b"cache-control", b"no-store"),
)
_log = logging.getLogger("naru.rest")


class Door:
    """The ASGI application of the merchant's server."""

    def __init__(
        self, gateway: Gateway, operations: Iterable[Operation], headers: Headers = ()
    ) -> None:
        """`headers` are said with every answer: lower-case names, none of the door's own."""
        self.gateway = gateway
        self.router = Router(operations)
        self._headers = (*_HEADERS, *headers)

    def owns(self, raw_path: bytes) -> bool:
        """Does this path belong here? For whoever wires several doors to one address."""
        return self.router.owns(raw_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the merchant's door does not speak {scope['type']}")
        try:
            answer = await self._answer(scope, receive)
        except (HttpRefusal, Refused, OutcomeUnknown) as error:
            answer = refusal_of(error)
        except StoreUnavailable:
            answer = refusal_of(HttpRefusal(503, messages.NO_STORE, ((b"retry-after", b"1"),)))
        except _CallerLeft:
            return
        except Exception:
            reference = secrets.token_hex(6)
            _log.exception("unforeseen, reference %s, %s", reference, scope["method"])
            answer = refusal(messages.internal(reference), code=-1, status=500)
        await self._write(send, answer, with_body=scope["method"] != "HEAD")
        if answer.status == 413:
            await _let_finish(receive)
            await send({"type": "http.response.body", "body": b""})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers = _headers(scope["headers"])
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        operation, path_fields = self.router.find(scope["method"], raw_path)
        body = await _read(receive, headers)
        query: bytes = scope["query_string"]
        client, user_agent = scope.get("client"), headers.get(b"user-agent")
        address = client[0] if client else None
        if operation.open_verb is not None:
            request = coerce(operation.request, _fields(query, headers, body, path_fields))
            return await operation.open_verb(self.gateway, request, address)
        assert operation.verb is not None  # Operation checks that a row has one of the two.
        # Who asks comes before what is asked: a stranger learns nothing about our reading.
        now = self.gateway.now()
        merchant_id, payment = await who_asks(
            self.gateway, headers, query, now, path_fields.get("imp_uid")
        )
        key = read_key(headers) if operation.recall is not None else None
        request = coerce(operation.request, _fields(query, headers, body, path_fields))
        acting.set(_acting(operation, headers, query, address))
        call = Call(
            gateway=self.gateway,
            merchant_id=merchant_id,
            now=now,
            payment=payment,
            user_agent=user_agent.decode("latin-1") if user_agent else None,
            remote_address=address,
        )
        if key is None:
            return await operation.verb(call, request)
        path = operation.path.format(**path_fields)
        return await answer_once(call, operation, request, path, key)

    async def _write(self, send: Send, answer: Answer, *, with_body: bool) -> None:
        """One un-chunked write with its length: an old client parses only the first piece it receives."""
        length = (b"content-length", str(len(answer.body)).encode())
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [*self._headers, length, *answer.headers],
            }
        )
        body = answer.body if with_body else b""
        await send({"type": "http.response.body", "body": body, "more_body": answer.status == 413})


def _fields(
    query: bytes, headers: dict[bytes, bytes], body: bytes, path_fields: dict[str, str]
) -> Fields:
    """Everything that was sent, in one tree: the path goes before the body, the body before the query."""
    fields = read_form(query)
    if body:
        fields.update(read_body(body, headers.get(b"content-type", b"").decode("latin-1")))
    fields.update(path_fields)
    return fields


def _acting(
    operation: Operation, headers: dict[bytes, bytes], query: bytes, address: str | None
) -> Acting | None:
    """Who changes something, for the audit log; nobody does by asking."""
    if operation.method == "GET" or (token := read_token(headers, query)) is None:
        return None
    what = f"{operation.method} {operation.path}"
    return Acting(what, token=hash_secret(token).hex(), address=address)


class _CallerLeft(Exception):
    """The connection closed before the request was complete: nobody waits for an answer."""


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; the first of a repeated one counts, so that a proxy's appended one cannot win."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        headers.setdefault(name, value)
    return headers


async def _read(receive: Receive, headers: dict[bytes, bytes]) -> bytes:
    """The whole body. Raises HttpRefusal 413 (over 1 MB, by its header or by its bytes) and 408."""
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:12]) > BODY_BYTES_MAX:
        raise HttpRefusal(413, messages.BODY_TOO_LARGE, ((b"connection", b"close"),))
    if length == b"0" and b"transfer-encoding" not in headers:
        return b""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _CallerLeft
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > BODY_BYTES_MAX:
                    raise HttpRefusal(413, messages.BODY_TOO_LARGE, ((b"connection", b"close"),))
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise HttpRefusal(408, messages.BODY_TOO_SLOW, ((b"connection", b"close"),)) from None


async def _let_finish(receive: Receive) -> None:
    """Throw away what a caller with too large a body still sends, within bounds.

    To hang up at once would reset the line, and the caller would never read why.
    """
    left = LINGER_BYTES_MAX
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS_MAX):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
