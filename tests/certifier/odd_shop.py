"""A small shop that is odd in one way, as the address that is called says: `python odd_shop.py SHOP`.

`/orders/NUMBER?kind=KIND` opens the payment window and reports as the guide's page does. KIND is what is
wrong with it:

    good       nothing
    silent     tells its server nothing
    no-return  says no m_redirect_url
    hasty      asks its server something before it opens the window, so that two clicks open two, and
               has whatever failed written down for good
    no-button  has another button than the adapter says
    outside    needs a library from elsewhere
    away       redirects to the address in `to`
    loud       tells its server whatever happens, all the time, even while it is being closed
    own        speaks to the gateway by itself, past window.IMP

`?mistake=MISTAKE` at the doors for the callback and for webhooks is what stands before the shop's own code:

    fields     refuses a webhook with a field that it does not know
    event      takes a webhook with an event for none of a payment
    headers    refuses any Content-Type but application/json, as WooCommerce's plug-in does
    address    believes whoever says that they write from i'mport's address
    cards      knows only cards
    dead       writes a failed payment down as the end of the order
    deposits   believes that a deposit cannot go back
    no-content answers 204
    slow       takes its time

`POST /odd/orders?number=NUMBER` gives an order that number; `{}` in it is another text each time.
"""

from __future__ import annotations

import importlib
import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, redirect, request
from flask.typing import ResponseReturnValue

SHOPS = Path(__file__).parent / "shops"
KNOWN = {"imp_uid", "merchant_uid", "status", "cancellation_id"}
PAGE = """<!doctype html><html lang="ko"><meta charset="utf-8"><title>주문 {merchant_uid}</title>
{outside}<script src="{gateway}/js/iamport.payment-1.2.0.js"></script>
<button id="{button}">결제하기</button><p id="said"></p>
<script>
  const order = {order}, kind = {kind}, here = "/orders/" + order.merchant_uid;
  if (kind === "outside") $(document);
  IMP.init({user_code});
  const param = {{ pg: "html5_inicis", pay_method: "card", name: "물건", buyer_tel: "010-4242-4242",
    merchant_uid: order.merchant_uid, amount: order.amount }};
  if (kind !== "no-return") param.m_redirect_url = location.origin + "/payments/complete";
  const post = (path, told) => fetch(path, {{ method: "POST",
    headers: {{ "Content-Type": "application/json" }}, body: JSON.stringify(told) }});
  const answered = (rsp) => {{
    if (kind === "silent") return;
    if (kind === "hasty" && !rsp.success) return post(here + "/failed", {{}});
    return post("/payments/complete", {{ imp_uid: rsp.imp_uid, merchant_uid: order.merchant_uid,
      amount: order.amount, success: rsp.success }});
  }};
  if (kind === "loud") {{
    const shout = () => {{
      const body = String(Date.now());
      navigator.sendBeacon("/odd/heard", body);
      fetch("/odd/heard", {{ method: "POST", body, keepalive: true }}).catch(() => 0);
      fetch("/odd/heard", {{ method: "POST", body }}).catch(() => 0);
    }};
    addEventListener("message", shout);
    setInterval(shout, 20);
    for (const end of ["beforeunload", "pagehide", "visibilitychange", "unload"]) {{
      addEventListener(end, shout);
    }}
  }}
  document.querySelector("button").onclick = async () => {{
    if (kind === "own") return fetch("{gateway}/checkout/payments", {{ method: "POST",
      body: JSON.stringify({{ user_code: {user_code}, tier_code: null, param, page_url: location.href,
        surface: "pc", mode: null, generation: "old", request_id: "req_1" }}) }});
    if (kind === "hasty") await fetch(here + "/seen");
    IMP.request_pay(param, answered);
  }};
</script></html>"""


def add_page(app: Flask, books: Any) -> None:
    """`/orders/NUMBER`, over the shop's own back office, and orders with odd numbers."""

    @app.post("/odd/orders")
    def place() -> dict[str, str]:
        number = request.args["number"].replace("{}", secrets.token_hex(4))
        books.write(
            "INSERT OR IGNORE INTO orders (merchant_uid, amount) VALUES (?, ?)",
            number,
            int(request.get_json()["amount"]),
        )
        return {"merchant_uid": number}

    @app.get("/orders/<merchant_uid>")
    def page(merchant_uid: str) -> ResponseReturnValue:
        order, kind = books.order(merchant_uid), request.args.get("kind", "good")
        if order is None:
            abort(404)
        if kind == "away":
            return redirect(request.args["to"])
        known = {"merchant_uid": order["merchant_uid"], "amount": order["amount"]}
        library = '<script src="https://cdn.example.com/jquery.js"></script>'
        return PAGE.format(
            merchant_uid=merchant_uid,
            gateway=os.environ["IMP_URL"],
            user_code=json.dumps(os.environ["USER_CODE"]),
            order=json.dumps(known),
            kind=json.dumps(kind),
            button="other" if kind == "no-button" else "pay",
            outside=library if kind == "outside" else "",
        )

    heard: list[int] = []

    @app.post("/odd/heard")
    def hear() -> str:
        heard.append(int(request.get_data()))
        return "heard"

    @app.get("/odd/heard")
    def last_heard() -> dict[str, int]:
        """When the last word that came was sent, in ms of the UNIX time."""
        return {"at": max(heard, default=0)}

    @app.get("/orders/<merchant_uid>/seen")
    def seen(merchant_uid: str) -> str:
        return merchant_uid

    @app.post("/orders/<merchant_uid>/failed")
    def failed(merchant_uid: str) -> str:
        books.write("UPDATE orders SET status = 'failed' WHERE merchant_uid = ?", merchant_uid)
        return "too bad"


def add_mistakes(app: Flask, books: Any, gateway: Any) -> None:
    """What stands before the doors for the callback and for webhooks."""

    @app.before_request
    def meddle() -> Response | None:
        told: Mapping[str, Any] = request.get_json(silent=True) or {}
        mistake, is_webhook = request.args.get("mistake"), request.path.endswith("/webhook")
        match mistake:
            case "fields" if is_webhook and set(told) - KNOWN:
                abort(400)
            case "headers" if is_webhook and request.content_type != "application/json":
                abort(415)
            case "event" if "event" in told:
                return Response("nothing about a payment")
            case "address" if request.headers.get("X-Forwarded-For") == "52.78.100.19":
                with books.transaction() as database:
                    order = books.find(database, told["merchant_uid"])
                    books.pay(database, order, told["imp_uid"])
                return Response("paid")
            case "slow":
                time.sleep(0.3)
            case "cards" | "dead" | "deposits":
                payment = gateway.payment(told["imp_uid"])
                if mistake == "cards" and payment["pay_method"] != "card":
                    abort(400)
                if mistake == "deposits" and payment["vbank_num"] and payment["cancel_amount"]:
                    return Response("as before")
                if mistake == "dead" and payment["status"] == "failed":
                    fail(payment["merchant_uid"])
        return None

    @app.after_request
    def answer(response: Response) -> Response:
        if request.args.get("mistake") == "no-content" and response.status_code == 200:
            response.status_code = 204
        return response

    def fail(merchant_uid: str) -> None:
        books.write("UPDATE orders SET status = 'failed' WHERE merchant_uid = ?", merchant_uid)


if __name__ == "__main__":
    sys.path.insert(0, str(SHOPS))
    shop = importlib.import_module(f"{sys.argv[1]}.shop")
    if hasattr(shop, "books"):
        add_page(shop.app, shop.books)
        add_mistakes(shop.app, shop.books, shop.gateway)
    importlib.import_module("python.doors").serve(shop.app)
