"""The small shops get a page: `python tests/certifier/with_page.py SHOP`.

Their doors stay as they are; `/orders/NUMBER?kind=KIND` opens the payment window and reports as the
guide's page does. KIND is what is wrong with it:

    good       nothing
    silent     tells its server nothing
    no-return  says no m_redirect_url
    hasty      asks its server something before it opens the window, so that two clicks open two, and
               has whatever failed written down for good
    no-button  has another button than the adapter says
    outside    needs a library from elsewhere
    own        speaks to the gateway by itself, past window.IMP
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from flask import Flask, abort, request

SHOPS = Path(__file__).parent / "shops"
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
  document.querySelector("button").onclick = async () => {{
    if (kind === "own") return fetch("{gateway}/checkout/payments", {{ method: "POST",
      body: JSON.stringify({{ user_code: {user_code}, tier_code: null, param, page_url: location.href,
        surface: "pc", mode: null, generation: "old", request_id: "req_1" }}) }});
    if (kind === "hasty") await fetch(here + "/seen");
    IMP.request_pay(param, answered);
  }};
</script></html>"""


def add_page(app: Flask) -> None:
    """`/orders/NUMBER`, over the shop's own back office."""
    books = sys.modules[app.import_name].books

    @app.get("/orders/<merchant_uid>")
    def page(merchant_uid: str) -> str:
        order, kind = books.order(merchant_uid), request.args.get("kind", "good")
        if order is None:
            abort(404)
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

    @app.get("/orders/<merchant_uid>/seen")
    def seen(merchant_uid: str) -> str:
        return merchant_uid

    @app.post("/orders/<merchant_uid>/failed")
    def failed(merchant_uid: str) -> str:
        books.write("UPDATE orders SET status = 'failed' WHERE merchant_uid = ?", merchant_uid)
        return "too bad"


def adapter_with_page(folder: Path, name: str) -> Path:
    """The shop's own shop.toml with a [page], written into `folder`."""
    text = (SHOPS / name / "shop.toml").read_text("utf-8")
    text = text.replace('"placed", ', '"placed", "failed", ')
    start = json.dumps(["{python}", str(Path(__file__).resolve()), name])
    lines = [
        f"start = {start}"
        if line.startswith("start =")
        else f"folder = {json.dumps(str(SHOPS.resolve()))}"
        if line.startswith("folder =")
        else line
        for line in text.splitlines()
    ]
    lines.insert(lines.index("[shop.env]") + 1, 'USER_CODE = "{user_code}"')
    lines += ["[page]", 'url = "/orders/{merchant_uid}"', 'pay = "#pay"', ""]
    written = folder / "shop.toml"
    written.write_text("\n".join(lines), "utf-8")
    return written


if __name__ == "__main__":
    sys.path.insert(0, str(SHOPS))
    shop = importlib.import_module(f"{sys.argv[1]}.shop")
    add_page(shop.app)
    importlib.import_module("python.doors").serve(shop.app)
