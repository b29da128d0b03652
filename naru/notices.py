"""The door of the PG's server: notices of deposits and of escrow, and the question of a till.

A notice is believed for its proof alone, which its connector checks. The PG hears the exact words
that it waits for only after our commit; until then it hears anything else, and sends again. What it
signed and we cannot read or book is kept as it came (naru/payments/keep_notice.py).
"""

from __future__ import annotations

import asyncio
import logging
import re

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from naru.connectors import Can, UnknownConnector
from naru.domain.errors import ForgedReturn, UnreadableNotice
from naru.payments.gateway import Gateway
from naru.payments.hear_notice import hear_notice
from naru.payments.issue_barcode import may_be_paid
from naru.payments.keep_notice import keep_notice
from naru.store import StoreUnavailable

log = logging.getLogger("naru.notices")

BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 10.0
LINGER_BYTES_MAX = 16_000_000
_CHANNEL_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def routes(gateway: Gateway) -> list[Route]:
    """`POST /notices/{channel_key}`: the address that every PG is given for its notices."""

    async def receive(request: Request) -> Response:
        channel_key = request.path_params["channel_key"]
        if not _CHANNEL_KEY.fullmatch(channel_key):
            return _plain(404)
        body = await _read_body(request)
        if isinstance(body, Response):
            return body
        try:
            return await _hear(gateway, channel_key, dict(request.headers), body)
        except Exception:
            # Not booked, so not acknowledged: the PG keeps the notice and sends it again.
            log.exception("a notice for channel %s could not be booked", channel_key)
            return _plain(503)

    return [Route("/notices/{channel_key}", receive, methods=["POST"])]


async def _hear(
    gateway: Gateway, channel_key: str, headers: dict[str, str], body: bytes
) -> Response:
    async with gateway.store.direct() as session:
        channel = await session.channels.by_key(channel_key)
    if channel is None:
        return _plain(404)
    try:
        connector = gateway.connector_of(channel)
    except UnknownConnector:
        return _plain(404)
    try:
        if Can.ISSUE_BARCODE in connector.can:
            scanned = connector.read_scan(channel, headers, body)
            if scanned is not None:
                return _answer(connector.acknowledge(await may_be_paid(gateway, channel, scanned)))
        told = connector.read_notice(channel, headers, body)
    except UnreadableNotice as unreadable:
        await keep_notice(gateway, channel, headers, body, f"it cannot be read: {unreadable}")
        return _answer(connector.acknowledge(False))
    except ForgedReturn as forged:
        log.warning("a notice for channel %s has no proof: %s", channel_key, forged)
        return _answer(connector.acknowledge(False))
    if told is not None:
        try:
            meaning = await hear_notice(gateway, channel, told)
        except StoreUnavailable:
            raise
        except Exception as error:
            # A mistake of ours. The PG repeats what it told only for so long.
            why = f"it cannot be booked: {type(error).__name__}"
            await keep_notice(gateway, channel, headers, body, why)
            raise
        log.info("notice %r of channel %s: %s", told.notice_key, channel_key, meaning)
    return _answer(connector.acknowledge(True))


async def _read_body(request: Request) -> bytes | Response:
    """The raw bytes, or the refusal: 413 too many, 408 too slow, 400 for a connection that broke.

    Too many are read on, within bounds, so that the sender reads the refusal and not a broken line.
    """
    read, size = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for piece in request.stream():
                size += len(piece)
                if size <= BODY_BYTES_MAX:
                    read += piece
                elif size > LINGER_BYTES_MAX:
                    break
    except TimeoutError:
        refusal = _plain(408)
        refusal.headers["Connection"] = "close"
        return refusal
    except ClientDisconnect:
        return _plain(400)
    return bytes(read) if size <= BODY_BYTES_MAX else _plain(413)


def _answer(words: tuple[int, str, bytes]) -> Response:
    status, content_type, body = words
    return Response(body, status, {"Content-Type": content_type, "Cache-Control": "no-store"})


def _plain(status: int) -> Response:
    return Response(status_code=status, headers={"Cache-Control": "no-store"})
