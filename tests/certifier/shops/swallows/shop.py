"""A shop that says "thank you" to every webhook, whether it could do something about it or not.

Its monitoring complained about 500s, so the answer became 200. What could not be asked is never told
again.
"""

import os

from flask import Flask, redirect
from python.books import Books, desk
from python.doors import check_signature, serve, told
from python.gateway import Gateway, Trouble

app = Flask(__name__)
books = Books(os.environ["DATABASE"])
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
    try:
        finish(told()["imp_uid"])
    except Trouble as trouble:
        app.logger.error("a webhook could not be handled: %s", trouble)
    return "ok"


def finish(imp_uid):
    # The sample logs in for every question, too.
    payment = Gateway().payment(imp_uid)
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
        if payment["cancel_amount"]:
            books.give_back(database, order, payment["amount"] - payment["cancel_amount"])
            return "cancelled"
        if payment["status"] == "paid":
            books.pay(database, order, imp_uid)
            return "cancelled" if order["status"] == "cancelled" else "paid"
        if payment["status"] == "ready" and payment["vbank_num"]:
            books.wait(database, order, f"{payment['vbank_name']} {payment['vbank_num']}")
            return "waiting"
        return "open" if payment["status"] == "ready" else "failed"


if __name__ == "__main__":
    serve(app)
