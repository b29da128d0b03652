"""Two small correct shops, as merchants write them: one in Flask (blocking), one in FastAPI (async)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import flask
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from naru.kit import (
    AsyncClient,
    BadWebhook,
    Client,
    KitError,
    Order,
    Paid,
    Payment,
    WaitingForDeposit,
    read_report,
    read_webhook,
    verify_payment,
)
from naru.testing.imp import Imp


@dataclass
class Books:
    """What the shop's database would hold. `fulfilled` counts how often goods left for an order."""

    prices: dict[str, int] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    fulfilled: dict[str, int] = field(default_factory=dict)
    payment_of: dict[str, str] = field(default_factory=dict)
    heard_in: list[str] = field(default_factory=list)  # the names of threads that told us

    def place(self, merchant_uid: str, price: int) -> str:
        """A buyer orders; the number of the order."""
        self.prices[merchant_uid] = price
        self.status[merchant_uid] = "placed"
        return merchant_uid

    def finish(self, payment: Payment) -> str:
        """The one way to finish an order, for callback and webhook alike; its new status."""
        self.heard_in.append(threading.current_thread().name)
        price = self.prices.get(payment.merchant_uid)
        if price is None:
            return "no order"
        used = {uid for order, uid in self.payment_of.items() if order != payment.merchant_uid}
        order = Order(payment.merchant_uid, price, used_imp_uids=used, allow_sandbox=True)
        verdict = verify_payment(payment, order)
        if isinstance(verdict, WaitingForDeposit):
            self.status[payment.merchant_uid] = "waiting"
        elif isinstance(verdict, Paid) and self.status[payment.merchant_uid] != "paid":
            self.status[payment.merchant_uid] = "paid"
            self.payment_of[payment.merchant_uid] = payment.imp_uid
            self.fulfilled[payment.merchant_uid] = self.fulfilled.get(payment.merchant_uid, 0) + 1
        elif type(verdict).__name__ == "Cancelled":
            self.status[payment.merchant_uid] = "cancelled"
        return self.status[payment.merchant_uid]


def flask_shop(imp: Imp) -> tuple[flask.Flask, Books]:
    """The shop as a WSGI callable, configured for this gateway."""
    app, books = flask.Flask("a shop"), Books()
    client = Client(imp.imp_key, imp.imp_secret, base_url=imp.url, timeout_seconds=0.4)

    @app.errorhandler(KitError)
    def unknown(error: KitError) -> tuple[dict[str, str], int]:
        return {"status": "unknown", "why": type(error).__name__}, 503

    @app.errorhandler(BadWebhook)
    def bad(error: BadWebhook) -> tuple[dict[str, str], int]:
        return {"status": "bad"}, 400

    @app.post("/payments/complete")
    def complete() -> dict[str, str]:
        report = read_report(flask.request.get_data(), flask.request.content_type)
        return {"status": books.finish(client.payment(report.imp_uid))}

    @app.post("/payments/webhook")
    def webhook() -> dict[str, str]:
        told = read_webhook(
            flask.request.get_data(), dict(flask.request.headers), secret=imp.webhook_secret
        )
        return {"status": books.finish(client.payment(told.imp_uid))}

    return app, books


def fastapi_shop(imp: Imp) -> tuple[FastAPI, Books]:
    """The shop as an ASGI callable, configured for this gateway."""
    app, books = FastAPI(), Books()

    async def ask(imp_uid: str) -> Payment:
        async with AsyncClient(imp.imp_key, imp.imp_secret, base_url=imp.url) as client:
            return await client.payment(imp_uid)

    @app.post("/payments/webhook")
    async def webhook(request: Request) -> JSONResponse:
        try:
            told = read_webhook(
                await request.body(), dict(request.headers), secret=imp.webhook_secret
            )
        except BadWebhook:
            return JSONResponse({"status": "bad"}, 400)
        return JSONResponse({"status": books.finish(await ask(told.imp_uid))})

    return app, books
