"""Mount the receivers in FastAPI (or any Starlette): `app.include_router(router(till))`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from naru.kit.errors import BadWebhook
from naru.kit.finalise import AsyncFinaliser, Finaliser
from naru.kit.receive import (
    READ_BYTES_MAX,
    Answer,
    AsyncReceiver,
    Incoming,
    Landing,
    Receiver,
    refused,
)

BODY_SECONDS_MAX = 10.0

Receive = Callable[[Incoming], Awaitable[Answer]]


def router(
    till: Finaliser[Any] | AsyncFinaliser[Any],
    *,
    secret: str | None = None,
    sources: Collection[str] | None = None,
    landing: str | Landing = "/orders/{merchant_uid}",
    prefix: str = "/payments",
) -> APIRouter:
    """POST and GET `/payments/complete` (callback and redirect), POST `/payments/webhook`.

    A blocking till answers in the thread pool. The other arguments are those of `Receiver`.
    """
    own: dict[str, Any] = {"secret": secret, "sources": sources, "landing": landing}
    complete: Receive
    redirect: Receive
    webhook: Receive
    if isinstance(till, AsyncFinaliser):
        waiting = AsyncReceiver(till, **own)
        complete, redirect, webhook = waiting.complete, waiting.redirect, waiting.webhook
    else:
        blocking = Receiver(till, **own)
        complete = _in_thread(blocking.complete)
        redirect = _in_thread(blocking.redirect)
        webhook = _in_thread(blocking.webhook)
    routes = APIRouter(prefix=prefix, include_in_schema=False)
    routes.add_api_route("/complete", _endpoint(complete), methods=["POST"])
    routes.add_api_route("/complete", _endpoint(redirect), methods=["GET"])
    routes.add_api_route("/webhook", _endpoint(webhook), methods=["POST"])
    return routes


def _in_thread(receive: Callable[[Incoming], Answer]) -> Receive:
    async def wait(incoming: Incoming) -> Answer:
        return await run_in_threadpool(receive, incoming)

    return wait


def _endpoint(receive: Receive) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request)
        except BadWebhook as error:
            answer = refused(error)
        else:
            answer = await receive(
                Incoming(
                    method=request.method,
                    headers=request.headers,
                    body=body,
                    query=request.url.query,
                    remote=None if request.client is None else request.client.host,
                )
            )
        return Response(answer.body, answer.status, dict(answer.headers))

    return endpoint


async def _body(request: Request) -> bytes:
    """The raw body: never much more than one may have, nor for long."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) >= READ_BYTES_MAX:
                    break
    except TimeoutError:
        raise BadWebhook("the body came too slowly", 408) from None
    except ClientDisconnect:
        raise BadWebhook("the body broke off") from None
    return bytes(body[:READ_BYTES_MAX])
