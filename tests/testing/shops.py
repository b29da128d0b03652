"""Two small shops with the merchant kit: one in Flask (blocking), one in FastAPI (async)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import flask
from fastapi import FastAPI

from naru.kit import AsyncClient, AsyncFinaliser, Client, Finaliser, Payment
from naru.kit.orders import StoredOrder
from naru.kit.orders.memory import AsyncMemoryOrders, MemoryOrders
from naru.kit.receive.fastapi import router
from naru.kit.receive.flask import blueprint
from naru.testing.imp import Imp


@dataclass
class Books:
    """What a test reads of a shop. `fulfilled` counts how often goods left for an order."""

    orders: MemoryOrders | AsyncMemoryOrders
    fulfilled: Counter[str] = field(default_factory=Counter)
    heard_in: list[str] = field(default_factory=list)  # the names of threads that told us

    def status(self, merchant_uid: str) -> str:
        """How the shop believes that the order stands."""
        return str(self.orders[merchant_uid].status)

    def fulfil(self, order: StoredOrder, payment: Payment, session: Any) -> None:
        """Goods leave the house."""
        self.fulfilled[order.merchant_uid] += 1
        self.heard_in.append(threading.current_thread().name)


def flask_shop(imp: Imp, *, timeout_seconds: float = 10.0) -> tuple[flask.Flask, Books]:
    """The shop as a WSGI callable, configured for this gateway."""
    books = Books(orders := MemoryOrders())
    client = Client(imp.imp_key, imp.imp_secret, base_url=imp.url, timeout_seconds=timeout_seconds)
    till = Finaliser(client, orders, fulfil=books.fulfil, allow_sandbox=True)
    app = flask.Flask("a shop")
    app.register_blueprint(blueprint(till, secret=imp.webhook_secret))
    return app, books


@asynccontextmanager
async def fastapi_shop(imp: Imp) -> AsyncIterator[tuple[FastAPI, Books]]:
    """The shop as an ASGI callable, configured for this gateway, in the loop that runs now."""
    books = Books(orders := AsyncMemoryOrders())
    async with AsyncClient(imp.imp_key, imp.imp_secret, base_url=imp.url) as client:
        till = AsyncFinaliser(client, orders, fulfil=books.fulfil, allow_sandbox=True)
        app = FastAPI()
        app.include_router(router(till, secret=imp.webhook_secret))
        yield app, books
