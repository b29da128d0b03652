"""A shop that compares everything but the status.

The gateway knows the payment and its amount fits, so it must have been paid. A window that is merely
open, a declined card and money that went back all have that amount, too.
"""

import os

from flask import Flask, redirect
from python.books import Books, desk
from python.doors import check_signature, serve, told
from python.gateway import Gateway, Trouble

app = Flask(__name__)
books = Books(os.environ["DATABASE"])
gateway = Gateway()
app.register_blueprint(desk(books))


@app.post("/payments/complete")
def complete():
    try:
        result = finish(told()["imp_uid"])
    except Trouble:
        return {"status": "checking"}, 202
    return {"status": result}, 200 if result in ("paid", "waiting") else 400


@app.get("/payments/complete")
def come_back():
    try:
        finish(told()["imp_uid"])
    except Trouble:
        app.logger.warning("the webhook will ask again")
    return redirect("/", 303)


@app.post("/payments/webhook")
def webhook():
    check_signature()
    said = told()
    try:
        result = give_back(said["imp_uid"]) if said.get("status") == "cancelled" else None
        result = result or finish(said["imp_uid"])
    except Trouble:
        return "ask again", 503
    return result


def finish(imp_uid):
    payment = gateway.payment(imp_uid)
    if payment is None:
        return "forgery"
    with books.transaction() as database:
        order = books.find(database, payment["merchant_uid"])
        if order is None:
            return "no order of ours"
        if payment["amount"] != order["amount"] or payment["currency"] != order["currency"]:
            return "forgery"
        if order["imp_uid"] not in (None, imp_uid):
            return "paid by another payment"
        books.pay(database, order, imp_uid)
        return order["status"] if order["status"] == "cancelled" else "paid"


def give_back(imp_uid):
    payment = gateway.payment(imp_uid)
    if payment is None:
        return "forgery"
    with books.transaction() as database:
        order = books.find(database, payment["merchant_uid"])
        if order is not None and order["imp_uid"] in (None, imp_uid):
            books.give_back(database, order, payment["amount"] - payment["cancel_amount"])
    return "cancelled"


if __name__ == "__main__":
    serve(app)
