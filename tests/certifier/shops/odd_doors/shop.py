"""A careful shop that makes one mistake, at one of its doors: BUG says which.

Callback, redirect, webhook and cron job end in `settle`, which knows the door that it was called from;
what a shop forgets, it forgets at one door only.
"""

import os

from flask import Flask, redirect, request
from python.books import Books, desk
from python.doors import check_signature, serve, told
from python.gateway import Gateway, Trouble

BUG = os.environ["BUG"]

app = Flask(__name__)
books = Books(os.environ["DATABASE"])
gateway = Gateway()
app.register_blueprint(desk(books))


@app.after_request
def placed(answer):
    if request.path == "/certify/orders" and answer.status_code == 200:
        number = answer.get_json()["merchant_uid"]
        if BUG == "session":
            answer.set_cookie("order", number)
        if BUG == "prepared":
            try:
                gateway.announce(number, books.order(number)["amount"])
            except Trouble:
                # The mistake: the order goes on, and nobody will compare its amount.
                app.logger.warning("%s is not announced", number)
    return answer


@app.post("/payments/complete")
def complete():
    said = told()
    try:
        result = finish(said, "callback")
    except Trouble:
        return {"status": "checking"}, 202
    return {"status": result}, 200 if result in ("paid", "waiting") else 400


@app.get("/payments/complete")
def come_back():
    try:
        finish(told(), "redirect")
    except Trouble:
        app.logger.warning("the webhook will ask again")
    return redirect("/", 303)


@app.post("/payments/webhook")
def webhook():
    if BUG != "form_webhook" or request.is_json:
        check_signature()
    try:
        result = finish(told(), "webhook")
    except Trouble:
        return "ask again", 503
    return result, 503 if result == "open" else 200


@app.post("/certify/sweep")
def sweep():
    try:
        payments = list(gateway.recent())
    except Trouble:
        return "ask again", 503
    for payment in payments:
        if BUG == "sweep_card" and payment["pay_method"] == "vbank":
            continue
        settle(payment, "sweep", {})
    return "done"


def finish(said, door):
    early = books.order(said["merchant_uid"]) if BUG == "change_race" else None
    payment = gateway.payment(said["imp_uid"])
    if payment is None:
        return "forgery"
    if early is not None and early["merchant_uid"] == payment["merchant_uid"]:
        return settle(payment, door, said, early["amount"])
    return settle(payment, door, said)


def settle(payment, door, said, price=None):
    imp_uid, number, status = payment["imp_uid"], payment["merchant_uid"], payment["status"]
    left = payment["amount"] - payment["cancel_amount"]
    if BUG == "session" and door == "callback":
        number = request.cookies.get("order", number)
    if BUG == "form_webhook" and door == "webhook" and not request.is_json:
        status = said.get("status", status)
    if BUG == "redirect_cancelled" and door == "redirect" and status == "cancelled":
        status, left = "paid", payment["amount"]
    with books.transaction() as database:
        order = books.find(database, number)
        if order is None:
            return "no order of ours"
        price = order["amount"] if price is None else price
        if not (same_amount(payment, price, door, said) and same_currency(payment, door)):
            return "forgery"
        if BUG != "disown" and order["imp_uid"] not in (None, imp_uid):
            return "paid by another payment"
        if left < payment["amount"]:
            books.give_back(database, order, left)
            return "cancelled"
        if status == "paid":
            books.pay(database, order, imp_uid)
            return "cancelled" if order["status"] == "cancelled" else "paid"
        if status == "ready" and payment["vbank_num"]:
            books.wait(database, order, f"{payment['vbank_name']} {payment['vbank_num']}")
            return "waiting"
        return "open" if status == "ready" else "failed"


def same_amount(payment, price, door, said):
    if BUG == "prepared":
        return True
    if BUG == "prefix":
        return str(price).startswith(str(payment["amount"]))
    if BUG == "body_amount" and door == "callback" and isinstance(said.get("amount"), int):
        return payment["amount"] == said["amount"]
    return payment["amount"] == price


def same_currency(payment, door):
    forgotten = {"redirect_currency": "redirect", "sweep_currency": "sweep"}
    return payment["currency"] == "KRW" or forgotten.get(BUG) == door


if __name__ == "__main__":
    serve(app)
