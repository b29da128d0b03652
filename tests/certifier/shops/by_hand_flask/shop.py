"""A shop in Flask that does everything by hand, and everything right.

Callback, redirect and webhook all end in `finish`: it asks the gateway, and then brings the order
that the gateway names up to date, in one transaction.
"""

import os
import sqlite3

from flask import Flask, redirect
from python.books import Books, desk
from python.doors import check_signature, serve, told
from python.gateway import Gateway, Payment, Trouble

app = Flask(__name__)
books = Books(os.environ["DATABASE"])
books.write("CREATE UNIQUE INDEX IF NOT EXISTS one_order_a_payment ON orders (imp_uid)")
gateway = Gateway()
app.register_blueprint(desk(books))


@app.post("/payments/complete")
def complete():
    said = told()
    try:
        result = finish(said["imp_uid"])
    except Trouble:
        return {"status": "checking", "message": "결제 결과를 확인하고 있습니다."}, 202
    return {"status": result}, 200 if result in ("paid", "waiting") else 400


@app.get("/payments/complete")
def come_back():
    said = told()
    try:
        finish(said["imp_uid"])
    except Trouble:
        app.logger.warning("%s is asked about again by the webhook", said["imp_uid"])
    return redirect("/", 303)


@app.post("/payments/webhook")
def webhook():
    check_signature()
    try:
        result = finish(told()["imp_uid"])
    except Trouble:
        return "ask again", 503
    return result, 503 if result == "open" else 200


@app.post("/certify/sweep")
def sweep():
    try:
        for payment in list(gateway.recent()):
            settle(payment)
    except Trouble:
        return "ask again", 503
    return "done"


def finish(imp_uid: str) -> str:
    """How the order of this payment stands, after asking. Raises Trouble."""
    payment = gateway.payment(imp_uid)
    if payment is None:
        return "forgery"
    return settle(payment)


def settle(payment: Payment) -> str:
    """Bring the order up to date; whoever comes second finds it done."""
    with books.transaction() as database:
        order = database.execute(
            "SELECT * FROM orders WHERE merchant_uid = ?", (payment["merchant_uid"],)
        ).fetchone()
        if order is None:
            return "no order of ours"
        if (payment["amount"], payment["currency"]) != (order["amount"], order["currency"]):
            return "forgery"
        if order["imp_uid"] not in (None, payment["imp_uid"]):
            return "paid by another payment"
        return step(database, order, payment)


def step(database: sqlite3.Connection, order: sqlite3.Row, payment: Payment) -> str:
    number, imp_uid = order["merchant_uid"], payment["imp_uid"]
    left = payment["amount"] - payment["cancel_amount"]
    if payment["cancel_amount"]:
        # What went back before any goods left ends the order; a part of a paid one does not.
        database.execute(
            "UPDATE orders SET imp_uid = ?, paid_amount = min(paid_amount, ?), status ="
            " CASE WHEN status = 'paid' AND ? > 0 THEN 'paid' ELSE 'cancelled' END"
            " WHERE merchant_uid = ?",
            (imp_uid, left, left, number),
        )
        return "cancelled"
    if payment["status"] == "paid":
        won = database.execute(
            "UPDATE orders SET status = 'paid', imp_uid = ?, paid_amount = ?"
            " WHERE merchant_uid = ? AND status IN ('placed', 'waiting')",
            (imp_uid, left, number),
        ).rowcount
        if won:
            database.execute("INSERT INTO parcels (merchant_uid) VALUES (?)", (number,))
        return "cancelled" if order["status"] == "cancelled" else "paid"
    if payment["status"] == "ready" and payment["vbank_num"]:
        database.execute(
            "UPDATE orders SET status = 'waiting', account = ?"
            " WHERE merchant_uid = ? AND status IN ('placed', 'waiting')",
            (f"{payment['vbank_name']} {payment['vbank_num']}", number),
        )
        return "waiting"
    return "open" if payment["status"] == "ready" else "failed"


if __name__ == "__main__":
    serve(app)
